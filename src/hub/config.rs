//! Bounds and times of the hub.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::latest;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Recent log kept in memory per org, in bytes. Resumes and catch-ups within it do not read the broker.
    pub tail_bytes_max: usize,
    /// Publications waiting for one session, in bytes. A session beyond it is lagging and is caught up from the log.
    pub queue_bytes_max: usize,
    /// Replies waiting for one session, in bytes. Beyond it no further command of the session is read.
    pub replies_bytes_max: usize,
    /// Commands from sessions waiting for one org.
    pub commands_max: usize,
    /// Events from the broker waiting for one org; more count as an interruption, which is repaired from the log.
    pub events_max: usize,
    /// Entries in one read of the log.
    pub page_entries_max: usize,
    /// Bytes in one read of the log.
    pub page_bytes_max: usize,
    /// Reads of logs that a node has under way at a time. Each org has one at most, and they have their turns in the order in which they ask.
    pub reads_max: usize,
    /// Changes of sessions (subscriptions, falling behind, gaps, ends) that are remembered per org, for `GET /api/ws/explain`; 0: none.
    pub trace_entries_max: usize,
    /// The same in bytes.
    pub trace_bytes_max: usize,
    /// Orgs whose sessions' changes are remembered; of orgs without sessions the one that was busy the longest ago is forgotten first.
    pub trace_orgs_max: usize,
    /// How often the logs of orgs with sessions are probed for entries that pub/sub lost, in milliseconds, while something is published.
    pub probe_interval_ms: u64,
    /// The longest pause between probes of an org in which nothing is published, in milliseconds: pauses double until then. So long at most, and
    /// two intervals more, the loss of a message goes unnoticed that nothing follows.
    pub probe_interval_max_ms: u64,
    /// Entries that one `history` command looks at, and publications that it answers with at most.
    pub history_entries_max: usize,
    /// Bytes of publications in the answer to one `history` command; the one that exceeds it is the last.
    pub history_bytes_max: usize,
    /// `history` commands, and orgs whose rooms are read for `latest`, that read at a time on this node; further ones wait for their turn.
    pub history_reads_max: usize,
    /// Different filters of one org's subscriptions on this node: each is asked once per publication that reaches it.
    pub filters_max: usize,
    /// How long an org's topic is kept after its last session left, in milliseconds.
    pub linger_ms: u64,
    /// Urgent publications that one session may get ahead of others that wait for it; more come in their turn. 0: none ever overtakes.
    pub overtaking_max: usize,
    /// Whether sessions that read too slowly get only the latest publication of low priority per room and event.
    pub conflate_low: bool,
    /// Publications that ask to be acknowledged.
    pub acks: AcksConfig,
    /// The last publications of rooms, for who subscribes with `latest`.
    pub latest: latest::Config,
}

/// Bounds and times of what waits to be acknowledged.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AcksConfig {
    /// How long after it was sent a publication that was not acknowledged is sent again, in milliseconds; each time it takes twice as long.
    pub redelivery_ms: u64,
    /// How often one publication is sent to one session again.
    pub redeliveries_max: u32,
    /// Publications that one session has not acknowledged. Beyond it the oldest is given up.
    pub outstanding_max: usize,
    /// Publications of one org whose acknowledgements are counted on this node. Beyond it the oldest is given up.
    pub publications_max: usize,
    /// What these come to, in bytes.
    pub publications_bytes_max: usize,
    /// How often what was acknowledged is reported to the broker, in milliseconds.
    pub report_interval_ms: u64,
    /// How long after their deadline receipts are completed that the nodes which counted them did not complete, in milliseconds.
    pub settle_after_ms: u64,
}

impl Default for AcksConfig {
    fn default() -> Self {
        Self {
            redelivery_ms: 5_000,
            redeliveries_max: 3,
            outstanding_max: 256,
            publications_max: 1_000,
            publications_bytes_max: 8 << 20,
            report_interval_ms: 250,
            settle_after_ms: 5_000,
        }
    }
}

/// Limits of the hub that the configuration's `limits` section sets.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Subscriptions of one session, those to its own org and user included.
    pub subscriptions_max: usize,
    /// Sessions of this node subscribed to the same room or pattern.
    pub room_members_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tail_bytes_max: 4 << 20,
            queue_bytes_max: 256 << 10,
            replies_bytes_max: 64 << 10,
            commands_max: 1_024,
            events_max: 4_096,
            page_entries_max: 64,
            page_bytes_max: 1 << 20,
            reads_max: 8,
            trace_entries_max: 2_048,
            trace_bytes_max: 256 << 10,
            trace_orgs_max: 256,
            probe_interval_ms: 1_000,
            probe_interval_max_ms: 8_000,
            history_entries_max: 1_000,
            history_bytes_max: 256 << 10,
            history_reads_max: 8,
            filters_max: 10_000,
            linger_ms: 10_000,
            overtaking_max: 64,
            conflate_low: true,
            acks: AcksConfig::default(),
            latest: latest::Config::default(),
        }
    }
}

impl Config {
    /// What is wrong with these values, if anything is: `(key, sentence)`.
    pub fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        if self.page_entries_max < 2 {
            faults.push(("page_entries_max", "must be at least 2: comparing two histories needs two entries"));
        }
        for (key, value) in [
            ("queue_bytes_max", self.queue_bytes_max),
            ("commands_max", self.commands_max),
            ("events_max", self.events_max),
            ("page_bytes_max", self.page_bytes_max),
            ("history_entries_max", self.history_entries_max),
            ("history_reads_max", self.history_reads_max),
            ("reads_max", self.reads_max),
        ]
        .into_iter()
        .chain(self.latest.positive())
        {
            if value == 0 {
                faults.push((key, "must be more than 0"));
            }
        }
        for (key, value) in [
            ("probe_interval_ms", self.probe_interval_ms),
            ("acks.redelivery_ms", self.acks.redelivery_ms),
            ("acks.report_interval_ms", self.acks.report_interval_ms),
        ] {
            if value == 0 {
                faults.push((key, "must be more than 0"));
            }
        }
        if self.probe_interval_max_ms < self.probe_interval_ms {
            faults.push(("probe_interval_max_ms", "must be at least probe_interval_ms"));
        }
        faults
    }
}
