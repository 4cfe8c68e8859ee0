//! Bounds that fail a run: `cpu_us_per_delivery.ratio > 1.1`, `p99_ms > 50`, `p99.9_ms(publish → log) > 20`, `lost > 0`. Pure.

use std::fmt;
use std::str::FromStr;

use crate::report::{QuantityError, Report};

/// A condition under which a run has failed, though its ledger may be clean.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// As [`Report::quantity`] knows it.
    name: String,
    /// Of which a latency is meant.
    stage: Option<String>,
    operator: Operator,
    limit: f64,
}

/// How a number stands to the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    Unequal,
}

/// In the order in which they are looked for: longer ones first.
const OPERATORS: [(&str, Operator); 6] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    (">", Operator::Above),
    ("<", Operator::Below),
];

/// Why a text is no threshold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    #[error("a threshold compares a name with a number, as in `cpu_us_per_delivery > 1.5`, by one of > >= < <= == !=")]
    NoOperator,
    #[error("a figure's name must stand before the operator, as in `p99_ms > 50` or `p99_ms(publish → log) > 20`; it was `{0}`")]
    BadName(String),
    #[error("`{0}` is no number; write it without unit or thousands, as in `p99_ms > 2.5`")]
    BadNumber(String),
    #[error("only latencies (p50_ms, p99.9_ms, mean_ms, max_ms) have stages, `{0}` has none")]
    NoLatency(String),
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let is_arrow = |at: usize| text[..at].ends_with('-') && text[at..].starts_with('>');
        let starts = text.match_indices(['<', '>', '=', '!']).map(|(at, _)| at).find(|at| !is_arrow(*at));
        let at = starts.ok_or(ThresholdError::NoOperator)?;
        let (left, rest) = text.split_at(at);
        let operator = OPERATORS.into_iter().find(|(sign, _)| rest.starts_with(sign));
        let (sign, operator) = operator.ok_or(ThresholdError::NoOperator)?;
        let number = rest[sign.len()..].trim();
        let limit = number.parse().ok().filter(|limit: &f64| limit.is_finite());
        let limit = limit.ok_or_else(|| ThresholdError::BadNumber(number.to_owned()))?;
        let left = left.trim();
        let (name, stage) = match left.split_once('(') {
            Some((name, stage)) => {
                let stage = stage.strip_suffix(')').ok_or_else(|| ThresholdError::BadName(left.to_owned()))?;
                (name.trim(), Some(stage.trim().to_owned()))
            }
            None => (left, None),
        };
        if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.')) {
            return Err(ThresholdError::BadName(left.to_owned()));
        }
        if stage.is_some() && crate::report::latency_name(name).is_none() {
            return Err(ThresholdError::NoLatency(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), stage, operator, limit })
    }
}

impl Threshold {
    /// The number, and whether it breaks the threshold.
    ///
    /// # Errors
    /// [`QuantityError`] when the report has no such number: then nothing can be said, which is no success.
    pub fn judge(&self, report: &Report) -> Result<(f64, bool), QuantityError> {
        let number = report.quantity(&self.name, self.stage.as_deref())?;
        let broken = match self.operator {
            Operator::Above => number > self.limit,
            Operator::AtLeast => number >= self.limit,
            Operator::Below => number < self.limit,
            Operator::AtMost => number <= self.limit,
            Operator::Equal => number == self.limit,
            Operator::Unequal => number != self.limit,
        };
        Ok((number, broken))
    }

    /// Looks at the name before the run, so that a slip does not cost one: `figures` are those that the scenario may measure.
    ///
    /// # Errors
    /// [`QuantityError::Unknown`] when no run of the scenario could have it.
    pub fn check(&self, figures: &[&str]) -> Result<(), QuantityError> {
        let counts = crate::report::Counts::default().named();
        let base = self.name.strip_suffix(".ratio").or_else(|| self.name.strip_suffix(".floor")).unwrap_or(&self.name);
        let known = figures.contains(&base)
            || counts.iter().any(|(name, _)| *name == self.name)
            || crate::report::latency_name(&self.name).is_some();
        if known { Ok(()) } else { Err(crate::report::unknown(&self.name, figures.iter().map(|name| (*name).to_owned()).collect())) }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.into_iter().find(|(_, operator)| *operator == self.operator).map_or("", |(sign, _)| sign);
        match &self.stage {
            Some(stage) => write!(f, "{}({stage}) {sign} {}", self.name, self.limit),
            None => write!(f, "{} {sign} {}", self.name, self.limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn broken(text: &str) -> bool {
        text.parse::<Threshold>().unwrap().judge(&sample()).unwrap().1
    }

    #[test]
    fn figures_ratios_latencies_and_counts_have_thresholds() {
        assert!(broken("cpu_us_per_delivery > 4.5") && !broken("cpu_us_per_delivery > 4.6"));
        assert!(broken("cpu_us_per_delivery.ratio>1.02") && !broken("cpu_us_per_delivery.ratio>1.03"));
        assert!(broken("p99_ms > 0.01") && !broken("p99_ms > 50"));
        assert!(broken("p99.9_ms(publish -> log) < 10") && broken("p50_ms(publish → log) >= 0.01"));
        assert!(!broken("lost > 0") && broken("lost == 0") && broken("lost <= 0"));
        assert!(broken("received != 1") && broken("deliveries_per_s < 400000"));
    }

    #[test]
    fn a_text_that_is_no_threshold_is_told_how_one_looks() {
        let error = |text: &str| text.parse::<Threshold>().unwrap_err();
        assert_eq!(error("lost"), ThresholdError::NoOperator);
        assert_eq!(error("lost = 1"), ThresholdError::NoOperator);
        assert_eq!(error("> 1"), ThresholdError::BadName(String::new()));
        assert_eq!(error("a b > 1"), ThresholdError::BadName("a b".to_owned()));
        assert_eq!(error("p99_ms(x > 1"), ThresholdError::BadName("p99_ms(x".to_owned()));
        assert_eq!(error("p99_ms > 50ms"), ThresholdError::BadNumber("50ms".to_owned()));
        assert_eq!(error("p99_ms > NaN"), ThresholdError::BadNumber("NaN".to_owned()));
        assert_eq!(error("lost(publish → log) > 1"), ThresholdError::NoLatency("lost".to_owned()));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["lost > 0", "p99.9_ms(publish → log) >= 2.5", "deliveries_per_s < 100000"] {
            assert_eq!(text.parse::<Threshold>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_slip_is_found_before_the_run() {
        let check = |text: &str| text.parse::<Threshold>().unwrap().check(&["cpu_us_per_delivery"]);
        assert_eq!([check("cpu_us_per_delivery.ratio > 1"), check("p99.99_ms > 1"), check("gaps > 0")], [const { Ok(()) }; 3]);
        let text = check("cpu_us_per_delivry > 1").unwrap_err().to_string();
        assert!(text.contains("did you mean `cpu_us_per_delivery`?"), "{text}");
    }
}
