//! What a node counts, from the Prometheus text of its internal port (docs/metrics.md). Pure.

/// The sum of a counter or gauge over all its labels; `None` where the text does not have it.
pub(super) fn value(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = if rest.starts_with('{') { rest.split_once('}')?.1 } else { rest };
        rest.strip_prefix(' ')?.split(' ').next()?.parse::<f64>().ok()
    });
    samples.fold(None, |sum, sample| Some(sum.unwrap_or(0.0) + sample))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_name_are_added_up() {
        let text = "# TYPE a counter\na{reason=\"x\"} 2\na{reason=\"y z\"} 3\na_total 7\nb 1.5\n";
        assert_eq!([value(text, "a"), value(text, "a_total"), value(text, "b"), value(text, "c")], [Some(5.0), Some(7.0), Some(1.5), None]);
    }
}
