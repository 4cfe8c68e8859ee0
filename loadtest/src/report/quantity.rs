//! The names by which thresholds ask a report for its numbers. Pure.

use super::{Figure, Report};

/// The stage that a latency is of where none is named.
pub(crate) const STAGE: &str = "publish → socket";
/// Names alike by so much are worth suggesting.
const LIKENESS_MIN: f64 = 0.75;

/// Why a report has no number of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    #[error("this run has no figure `{name}`{suggestion}; it has: {known}")]
    Unknown { name: String, suggestion: String, known: String },
    #[error("this run has no latency of `{stage}`{suggestion}; it has: {known}")]
    UnknownStage { stage: String, suggestion: String, known: String },
    #[error("`{name}` was measured without a floor; run the scenario with --floor")]
    NoFloor { name: String },
    #[error("`{name}` of `{stage}` cannot be told from {count} values; publish more")]
    TooFew { name: String, stage: String, count: u64 },
}

impl Report {
    /// The number that `name` stands for:
    ///
    /// - a figure by its name, and its floor and ratio as `<figure>.floor` and `<figure>.ratio`;
    /// - `p<percent>_ms`, `mean_ms` and `max_ms`: a latency in milliseconds, of `stage` or else of `publish → socket`; a figure of that
    ///   name goes first where no stage is named;
    /// - `published`, `received`, `lost`, `behind`, `misrouted`, `gaps`, `closed`, `refused`: counts of the ledger.
    ///
    /// # Errors
    /// [`QuantityError`] when there is none; it says which there are.
    pub fn quantity(&self, name: &str, stage: Option<&str>) -> Result<f64, QuantityError> {
        if let (Some(stage), Some(what)) = (stage, latency_name(name)) {
            return self.latency(name, what, stage);
        }
        if let Some((_, number)) = self.ledger.named().into_iter().find(|(known, _)| *known == name) {
            return Ok(number as f64);
        }
        if let Some(figure) = self.figure(name) {
            return Ok(figure.value);
        }
        let no_floor = || QuantityError::NoFloor { name: name.to_owned() };
        if let Some(figure) = name.strip_suffix(".ratio").and_then(|figure| self.figure(figure)) {
            return figure.ratio().ok_or_else(no_floor);
        }
        if let Some(figure) = name.strip_suffix(".floor").and_then(|figure| self.figure(figure)) {
            return figure.floor.ok_or_else(no_floor);
        }
        match latency_name(name) {
            Some(what) => self.latency(name, what, stage.unwrap_or(STAGE)),
            None => Err(unknown(name, self.figures.iter().flat_map(names_of).collect())),
        }
    }

    fn latency(&self, name: &str, what: LatencyName, stage: &str) -> Result<f64, QuantityError> {
        let Some(latency) = self.latencies.iter().find(|latency| plain(&latency.stage) == plain(stage)) else {
            let known: Vec<String> = self.latencies.iter().map(|latency| latency.stage.clone()).collect();
            let suggestion = suggestion(stage, &known);
            return Err(QuantityError::UnknownStage { stage: stage.to_owned(), suggestion, known: listed(&known) });
        };
        let told = match what {
            LatencyName::Mean => (latency.count > 0).then_some(latency.mean_us),
            LatencyName::Max => (latency.count > 0).then_some(latency.max_us as f64),
            LatencyName::Quantile(at) => latency.told(at).map(|us| us as f64),
        };
        let too_few = || QuantityError::TooFew { name: name.to_owned(), stage: latency.stage.clone(), count: latency.count };
        told.map(|us| us / 1_000.0).ok_or_else(too_few)
    }
}

/// What is told of a latency.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum LatencyName {
    Mean,
    Max,
    /// From 0 to 1.
    Quantile(f64),
}

/// What a name means if it is one of a latency.
pub(crate) fn latency_name(name: &str) -> Option<LatencyName> {
    match name.strip_suffix("_ms")? {
        "mean" => Some(LatencyName::Mean),
        "max" => Some(LatencyName::Max),
        quantile => {
            let percent: f64 = quantile.strip_prefix('p')?.parse().ok()?;
            (0.0..=100.0).contains(&percent).then_some(LatencyName::Quantile(percent / 100.0))
        }
    }
}

/// The names that a figure is found under.
fn names_of(figure: &Figure) -> Vec<String> {
    let whole = figure.floor.map(|_| [format!("{}.ratio", figure.name), format!("{}.floor", figure.name)]);
    [figure.name.clone()].into_iter().chain(whole.into_iter().flatten()).collect()
}

/// That there is no such figure, only `figures` and what every run has.
pub(crate) fn unknown(name: &str, mut figures: Vec<String>) -> QuantityError {
    figures.extend(super::Counts::default().named().map(|(name, _)| name.to_owned()));
    let latencies = ["p50_ms", "p99_ms", "p99.9_ms", "mean_ms", "max_ms"].map(str::to_owned);
    let further: Vec<String> = latencies.into_iter().filter(|name| !figures.contains(name)).collect();
    figures.extend(further);
    QuantityError::Unknown { name: name.to_owned(), suggestion: suggestion(name, &figures), known: listed(&figures) }
}

fn suggestion(name: &str, known: &[String]) -> String {
    let likeness = |known: &&String| strsim::jaro_winkler(name, known);
    let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|best| likeness(best) >= LIKENESS_MIN);
    best.map_or_else(String::new, |best| format!(", did you mean `{best}`?"))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Keyboards have no arrow: `publish->log` means `publish → log`.
pub(crate) fn plain(stage: &str) -> String {
    stage.replace("->", "→").split_whitespace().collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn every_kind_of_number_has_a_name() {
        let report = sample();
        let number = |name: &str| report.quantity(name, None).unwrap();
        assert_eq!((number("cpu_us_per_delivery"), number("cpu_us_per_delivery.floor")), (4.52, 4.41));
        assert!((number("cpu_us_per_delivery.ratio") - 1.0249).abs() < 0.001);
        assert_eq!((number("published"), number("lost")), (20_000.0, 0.0));
        assert!(number("p50_ms") < number("p99.9_ms") && number("p99.9_ms") <= number("max_ms"));
        let log = report.quantity("p50_ms", Some("publish->log")).unwrap();
        assert!(log < number("p50_ms"));
    }

    #[test]
    fn a_stage_that_is_named_goes_before_a_figure() {
        let mut report = sample();
        report.figures[0].name = "p50_ms".to_owned();
        assert_eq!(report.quantity("p50_ms", None), Ok(4.52));
        assert!(report.quantity("p50_ms", Some("publish → socket")).unwrap() < 1.0);
    }

    #[test]
    fn a_wrong_name_is_told_the_nearest_one() {
        let text = sample().quantity("cpu_us_per_delivry", None).unwrap_err().to_string();
        assert!(text.contains("did you mean `cpu_us_per_delivery`?") && text.contains("deliveries_per_s"), "{text}");
        let text = sample().quantity("colour", None).unwrap_err().to_string();
        assert!(!text.contains("did you mean"), "{text}");
        let text = sample().quantity("p99_ms", Some("publish → sockt")).unwrap_err().to_string();
        assert!(text.contains("did you mean `publish → socket`?"), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_no_number() {
        let mut report = sample();
        assert_eq!(
            report.quantity("bytes_per_delivery.ratio", None),
            Err(QuantityError::NoFloor { name: "bytes_per_delivery.ratio".to_owned() })
        );
        report.latencies[0].count = 20;
        assert!(matches!(report.quantity("p99_ms", None), Err(QuantityError::TooFew { count: 20, .. })));
        assert_eq!(latency_name("p101_ms"), None);
    }
}
