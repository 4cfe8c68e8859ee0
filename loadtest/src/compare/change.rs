//! How one number of two sides changed. Pure.

use super::side::Side;
use crate::report::{Better, Figure, QUANTILES, Report, STAGE, plain};

/// From here on a quantile is told and not judged.
const FAR: f64 = 0.999;

/// A number before and after.
pub(super) struct Change {
    /// As `--only` names it.
    pub name: String,
    pub title: String,
    pub unit: String,
    pub before: Taken,
    pub after: Taken,
    better: Better,
    /// Whether it counts where nobody says what counts: the longest of many values and far quantiles are mostly chance, and what the tool
    /// itself costs is not the server's doing.
    pub counts: bool,
}

/// A number as one side took it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Taken {
    /// The median of all files' values.
    pub value: f64,
    /// The least and the most of all single runs, where there are several.
    pub spread: Option<(f64, f64)>,
}

/// Where it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Better,
    Same,
    Worse,
}

impl Direction {
    pub fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::Worse => "worse",
        }
    }
}

impl Change {
    /// `None` where it was 0 and is not any more: no percentage tells that.
    pub fn percent(&self) -> Option<f64> {
        let (before, after) = (self.before.value, self.after.value);
        if before == after {
            return Some(0.0);
        }
        (before != 0.0).then(|| (after - before) / before.abs() * 100.0)
    }

    /// By `tolerance` percent.
    pub fn direction(&self, tolerance: f64) -> Direction {
        let rise = self.percent().unwrap_or(if self.after.value > self.before.value { f64::INFINITY } else { f64::NEG_INFINITY });
        let worse = match self.better {
            Better::Lower => rise,
            Better::Higher => -rise,
        };
        match worse {
            worse if worse > tolerance => Direction::Worse,
            worse if worse < -tolerance => Direction::Better,
            _ => Direction::Same,
        }
    }

    /// Single runs of one side lie among those of the other though the medians differ: the change may be noise.
    pub fn overlaps(&self) -> bool {
        let overlap = self.before.spread.zip(self.after.spread).is_some_and(|(a, b)| a.0 <= b.1 && b.0 <= a.1);
        overlap && self.before.value != self.after.value
    }
}

/// Everything that both sides have, in the order of the earlier one.
pub(super) fn changes(before: &Side, after: &Side) -> Vec<Change> {
    let Some(first) = before.reports.first() else { return Vec::new() };
    let mut changes = Vec::new();
    for Figure { name, title, unit, better, .. } in &first.figures {
        let figures = |side: &Side| side.reports.iter().filter_map(|report| report.figure(name).cloned()).collect::<Vec<_>>();
        let (then, now) = (figures(before), figures(after));
        let value =
            |figures: &[Figure]| taken(figures.iter().map(|figure| figure.value), figures.iter().flat_map(|figure| figure.runs.clone()));
        let ratio = |figures: &[Figure]| taken(figures.iter().filter_map(Figure::ratio), figures.iter().flat_map(ratios_of_runs));
        let mut add = |name: &str, title: &str, unit: &str, taken: Option<(Taken, Taken)>| {
            if let Some((before, after)) = taken {
                let (name, title, unit) = (name.to_owned(), title.to_owned(), unit.to_owned());
                let counts = !name.starts_with("max_") && !name.starts_with("tool_");
                changes.push(Change { name, title, unit, before, after, better: *better, counts });
            }
        };
        add(name, title, unit, value(&then).zip(value(&now)));
        add(&format!("{name}.ratio"), "  × its floor", "", ratio(&then).zip(ratio(&now)));
    }
    for latency in first.latencies.iter().filter(|latency| !latency.is_of_the_tool() && !latency.is_coarse()) {
        for (quantile, at) in QUANTILES {
            let figure = format!("{quantile}_ms");
            if first.figure(&figure).is_some() && plain(&latency.stage) == plain(STAGE) {
                // It stands among the figures already, run by run.
                continue;
            }
            let told = |report: &Report| {
                let same = report.latencies.iter().find(|other| other.stage == latency.stage)?;
                Some(same.told(at)? as f64 / 1_000.0)
            };
            let values = |side: &Side| {
                let all: Vec<f64> = side.reports.iter().filter_map(told).collect();
                taken(all.iter().copied(), all.iter().copied())
            };
            if let Some((before, after)) = values(before).zip(values(after)) {
                let title = format!("{} {quantile}", latency.stage);
                let (name, unit) = (format!("{figure}({})", latency.stage), "ms".to_owned());
                changes.push(Change { name, title, unit, before, after, better: Better::Lower, counts: at < FAR });
            }
        }
    }
    changes
}

/// Of single runs, each by the floor that they share.
fn ratios_of_runs(figure: &Figure) -> Vec<f64> {
    let floor = figure.floor.filter(|floor| *floor > 0.0);
    floor.map_or_else(Vec::new, |floor| figure.runs.iter().map(|run| run / floor).collect())
}

fn taken(values: impl Iterator<Item = f64>, runs: impl Iterator<Item = f64>) -> Option<Taken> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let value = *values.get(values.len() / 2)?;
    let runs: Vec<f64> = runs.collect();
    let ends = runs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), run| (least.min(*run), most.max(*run)));
    Some(Taken { value, spread: (runs.len() > 1).then_some(ends) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn change(before: f64, after: f64, better: Better) -> Change {
        let taken = |value| Taken { value, spread: Some((value - 1.0, value + 1.0)) };
        Change {
            name: String::new(),
            title: String::new(),
            unit: String::new(),
            before: taken(before),
            after: taken(after),
            better,
            counts: true,
        }
    }

    #[test]
    fn directions_know_which_way_is_up() {
        let direction = |before, after, better| change(before, after, better).direction(5.0);
        assert_eq!(direction(100.0, 106.0, Better::Lower), Direction::Worse);
        assert_eq!(direction(100.0, 106.0, Better::Higher), Direction::Better);
        assert_eq!(direction(100.0, 105.0, Better::Lower), Direction::Same);
        assert_eq!(direction(0.0, 0.0, Better::Lower), Direction::Same);
        assert_eq!(direction(0.0, 1.0, Better::Lower), Direction::Worse);
        assert_eq!(direction(0.0, 1.0, Better::Higher), Direction::Better);
    }

    #[test]
    fn runs_that_overlap_may_be_noise() {
        assert!(change(10.0, 11.5, Better::Lower).overlaps());
        assert!(!change(10.0, 12.5, Better::Lower).overlaps());
        assert!(!change(10.0, 10.0, Better::Lower).overlaps());
    }

    #[test]
    fn several_files_count_as_more_runs() {
        let mut others = [sample(), sample()];
        others[0].figures[0].value = 9.0;
        others[0].figures[0].runs = vec![9.0];
        others[1].figures[0].value = 5.0;
        let before = Side::of(vec![sample()].into_iter().chain(others).collect());
        let changes = changes(&before, &Side::of(vec![sample()]));
        assert_eq!(changes[0].before, Taken { value: 5.0, spread: Some((4.46, 9.0)) });
        assert_eq!(changes[1].name, "cpu_us_per_delivery.ratio");
        assert!(changes.iter().any(|change| change.name == "p99_ms(publish → log)"));
        assert!(!changes.iter().any(|change| change.title.starts_with("floor")), "floors are no server's doing");
    }
}
