//! Latencies between histograms and reports: the quantiles that people read, and the whole distribution for those who merge.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};

use super::Latency;

/// Quantiles that tables and thresholds name.
pub(crate) const NAMED: [f64; 8] = [0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1.0];
/// Points of the curve for each power of ten that the remainder shrinks by.
const POINTS_PER_DECADE: u32 = 8;
const DECADES: u32 = 6;
/// The longest histogram that is taken in, in base64 characters: some 20 times what 3 digits over a minute need.
const ENCODED_MAX: usize = 4 << 20;
/// Ten hours in microseconds: nobody waits longer, and a counter for every value up to there still takes little room.
const VALUE_MAX_US: u64 = 36_000_000_000;
const DIGITS_MAX: u8 = 4;

impl Latency {
    /// What `histogram` (microseconds) holds, with quantiles up to what its count can tell: of 100 values there is no p99.9.
    pub fn of(stage: &str, histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self { stage: stage.to_owned(), ..Self::default() };
        }
        let curve = (0..=POINTS_PER_DECADE * DECADES).map(|step| 1.0 - 10f64.powf(-f64::from(step) / f64::from(POINTS_PER_DECADE)));
        let mut quantiles: Vec<f64> = curve.chain(NAMED).collect();
        quantiles.sort_unstable_by(f64::total_cmp);
        quantiles.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
        let told = 1.0 - 1.0 / histogram.len() as f64;
        quantiles.retain(|at| *at <= told + 1e-12 || *at == 1.0);
        let mut bytes = Vec::new();
        let encoded = V2Serializer::new().serialize(histogram, &mut bytes).is_ok().then(|| STANDARD.encode(&bytes));
        Self {
            stage: stage.to_owned(),
            count: histogram.len(),
            mean_us: histogram.mean(),
            max_us: histogram.max(),
            quantiles: quantiles.into_iter().map(|at| (at, histogram.value_at_quantile(at))).collect(),
            histogram: encoded,
        }
    }

    /// The distribution, where it was written down and can be read; bounded, since it may come from another machine.
    pub fn distribution(&self) -> Option<Histogram<u64>> {
        let text = self.histogram.as_ref().filter(|text| text.len() <= ENCODED_MAX)?;
        let bytes = STANDARD.decode(text).ok()?;
        // Bytes 12 to 16 hold the digits, 24 to 32 the highest value (HdrHistogram's V2 encoding): both decide how much memory is taken.
        let digits = u32::from_be_bytes(bytes.get(12..16)?.try_into().ok()?);
        let highest = u64::from_be_bytes(bytes.get(24..32)?.try_into().ok()?);
        if digits > u32::from(DIGITS_MAX) || highest > VALUE_MAX_US {
            return None;
        }
        Deserializer::new().deserialize(&mut Cursor::new(bytes)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
        values.into_iter().for_each(|us| histogram.record(us).unwrap());
        histogram
    }

    #[test]
    fn a_distribution_survives_being_written() {
        let taken = histogram((1..=10_000).map(|n| n * 7));
        let latency = Latency::of("publish → socket", &taken);
        assert_eq!(latency.distribution().unwrap(), taken);
        assert_eq!(latency.at(0.5), taken.value_at_quantile(0.5));
        assert_eq!(latency.at(0.99), taken.value_at_quantile(0.99));
        assert_eq!(latency.at(1.0), taken.max());
        assert!(latency.quantiles.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
    }

    #[test]
    fn few_values_have_no_far_quantiles() {
        let latency = Latency::of("publish → log", &histogram(1..=100));
        let beyond: Vec<f64> = latency.quantiles.iter().map(|(at, _)| *at).filter(|at| *at > 0.99).collect();
        assert_eq!(beyond, [1.0]);
        assert_eq!(Latency::of("nothing", &histogram([])).quantiles, []);
    }

    #[test]
    fn a_distribution_that_would_take_much_memory_is_not_read() {
        let mut latency = Latency::of("publish → socket", &histogram([5]));
        let mut bytes = STANDARD.decode(latency.histogram.as_ref().unwrap()).unwrap();
        bytes[24..32].copy_from_slice(&u64::MAX.to_be_bytes());
        latency.histogram = Some(STANDARD.encode(&bytes));
        assert_eq!(latency.distribution(), None);
        latency.histogram = Some("no base64!".to_owned());
        assert_eq!(latency.distribution(), None);
    }
}
