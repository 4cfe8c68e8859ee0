//! What a run of `rolling` came to, as figures and in words.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Way;
use super::crowd::Crowd;
use super::moves::{Away, Failure, told};
use crate::clock::micros;
use crate::figures::{Figures, Kind, lower};
use crate::ledger::Verdict;
use crate::report::number::count;
use crate::report::{Counts, Latency, Report};
use crate::target::balancer::Stats;

/// Publications missing at the end that are named.
const NAMED_MAX: usize = 5;

const DRAINED: Figured = Figured {
    p50: lower("term_away_p50_ms", "SIGTERM: end of a session → in again, p50", "ms"),
    p99: lower("term_away_p99_ms", "SIGTERM: end of a session → in again, p99", "ms"),
    max: lower("term_away_max_ms", "SIGTERM: end of a session → in again, longest", "ms"),
    unasked: lower("term_unasked_p99_ms", "SIGTERM: the same without the wait that the node asked for, p99", "ms"),
    failures: lower("term_connect_failures", "SIGTERM: attempts to connect that came to nothing", ""),
    torn: lower("term_torn", "SIGTERM: sessions that ended without a close frame", ""),
};
const KILLED: Figured = Figured {
    p50: lower("kill_away_p50_ms", "SIGKILL: end of a session → in again, p50", "ms"),
    p99: lower("kill_away_p99_ms", "SIGKILL: end of a session → in again, p99", "ms"),
    max: lower("kill_away_max_ms", "SIGKILL: end of a session → in again, longest", "ms"),
    unasked: lower("kill_unasked_p99_ms", "SIGKILL: the same without the wait that a node asked for, p99", "ms"),
    failures: lower("kill_connect_failures", "SIGKILL: attempts to connect that came to nothing", ""),
    torn: lower("kill_torn", "SIGKILL: sessions that ended without a close frame", ""),
};
const ACK_P99: Kind = lower("publish_p99_ms", "first attempt → acknowledgement, p99", "ms");
const ACK_MAX: Kind = lower("publish_max_ms", "first attempt → acknowledgement, longest", "ms");
const RETRIES: Kind = lower("publish_retries", "attempts to publish that were made again", "");
pub(in crate::scenario) const FIGURES: [Kind; 15] = [
    DRAINED.p50,
    DRAINED.p99,
    DRAINED.max,
    DRAINED.unasked,
    DRAINED.failures,
    DRAINED.torn,
    KILLED.p50,
    KILLED.p99,
    KILLED.max,
    KILLED.unasked,
    KILLED.failures,
    KILLED.torn,
    ACK_P99,
    ACK_MAX,
    RETRIES,
];

/// The figures of one way to go.
struct Figured {
    p50: Kind,
    p99: Kind,
    max: Kind,
    unasked: Kind,
    failures: Kind,
    torn: Kind,
}

/// What one way came to.
pub struct Stretch {
    pub way: Way,
    pub begun: Instant,
    pub ended: Instant,
    pub counted: Stats,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Sigterm => "SIGTERM",
            Self::Sigkill => "SIGKILL",
        }
    }

    fn figured(self) -> &'static Figured {
        match self {
            Self::Sigterm => &DRAINED,
            Self::Sigkill => &KILLED,
        }
    }
}

/// Puts into the report what the run came to.
pub fn tell(crowd: &Crowd, stretches: &[Stretch], report: &mut Report) {
    let (mut figures, moves) = (Figures::default(), crowd.moves());
    let mut drained_torn = 0;
    for Stretch { way, begun, ended, counted } in stretches {
        let time = *begun..*ended;
        let aways: Vec<Away> = moves.iter().flat_map(|moves| &moves.aways).filter(|away| time.contains(&away.ended)).copied().collect();
        let failures: Vec<&Failure> = moves.iter().flat_map(|moves| &moves.failures).filter(|failure| time.contains(&failure.at)).collect();
        let torn = aways.iter().filter(|away| away.torn).count();
        let figured = way.figured();
        let took = histogram(aways.iter().map(|away| away.took));
        for (kind, quantile) in [(figured.p50, 0.5), (figured.p99, 0.99), (figured.max, 1.0)] {
            figures.add(kind, took.value_at_quantile(quantile) as f64 / 1_000.0);
        }
        let unasked = histogram(aways.iter().map(|away| away.took.saturating_sub(away.asked)));
        figures.add(figured.unasked, unasked.value_at_quantile(0.99) as f64 / 1_000.0);
        figures.add(figured.failures, failures.len() as f64);
        figures.add(figured.torn, torn as f64);
        let name = way.name();
        report.latencies.push(Latency::of(&format!("end of a session → in again, {name}"), &took));
        report.remarks.push(format!(
            "{name}: {} sessions moved; attempts that came to nothing: {}",
            count(aways.len() as u64),
            told(failures)
        ));
        report.remarks.push(format!(
            "{name}, unseen by clients: {} attempts of the balancer to reach a node failed, {} requests were tried again, {} of them at another \
             node; in a node's place it answered {}",
            count(counted.failed),
            count(counted.retried + counted.redispatched),
            count(counted.redispatched),
            count(counted.refused)
        ));
        drained_torn += if *way == Way::Sigterm { torn as u64 } else { 0 };
    }
    tell_publishing(crowd, &mut figures, report);
    let verdict = crowd.ledger().verdict();
    report.ledger = counts(&verdict, drained_torn);
    if verdict.silent > 0 {
        report.remarks.push(format!("never came to somebody who was owed it: {}, …", crowd.owed_marks(NAMED_MAX).join(", ")));
    }
    report.figures = figures.into_figures();
}

fn tell_publishing(crowd: &Crowd, figures: &mut Figures, report: &mut Report) {
    let attempts = crowd.attempts();
    let (acked, again): (Vec<_>, Vec<_>) = attempts.iter().partition(|attempt| attempt.why.is_empty());
    let took = histogram(acked.iter().map(|attempt| attempt.over - attempt.first));
    figures.add(ACK_P99, took.value_at_quantile(0.99) as f64 / 1_000.0);
    figures.add(ACK_MAX, took.max() as f64 / 1_000.0);
    figures.add(RETRIES, again.len() as f64);
    report.latencies.push(Latency::of("first attempt → acknowledgement", &took));
    let mut whys: BTreeMap<&str, u64> = BTreeMap::new();
    again.iter().for_each(|attempt| *whys.entry(&attempt.why).or_default() += 1);
    let words: Vec<String> = whys.iter().map(|(why, count)| format!("{count} × {why}")).collect();
    if !words.is_empty() {
        report.remarks.push(format!("attempts to publish that were made again, under the same key: {}", words.join(", ")));
    }
}

/// The ledger's words in those of a report. Everything was sent again until it was acknowledged, so what is refused in the end is none.
fn counts(verdict: &Verdict, drained_torn: u64) -> Counts {
    Counts {
        published: verdict.publishes,
        received: verdict.receipts,
        lost: verdict.silent,
        behind: verdict.reorder + verdict.dup + verdict.twice,
        misrouted: verdict.cross + verdict.stray,
        gaps: verdict.gaps,
        closed: drained_torn,
        refused: verdict.refused + verdict.unknown,
    }
}

/// In microseconds, up to a minute.
fn histogram(times: impl Iterator<Item = Duration>) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_max(600_000_000, 3).expect("three digits of ten minutes are within what a histogram can hold");
    times.for_each(|time| histogram.saturating_record(micros(time)));
    histogram
}
