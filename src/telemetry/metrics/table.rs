//! The table of metrics, and the page made from it.

use std::fmt::Write;

/// What a metric is and means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metric {
    /// As Prometheus reads it.
    pub name: &'static str,
    pub kind: Kind,
    pub unit: &'static str,
    /// At most one, with a bounded number of values.
    pub labels: &'static [Label],
    pub help: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A label and which values it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Label {
    pub name: &'static str,
    pub values: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal, $unit:literal, [$($label:literal: $values:literal)?], $help:literal;)+) => {
        $(pub(super) const $id: Metric = Metric {
            name: concat!("roomcast_", $name),
            kind: Kind::$kind,
            unit: $unit,
            labels: &[$(Label { name: $label, values: $values })?],
            help: $help,
        };)+

        /// Every metric there is.
        pub const METRICS: &[Metric] = &[$($id),+];
    };
}

metrics! {
    SESSIONS = Gauge "sessions", "sessions", [], "Sessions that are open on this node.";
    SESSIONS_OPENED = Counter "sessions_opened_total", "sessions", [], "Sessions opened since the start.";
    SESSIONS_LAGGING = Gauge "sessions_lagging", "sessions", [], "Sessions that are being caught up from the log.";
    CLOSES = Counter "closes_total", "closes", ["code": "the close code of docs/protocol.md"], "Connections that the server closed.";
    ERRORS = Counter "errors_total", "errors", ["code": "the error code of docs/protocol.md"], "Errors that clients and publishers were told.";
    ORGS = Gauge "orgs", "orgs", [], "Orgs with a session on this node.";
    ROOMS = Gauge "rooms", "rooms", [], "Patterns with a subscription on this node.";
    ORG_SESSIONS = Gauge "org_sessions", "sessions", ["org": "the org, or `(others)`; only with `telemetry.metrics.orgs_max`"], "Sessions of an org on this node.";
    ORG_PUBLICATIONS = Counter "org_publications_total", "publications", ["org": "the org, or `(others)`; only with `telemetry.metrics.orgs_max`"], "Publications of an org that came to this node, each counted on every node with a session of it.";
    ORG_DELIVERED = Counter "org_delivered_total", "publications", ["org": "the org, or `(others)`; only with `telemetry.metrics.orgs_max`"], "Publications of an org handed to sessions of this node, each counted once per session.";
    PRESENCE_SESSIONS = Gauge "presence_sessions", "sessions", [], "Sessions of this node that are present in a room, once for each room.";
    PRESENCE_WATCHERS = Gauge "presence_watchers", "sessions", [], "Sessions of this node that watch who is in a room, once for each room.";
    PRESENCE_DIFFS = Counter "presence_diffs_total", "diffs", [], "Changes of presence handed to watchers, each batch counted once per watcher.";
    PRESENCE_READS = Counter "presence_reads_total", "reads", [], "Rooms whose presence was read from the broker: when they were first watched, and when news may have been missed.";
    PUBLISHED = Counter "published_total", "publications", [], "Publications accepted on this node and acknowledged by the broker.";
    PUBLISH_SECONDS = Histogram "publish_seconds", "seconds", [], "Time of one publish at the broker.";
    DELIVERED = Counter "delivered_total", "publications", [], "Publications handed to sessions, each counted once per session.";
    DELIVERED_BYTES = Counter "delivered_bytes_total", "bytes", [], "Bytes written to sessions.";
    DELIVERY_SECONDS = Histogram "delivery_seconds", "seconds", [], "Time from the append to the log until the write to a socket, by the clocks of both.";
    LAG_SECONDS = Histogram "lag_seconds", "seconds", [], "Time from the append to the log until this node heard of it.";
    SEND_QUEUE_BYTES = Gauge "send_queue_bytes", "bytes", [], "Bytes that wait in send queues.";
    DROPPED = Counter "dropped_total", "times", ["reason": "`overflow` (the session catches up from the log), `conflated`, `ephemeral`"], "Times that a send queue had no room and publications were not written from it.";
    RESUMES = Counter "resumes_total", "resumes", ["outcome": "`complete`, `gap`, `failed`"], "Catch-ups from an older position, of sessions that resumed or were too slow.";
    GAPS = Counter "gaps_total", "gaps", ["reason": "`trimmed`, `fork`, `log_lost`, `evicted`, `unreadable`"], "Losses that clients were told.";
    CATCH_UP_READS = Counter "catch_up_reads_total", "reads", ["source": "`tail` (the node's memory) or `log` (the broker)"], "Pages read to catch sessions up.";
    INTERRUPTIONS = Counter "interruptions_total", "interruptions", [], "Times that entries may have been missed and the log was read to make sure.";
    INGESTED = Counter "ingested_total", "entries", ["outcome": "`logged`, `duplicate`, `dead`"], "Entries taken from the ingest stream.";
    REDIS_ROUND_TRIP_SECONDS = Histogram "redis_round_trip_seconds", "seconds", [], "Time of one command to Redis.";
    REDIS_RECONNECTS = Counter "redis_reconnects_total", "connections", [], "Connections to Redis made anew after one was lost.";
    COLLECTION_WRITES = Counter "collection_writes_total", "writes", ["outcome": "`written`, `unchanged` (there was nothing to delete), `duplicate`, `conflict`, `full`, `quota`, `refused`, `unavailable`"], "Writes to collections that this node was asked for.";
    COLLECTION_READS = Counter "collection_reads_total", "reads", [], "Pages of collections read for sessions and REST, each once for all sessions that asked at the same time.";
    ITEMS_MALFORMED = Counter "items_malformed_total", "items", [], "Items of collections in Redis whose value is no JSON of ours and were skipped.";
    BUS_UNREADABLE = Counter "bus_unreadable_total", "messages", [], "Pub/sub messages that could not be read; the log was read instead.";
    MALFORMED = Counter "malformed_total", "entries", [], "Log entries that are no publications of ours and were skipped.";
    HISTORY_PAGES = Counter "history_pages_total", "pages", [], "Pages of the past that sessions asked for and got.";
    LATEST_PUBLICATIONS = Gauge "latest_publications", "publications", [], "Last publications of rooms that this node keeps for who subscribes with `latest`.";
    LATEST_BYTES = Gauge "latest_bytes", "bytes", [], "What these come to.";
    LATEST_BUILDS = Counter "latest_builds_total", "builds", [], "Times that the log of an org was read from its beginning for the last publications of its rooms.";
    LATEST_READS = Counter "latest_reads_total", "reads", [], "Pages of logs read for them, each once for all sessions that asked at the same time.";
    REDELIVERED = Counter "redelivered_total", "publications", [], "Publications sent again because they were not acknowledged.";
    OVERTOOK = Counter "overtook_total", "publications", [], "Urgent publications that sessions got ahead of others that waited for them.";
    BROKER_READY = Gauge "broker_ready", "0 or 1", [], "Whether the way to the broker is in order.";
    NOTES_IGNORED = Counter "notes_ignored_total", "notes", [], "Notes from other nodes that could not be read, or were too many to answer.";
    ACCEPTS_REFUSED = Counter "accepts_refused_total", "connections", [], "Connections that came faster than `server.accepts_per_s` allows and were sent away.";
    REVOCATIONS_PENDING = Gauge "revocations_pending", "revocations", [], "Revocations that this node could not tell the others yet, because the broker is away.";
    QUOTA_REFUSALS = Counter "quota_refusals_total", "refusals", ["quota": "`publications`, `bytes`, `sessions`, `subscriptions`"], "Times that an org's quota was used up and somebody was told so on this node; sessions by `limits.connections_per_org_max` too.";
    INGEST_DEFERRED = Gauge "ingest_deferred", "entries", [], "Entries of the ingest stream that wait until their org's quota lets them through.";
    POLLS_REPEATED = Counter "polls_repeated_total", "answers", [], "Answers to polls that did not come to their client and were given again.";
    CARRIED = Counter "carried_total", "requests", ["outcome": "`answered`, `unknown` (no such node), `unanswered`, `refused` (too many at a time)"], "Requests over HTTP for sessions of other nodes.";
    MOVES_ASKED = Counter "moves_asked_total", "sessions", ["reason": "`balance` (other nodes have fewer), `age` (`balance.connection_age_max_ms`)"], "Sessions asked to move to another node while this one goes on.";
    MOVES_PAUSED = Gauge "moves_paused", "0 or 1", [], "Whether this node asks nobody to move for a while, though it has more sessions than the others, because those that were asked came back to it.";
    SESSIONS_EXCESS = Gauge "sessions_excess", "sessions", [], "Sessions that this node has above the mean of all nodes, when it last compared; 0 while that is not known.";
    BUILD_INFO = Gauge "build_info", "1", ["version": "the version of roomcast"], "Always 1; its label tells what runs.";
}

/// docs/metrics.md.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Metrics\n\nThe internal listener serves them at `/metrics` as Prometheus text. This page is made from \
         `src/telemetry/metrics/table.rs`: `UPDATE_DOCS=1 cargo test --test it docs` writes it anew.\n\n\
         | metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{}`: {}", label.name, label.values)).collect();
        writeln!(page, "| `{}` | {kind} | {} | {} | {} |", metric.name, metric.unit, labels.join("; "), metric.help)
            .expect("writing into memory cannot fail");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_kind() {
        for metric in METRICS {
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert_eq!(metric.kind == Kind::Histogram, metric.name.ends_with("_seconds"), "{}", metric.name);
            assert_eq!(metric.unit == "bytes", metric.name.contains("_bytes"), "{}", metric.name);
        }
    }
}
