//! Every key and topic that roomcast uses in Redis, in one place. Pure.
//!
//! An org's keys carry it as hash tag, so that they lie in one slot of a Cluster and one function call reaches them all.

use crate::protocol::{OrgId, RoomName};

/// Names under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: Box<str>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// What the functions get as their key; log, epoch, lineage, idempotency keys and collections are derived from it.
    pub(super) fn base(&self, org: &OrgId) -> String {
        format!("{}:{{{org}}}", self.prefix)
    }

    /// The log that belongs to a base key.
    pub(super) fn log_of(base: &str) -> String {
        format!("{base}:log")
    }

    /// Where an org's publications are fanned out.
    pub(super) fn topic(&self, org: &OrgId) -> String {
        format!("{}:{{{org}}}:bus", self.prefix)
    }

    /// Counts of connections, per node.
    pub(super) fn connections(&self, org: &OrgId) -> String {
        format!("{}:{{{org}}}:conns", self.prefix)
    }

    /// What the org may use, where that differs from the default.
    pub(super) fn quota(&self, org: &OrgId) -> String {
        format!("{}:{{{org}}}:quota", self.prefix)
    }

    /// Who keeps presence in an org, and until when.
    pub(super) fn presence(&self, org: &OrgId) -> String {
        format!("{}:{{{org}}}:presence", self.prefix)
    }

    /// The sessions in one room.
    pub(super) fn presence_room(&self, room: &RoomName) -> String {
        format!("{}:{room}", self.presence(room.org()))
    }

    /// Orgs by the time when they were last opened.
    pub(super) fn orgs(&self) -> String {
        format!("{}:orgs", self.prefix)
    }

    pub(super) fn nodes(&self) -> String {
        format!("{}:nodes", self.prefix)
    }

    pub(super) fn revocations(&self) -> String {
        format!("{}:revocations", self.prefix)
    }

    /// The topic of notes to one node, or to all.
    pub(super) fn control(&self, node: Option<&str>) -> String {
        node.map_or_else(|| format!("{}:control", self.prefix), |node| format!("{}:control:{node}", self.prefix))
    }

    /// Where the SHA-1 of the publish script stands for publishers that cannot call functions.
    pub(super) fn publish_sha(&self) -> String {
        format!("{}:publish:sha", self.prefix)
    }

    /// The same of the script that writes to collections.
    pub(super) fn sync_sha(&self) -> String {
        format!("{}:sync:sha", self.prefix)
    }

    /// The stream that backends write to; the first shard goes by the plain name.
    pub(super) fn ingest(&self, shard: u32) -> String {
        if shard == 0 { format!("{}:ingest", self.prefix) } else { format!("{}:ingest:{shard}", self.prefix) }
    }

    /// Who consumes a shard.
    pub(super) fn ingest_owner(&self, shard: u32) -> String {
        format!("{}:ingest:owner:{shard}", self.prefix)
    }

    pub(super) fn ingest_dead(&self) -> String {
        format!("{}:ingest:dead", self.prefix)
    }
}
