//! Every metric: its name, kind, unit, labels and meaning, in one table, and the handles to count with.
//!
//! Whoever counts calls a function below, so no name stands anywhere else; handles are made once and then cost one atomic
//! operation. No metric has a label for rooms or users, whose number has no bound; those of `orgs` have one for as many as an operator
//! asked for. docs/metrics.md is made from the table.

pub mod orgs;
mod table;

use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit, counter, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::protocol::{CloseCode, Code, GapReason};

pub use table::{Kind, METRICS, Metric, markdown};

/// How often samples of histograms are folded; they pile up between two scrapes otherwise.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Upper bounds of the histograms' buckets, in seconds: fine around a millisecond, where a healthy node is.
const SECONDS_BUCKETS: [f64; 14] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Makes this process count. Called by `telemetry::start`; any handle does it too, so that none is ever made too early.
pub fn install() {
    handle();
}

/// Has every counter and gauge shown at zero, as a node begins. One that first appears with the event that it counts hides that very event:
/// `increase()` knows nothing from before. `broker_ready` is not among them, since its zero means something.
pub fn begin(of_orgs: &orgs::Config) {
    install();
    orgs::begin(of_orgs);
    for metric in METRICS.iter().filter(|metric| metric.labels.is_empty() && **metric != table::BROKER_READY) {
        match metric.kind {
            Kind::Counter => counter!(metric.name).increment(0),
            Kind::Gauge => gauge!(metric.name).increment(0.0),
            Kind::Histogram => {}
        }
    }
    resumes(ResumeOutcome::Complete).increment(0);
    gaps(GapReason::Trimmed).increment(0);
    catch_up_reads(CatchUpSource::Tail).increment(0);
    dropped(DropReason::Overflow).increment(0);
    ingested(IngestOutcome::Logged).increment(0);
    collection_writes(WriteOutcome::Written).increment(0);
    carried(Carried::Answered).increment(0);
    quota_refusals(QuotaKind::Sessions).increment(0);
    moves_asked(MoveReason::Balance).increment(0);
    errors(Code::InternalError).increment(0);
    for code in CloseCode::ALL {
        counter!(table::CLOSES.name, "code" => (code as u16).to_string()).increment(0);
    }
}

/// All metrics as Prometheus text, version 0.0.4.
pub fn render() -> String {
    handle().render()
}

/// Folds samples for ever; runs beside a node.
pub async fn upkeep() {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        handle().run_upkeep();
    }
}

fn handle() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let histograms = Matcher::Suffix("_seconds".into());
        let builder = PrometheusBuilder::new();
        let recorder =
            builder.set_buckets_for_metric(histograms, &SECONDS_BUCKETS).expect("the list of buckets is not empty").build_recorder();
        let handle = recorder.handle();
        // Another recorder can only be there when a program embeds this library and counts by itself: it then gets the counts.
        if metrics::set_global_recorder(recorder).is_ok() {
            METRICS.iter().for_each(Metric::describe);
            gauge!(table::BUILD_INFO.name, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        }
        handle
    })
}

/// A labelled metric's handles, one for each value, made at first use.
struct Family<H, const N: usize> {
    handles: LazyLock<[H; N]>,
}

impl<H, const N: usize> Family<H, N> {
    const fn new(make: fn() -> [H; N]) -> Self {
        Self { handles: LazyLock::new(make) }
    }

    fn at(&self, index: usize) -> &H {
        &self.handles[index]
    }
}

/// Defines a function that returns the handle of a metric without labels.
macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident: $kind:ident = $make:ident!($metric:ident);)+) => {$(
        $(#[$doc])*
        pub fn $name() -> &'static $kind {
            static HANDLE: LazyLock<$kind> = LazyLock::new(|| {
                install();
                $make!(table::$metric.name)
            });
            &HANDLE
        }
    )+};
}

plain! {
    sessions: Gauge = gauge!(SESSIONS);
    sessions_opened: Counter = counter!(SESSIONS_OPENED);
    sessions_lagging: Gauge = gauge!(SESSIONS_LAGGING);
    orgs: Gauge = gauge!(ORGS);
    rooms: Gauge = gauge!(ROOMS);
    presence_sessions: Gauge = gauge!(PRESENCE_SESSIONS);
    presence_watchers: Gauge = gauge!(PRESENCE_WATCHERS);
    presence_diffs: Counter = counter!(PRESENCE_DIFFS);
    presence_reads: Counter = counter!(PRESENCE_READS);
    published: Counter = counter!(PUBLISHED);
    publish_seconds: Histogram = histogram!(PUBLISH_SECONDS);
    delivered: Counter = counter!(DELIVERED);
    delivered_bytes: Counter = counter!(DELIVERED_BYTES);
    delivery_seconds: Histogram = histogram!(DELIVERY_SECONDS);
    lag_seconds: Histogram = histogram!(LAG_SECONDS);
    send_queue_bytes: Gauge = gauge!(SEND_QUEUE_BYTES);
    interruptions: Counter = counter!(INTERRUPTIONS);
    redis_round_trip_seconds: Histogram = histogram!(REDIS_ROUND_TRIP_SECONDS);
    redis_reconnects: Counter = counter!(REDIS_RECONNECTS);
    collection_reads: Counter = counter!(COLLECTION_READS);
    items_malformed: Counter = counter!(ITEMS_MALFORMED);
    bus_unreadable: Counter = counter!(BUS_UNREADABLE);
    malformed: Counter = counter!(MALFORMED);
    history_pages: Counter = counter!(HISTORY_PAGES);
    latest_publications: Gauge = gauge!(LATEST_PUBLICATIONS);
    latest_bytes: Gauge = gauge!(LATEST_BYTES);
    latest_builds: Counter = counter!(LATEST_BUILDS);
    latest_reads: Counter = counter!(LATEST_READS);
    overtook: Counter = counter!(OVERTOOK);
    redelivered: Counter = counter!(REDELIVERED);
    broker_ready: Gauge = gauge!(BROKER_READY);
    notes_ignored: Counter = counter!(NOTES_IGNORED);
    accepts_refused: Counter = counter!(ACCEPTS_REFUSED);
    revocations_pending: Gauge = gauge!(REVOCATIONS_PENDING);
    ingest_deferred: Gauge = gauge!(INGEST_DEFERRED);
    polls_repeated: Counter = counter!(POLLS_REPEATED);
    moves_paused: Gauge = gauge!(MOVES_PAUSED);
    sessions_excess: Gauge = gauge!(SESSIONS_EXCESS);
}

/// Why a session was asked to move to another node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoveReason {
    /// Other nodes have fewer sessions.
    Balance,
    /// It was open for long enough.
    Age,
}

pub fn moves_asked(reason: MoveReason) -> &'static Counter {
    static FAMILY: Family<Counter, 2> = Family::new(|| counters(&table::MOVES_ASKED, ["balance", "age"]));
    FAMILY.at(reason as usize)
}

/// How a resume ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResumeOutcome {
    /// Nothing was missing.
    Complete,
    /// The client was told a gap.
    Gap,
    /// It could not be served, for instance with the broker away.
    Failed,
}

pub fn resumes(outcome: ResumeOutcome) -> &'static Counter {
    static FAMILY: Family<Counter, 3> = Family::new(|| counters(&table::RESUMES, ["complete", "gap", "failed"]));
    FAMILY.at(outcome as usize)
}

pub fn gaps(reason: GapReason) -> &'static Counter {
    const REASONS: [GapReason; 5] = [GapReason::Trimmed, GapReason::Fork, GapReason::LogLost, GapReason::Evicted, GapReason::Unreadable];
    static FAMILY: Family<Counter, 5> = Family::new(|| counters(&table::GAPS, REASONS.map(GapReason::as_str)));
    FAMILY.at(reason as usize)
}

/// What became of a request over HTTP for another node's session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carried {
    Answered,
    /// There is no such node, or no longer.
    Unknown,
    /// The node said nothing in time.
    Unanswered,
    /// Too many were under way.
    Refused,
}

pub fn carried(outcome: Carried) -> &'static Counter {
    static FAMILY: Family<Counter, 4> = Family::new(|| counters(&table::CARRIED, ["answered", "unknown", "unanswered", "refused"]));
    FAMILY.at(outcome as usize)
}

/// What became of a write to a collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteOutcome {
    Written,
    /// There was nothing to delete.
    Unchanged,
    /// Its key had been used.
    Duplicate,
    Conflict,
    /// A bound was reached.
    Full,
    /// The org's quota was used up.
    Quota,
    Refused,
    Unavailable,
}

pub fn collection_writes(outcome: WriteOutcome) -> &'static Counter {
    const OUTCOMES: [&str; 8] = ["written", "unchanged", "duplicate", "conflict", "full", "quota", "refused", "unavailable"];
    static FAMILY: Family<Counter, 8> = Family::new(|| counters(&table::COLLECTION_WRITES, OUTCOMES));
    FAMILY.at(outcome as usize)
}

/// Where the entries of a catch-up came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CatchUpSource {
    /// The node's own memory.
    Tail,
    /// The broker's log.
    Log,
}

pub fn catch_up_reads(source: CatchUpSource) -> &'static Counter {
    static FAMILY: Family<Counter, 2> = Family::new(|| counters(&table::CATCH_UP_READS, ["tail", "log"]));
    FAMILY.at(source as usize)
}

/// Why a publication did not stay in a session's send queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DropReason {
    /// The queue was full; the session catches up from the log.
    Overflow,
    /// A later one of low priority took its place.
    Conflated,
    /// It is not logged, and there was no room for it.
    Ephemeral,
}

pub fn dropped(reason: DropReason) -> &'static Counter {
    static FAMILY: Family<Counter, 3> = Family::new(|| counters(&table::DROPPED, ["overflow", "conflated", "ephemeral"]));
    FAMILY.at(reason as usize)
}

/// Which of an org's quotas was used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuotaKind {
    Publications,
    Bytes,
    Sessions,
    Subscriptions,
}

pub fn quota_refusals(quota: QuotaKind) -> &'static Counter {
    const QUOTAS: [&str; 4] = ["publications", "bytes", "sessions", "subscriptions"];
    static FAMILY: Family<Counter, 4> = Family::new(|| counters(&table::QUOTA_REFUSALS, QUOTAS));
    FAMILY.at(quota as usize)
}

/// What became of an entry of the ingest stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IngestOutcome {
    Logged,
    /// It had been logged before, by a consumer that died.
    Duplicate,
    /// It was invalid and went to the dead letters.
    Dead,
}

pub fn ingested(outcome: IngestOutcome) -> &'static Counter {
    static FAMILY: Family<Counter, 3> = Family::new(|| counters(&table::INGESTED, ["logged", "duplicate", "dead"]));
    FAMILY.at(outcome as usize)
}

pub fn errors(code: Code) -> &'static Counter {
    static FAMILY: Family<Counter, { Code::ALL.len() }> = Family::new(|| counters(&table::ERRORS, Code::ALL.map(Code::as_str)));
    FAMILY.at(code as usize)
}

/// Counts a close. Closes are rare enough to look the handle up.
pub fn closed(code: CloseCode) {
    install();
    counter!(table::CLOSES.name, "code" => (code as u16).to_string()).increment(1);
}

fn counters<const N: usize>(metric: &'static Metric, values: [&'static str; N]) -> [Counter; N] {
    install();
    let label = metric.labels.first().map_or("", |label| label.name);
    values.map(|value| counter!(metric.name, label => value))
}

impl Metric {
    fn describe(&self) {
        let unit = match self.unit {
            "seconds" => Unit::Seconds,
            "bytes" => Unit::Bytes,
            _ => Unit::Count,
        };
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, unit, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, unit, self.help),
            Kind::Histogram => metrics::describe_histogram!(self.name, unit, self.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handle_counts_under_a_name_of_the_table() {
        for gauge in [
            sessions(),
            sessions_lagging(),
            orgs(),
            rooms(),
            send_queue_bytes(),
            broker_ready(),
            revocations_pending(),
            ingest_deferred(),
            presence_sessions(),
            presence_watchers(),
            latest_publications(),
            latest_bytes(),
            moves_paused(),
            sessions_excess(),
        ] {
            gauge.set(1.0);
        }
        for counter in [
            sessions_opened(),
            published(),
            delivered(),
            delivered_bytes(),
            interruptions(),
            redis_reconnects(),
            collection_reads(),
            items_malformed(),
            bus_unreadable(),
            malformed(),
            history_pages(),
            latest_builds(),
            latest_reads(),
            overtook(),
            redelivered(),
            notes_ignored(),
            accepts_refused(),
            polls_repeated(),
            presence_diffs(),
            presence_reads(),
        ] {
            counter.increment(1);
        }
        // Registered under names that no test counts by.
        for metric in [table::ORG_PUBLICATIONS, table::ORG_DELIVERED] {
            counter!(metric.name, "org" => "of a test").increment(1);
        }
        gauge!(table::ORG_SESSIONS.name, "org" => "of a test").set(1.0);
        for histogram in [publish_seconds(), delivery_seconds(), lag_seconds(), redis_round_trip_seconds()] {
            histogram.record(0.002);
        }
        resumes(ResumeOutcome::Gap).increment(1);
        gaps(GapReason::Evicted).increment(1);
        catch_up_reads(CatchUpSource::Log).increment(1);
        dropped(DropReason::Conflated).increment(1);
        ingested(IngestOutcome::Dead).increment(1);
        collection_writes(WriteOutcome::Conflict).increment(1);
        quota_refusals(QuotaKind::Sessions).increment(1);
        carried(Carried::Unknown).increment(1);
        moves_asked(MoveReason::Age).increment(1);
        errors(Code::InternalError).increment(1);
        closed(CloseCode::Drain);
        let text = render();
        for metric in METRICS {
            assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{} in {text}", metric.name);
        }
        // Other tests of this process count too.
        for series in [
            "roomcast_resumes_total{outcome=\"gap\"}",
            "roomcast_gaps_total{reason=\"evicted\"}",
            "roomcast_catch_up_reads_total{source=\"log\"}",
            "roomcast_dropped_total{reason=\"conflated\"}",
            "roomcast_ingested_total{outcome=\"dead\"}",
            "roomcast_quota_refusals_total{quota=\"sessions\"}",
            "roomcast_moves_asked_total{reason=\"age\"}",
            "roomcast_errors_total{code=\"INTERNAL_ERROR\"}",
            "roomcast_closes_total{code=\"4000\"}",
            "roomcast_delivery_seconds_bucket{le=\"0.0025\"}",
        ] {
            let counted = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<u64>().ok());
            assert!(counted.is_some_and(|counted| counted >= 1), "{series} in {text}");
        }
    }
}
