//! What can be set about the way to Redis.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::broker::collections::Config as CollectionsConfig;
use crate::broker::receipts;
use crate::limit::quota::{self, Quota};

/// What kind of Redis installation `url` and `nodes` lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One server at `url`.
    #[default]
    Standalone,
    /// The primary that the Sentinels in `nodes` name.
    Sentinel,
    /// A Cluster, found through `nodes`.
    Cluster,
}

/// The way to Redis and the bounds of what is kept there. Every node of a cluster must have the same values, except for timeouts.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `redis://[user:password@]host:port[/db]`, or `rediss://` for TLS. With Sentinel, host and port are ignored; the rest applies to
    /// the primary. With Cluster, user, password and scheme apply to every node.
    #[schemars(extend("writeOnly" = true))]
    pub url: String,
    /// Kind of installation: `standalone`, `sentinel` or `cluster`.
    pub mode: Mode,
    /// URLs of the Sentinels (with their own credentials) or of some nodes of the Cluster.
    #[schemars(extend("writeOnly" = true))]
    pub nodes: Vec<String>,
    /// The name under which the Sentinels watch the primary.
    pub sentinel_primary: String,
    /// File with the certificate authority (PEM) that signed Redis' certificate; empty: the built-in public ones.
    pub tls_ca_file: String,
    /// First part of every key and topic.
    pub prefix: String,
    /// How long connecting to one server may take.
    pub connect_timeout_ms: u64,
    /// How long one command, a publish among them, may take.
    pub command_timeout_ms: u64,
    /// How long a publish with `ack=replica` waits for a replica.
    pub replica_timeout_ms: u64,
    /// How often the connections are probed; a probe that goes unanswered for twice as long counts as a lost connection.
    pub watchdog_interval_ms: u64,
    /// Longest pause between attempts to connect again.
    pub reconnect_pause_max_ms: u64,
    /// Commands that may be under way to Redis at once; more wait.
    pub commands_max: usize,
    /// Largest `data` of a publication. What stands in a log and is larger is skipped, so do not lower it while such is kept.
    pub data_bytes_max: usize,
    /// Entries kept per org, roughly.
    pub entries_max: usize,
    /// Memory of Redis that an org's log may take, roughly.
    pub bytes_max: u64,
    /// How long an entry is kept.
    pub age_max_s: u64,
    /// A log that nobody published into or opened for this long is removed as a whole.
    pub idle_max_s: u64,
    /// How often a node trims the logs of the orgs that it has joined to `bytes_max` and `age_max_s`. Logs into which little is published are
    /// looked at up to 32 times less often, but so that nothing is kept for longer than a sixteenth beyond its age.
    pub trim_interval_s: u64,
    /// How long an idempotency key is remembered.
    pub idempotency_window_s: u64,
    /// How long the registration and the connection counts of a node outlive it.
    pub lease_ms: u64,
    /// Revocations kept, roughly.
    pub revocations_max: usize,
    /// How long revocations are kept; longer than tokens live.
    pub revocation_age_max_s: u64,
    /// Bounds of collections.
    pub collections: CollectionsConfig,
    /// The stream that backends write to.
    pub ingest: IngestConfig,
    /// What an org may use of which nothing else was said; the node sets it, and the next, from the section `quotas`.
    #[serde(skip)]
    pub quota: Quota,
    /// Calls of one org that may be under way at once.
    #[serde(skip)]
    pub calls_per_org_max: usize,
    /// Receipts of publications that ask to be acknowledged.
    pub receipts: receipts::Config,
}

/// The stream that backends write to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IngestConfig {
    /// Whether this node consumes it.
    pub enabled: bool,
    /// How many streams there are: `rc:ingest`, `rc:ingest:1`, … Each is consumed in order, by one node at a time.
    pub shards: u32,
    /// Entries fetched at once.
    pub batch: usize,
    /// How long a shard stays with a node that no longer renews.
    pub owner_lease_ms: u64,
    /// Refused entries kept in `rc:ingest:dead`, roughly.
    pub dead_max: usize,
    /// Entries of one org per shard that wait when its quota is used up; further ones go to the dead letters.
    pub deferred_per_org_max: usize,
    /// The same for all orgs together.
    pub deferred_max: usize,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            shards: 1,
            batch: 64,
            owner_lease_ms: 5_000,
            dead_max: 10_000,
            deferred_per_org_max: 10_000,
            deferred_max: 100_000,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".into(),
            mode: Mode::Standalone,
            nodes: Vec::new(),
            sentinel_primary: "mymaster".into(),
            tls_ca_file: String::new(),
            prefix: "rc".into(),
            connect_timeout_ms: 2_000,
            command_timeout_ms: 2_000,
            replica_timeout_ms: 1_000,
            watchdog_interval_ms: 750,
            reconnect_pause_max_ms: 1_000,
            commands_max: 10_000,
            data_bytes_max: 1 << 20,
            entries_max: 100_000,
            bytes_max: 256 << 20,
            age_max_s: 86_400,
            idle_max_s: 7 * 86_400,
            trim_interval_s: 10,
            idempotency_window_s: 600,
            lease_ms: 10_000,
            revocations_max: 100_000,
            revocation_age_max_s: 86_400,
            collections: CollectionsConfig::default(),
            ingest: IngestConfig::default(),
            quota: Quota::default(),
            calls_per_org_max: quota::Config::default().broker_calls_per_org_max,
            receipts: receipts::Config::default(),
        }
    }
}

impl fmt::Debug for Config {
    /// Shows everything but addresses, which may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &"…")
            .field("mode", &self.mode)
            .field("nodes", &self.nodes.len())
            .field("prefix", &self.prefix)
            .field("ingest", &self.ingest)
            .finish_non_exhaustive()
    }
}
