//! What a node counts, from the Prometheus text of its internal port (docs/metrics.md). Pure.

use crate::report::{BY_BUCKETS, Latency, NAMED};

/// The sum of a counter or gauge over all its labels; `None` where the text does not have it.
pub(super) fn value(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = if rest.starts_with('{') { rest.split_once('}')?.1 } else { rest };
        rest.strip_prefix(' ')?.split(' ').next()?.parse::<f64>().ok()
    });
    samples.fold(None, |sum, sample| Some(sum.unwrap_or(0.0) + sample))
}

/// A histogram of times, of one node or of several together.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Buckets {
    /// Upper bounds in microseconds, rising, and how many times were not above them.
    bounds: Vec<(u64, u64)>,
    count: u64,
    sum_s: f64,
}

impl Buckets {
    /// Adds the histogram without labels that a node's text has under this name.
    pub fn add(&mut self, text: &str, name: &str) {
        self.count += value(text, &format!("{name}_count")).unwrap_or(0.0) as u64;
        self.sum_s += value(text, &format!("{name}_sum")).unwrap_or(0.0);
        let head = format!("{name}_bucket{{le=\"");
        for (bound, count) in text.lines().filter_map(|line| line.strip_prefix(&head)?.split_once("\"} ")) {
            let (Ok(bound_s), Ok(count)) = (bound.parse::<f64>(), count.trim().parse::<u64>()) else { continue };
            if bound_s.is_finite() {
                self.add_bound((bound_s * 1e6).round() as u64, count);
            }
        }
    }

    /// Nodes of one version have the same bounds, in the same order.
    fn add_bound(&mut self, bound_us: u64, count: u64) {
        match self.bounds.iter_mut().find(|(known, _)| *known == bound_us) {
            Some((_, known)) => *known += count,
            None => self.bounds.push((bound_us, count)),
        }
    }

    /// The times as a stage, each quantile told as the upper bound of the bucket that it lies in; `None` when there are none, or some lie
    /// above all bounds.
    pub fn latency(&self, stage: &str) -> Option<Latency> {
        let bound = |quantile: f64| {
            let rank = (quantile * self.count as f64).ceil() as u64;
            self.bounds.iter().find(|(_, count)| *count >= rank.max(1)).map(|(bound_us, _)| *bound_us)
        };
        let quantiles = NAMED.into_iter().map(|at| Some((at, bound(at)?))).collect::<Option<Vec<_>>>()?;
        Some(Latency {
            stage: format!("{stage}{BY_BUCKETS}"),
            count: self.count,
            mean_us: self.sum_s * 1e6 / self.count as f64,
            max_us: quantiles.last().map_or(0, |(_, us)| *us),
            quantiles,
            histogram: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_are_added_up() {
        let text = "# TYPE a counter\na{reason=\"x\"} 2\na{reason=\"y z\"} 3\na_total 7\nb 1.5\n";
        assert_eq!([value(text, "a"), value(text, "a_total"), value(text, "b"), value(text, "c")], [Some(5.0), Some(7.0), Some(1.5), None]);
    }

    #[test]
    fn a_quantile_is_the_upper_bound_of_its_bucket() {
        let text = |above: u64| {
            format!(
                "a_bucket{{le=\"0.001\"}} 6\na_bucket{{le=\"0.0025\"}} 10\na_bucket{{le=\"+Inf\"}} {0}\na_sum 0.008\na_count {0}\n",
                10 + above
            )
        };
        let mut buckets = Buckets::default();
        buckets.add(&text(0), "a");
        buckets.add(&text(0), "a");
        let latency = buckets.latency("log → node").unwrap();
        assert_eq!((latency.at(0.5), latency.at(0.9), latency.max_us, latency.count), (1_000, 2_500, 2_500, 20));
        assert!((latency.mean_us - 800.0).abs() < 1e-6);
        assert_eq!(latency.stage, "log → node, by buckets");
        buckets.add(&text(1), "a");
        assert_eq!(buckets.latency("log → node"), None, "nobody knows how long the longest took");
        assert_eq!(Buckets::default().latency("log → node"), None);
    }
}
