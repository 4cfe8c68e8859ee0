//! The Lua bodies as Redis takes them: one function library, or one script per function where functions are not to be had.
//!
//! `link` loads and calls them. Nothing here talks to Redis.

use sha1::{Digest, Sha1};

use super::config::{Config, Mode};
use super::quota;
use crate::broker::receipts::{RECEIPT_EVENT, SETTLED_AT_ONCE};
use crate::protocol::item::VALUE_DEPTH_MAX;
use crate::protocol::publication::DEPTH_MAX;

const BODY: &str = concat!(
    include_str!("scripts/quota.lua"),
    include_str!("scripts/roomcast.lua"),
    include_str!("scripts/sync.lua"),
    include_str!("scripts/leases.lua"),
    include_str!("scripts/presence.lua"),
    include_str!("scripts/receipts.lua")
);

/// Of the functions. Raised with every change by which those of the version before would fail nodes of this one (adr/0023).
pub(super) const VERSION: u32 = 1;

/// A function of the library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Function {
    Publish,
    Open,
    Newest,
    Read,
    Trim,
    Sync,
    Items,
    Lease,
    Register,
    Nodes,
    Version,
    Revoke,
    Own,
    PresenceChange,
    PresenceRead,
    PresenceKeep,
    PresenceSweep,
    ReportReceipts,
    SettleReceipts,
    Receipt,
}

impl Function {
    const ALL: [Self; 20] = [
        Self::Publish,
        Self::Open,
        Self::Newest,
        Self::Read,
        Self::Trim,
        Self::Sync,
        Self::Items,
        Self::Lease,
        Self::Register,
        Self::Nodes,
        Self::Version,
        Self::Revoke,
        Self::Own,
        Self::PresenceChange,
        Self::PresenceRead,
        Self::PresenceKeep,
        Self::PresenceSweep,
        Self::ReportReceipts,
        Self::SettleReceipts,
        Self::Receipt,
    ];

    /// Its name in Lua.
    fn local(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Open => "open",
            Self::Newest => "newest",
            Self::Read => "read",
            Self::Trim => "trim",
            Self::Sync => "sync",
            Self::Items => "items",
            Self::Lease => "lease",
            Self::Register => "register",
            Self::Nodes => "nodes",
            Self::Version => "version",
            Self::Revoke => "revoke",
            Self::Own => "own",
            Self::PresenceChange => "presence_change",
            Self::PresenceRead => "presence_read",
            Self::PresenceKeep => "presence_keep",
            Self::PresenceSweep => "presence_sweep",
            Self::ReportReceipts => "report_receipts",
            Self::SettleReceipts => "settle_receipts",
            Self::Receipt => "receipt",
        }
    }

    fn index(self) -> usize {
        self as usize
    }

    /// Whether it works on an org's log, and so is called with the log as a second key.
    pub(super) fn is_on_a_log(self) -> bool {
        matches!(
            self,
            Self::Publish
                | Self::Open
                | Self::Newest
                | Self::Read
                | Self::Trim
                | Self::Sync
                | Self::Items
                | Self::ReportReceipts
                | Self::SettleReceipts
                | Self::Receipt
        )
    }

    /// Whether its answer may be some hundred kilobytes.
    pub(super) fn answers_at_length(self) -> bool {
        matches!(self, Self::Read | Self::Items | Self::PresenceRead)
    }

    /// Its name for FCALL.
    pub(super) fn name(self) -> String {
        format!("roomcast_{}", self.local())
    }
}

/// One function as a script for EVAL.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) source: String,
    /// What EVALSHA calls it by: the SHA-1 of the source as hex.
    pub(super) sha: String,
}

/// Everything to load, filled in from the configuration.
#[derive(Clone, Debug)]
pub(super) struct Scripts {
    /// For FUNCTION LOAD REPLACE.
    pub(super) library: String,
    scripts: Vec<Script>,
}

impl Scripts {
    pub(super) fn new(config: &Config) -> Self {
        let in_cluster = config.mode == Mode::Cluster;
        let collections = &config.collections;
        let body = BODY
            .replace("@VERSION@", &VERSION.to_string())
            .replace("@ITEM_BYTES_MAX@", &collections.item_bytes_max.to_string())
            .replace("@ITEM_DEPTH_MAX@", &VALUE_DEPTH_MAX.to_string())
            .replace("@ITEMS_MAX@", &collections.items_max.to_string())
            .replace("@COLLECTION_BYTES_MAX@", &collections.bytes_max.to_string())
            .replace("@COLLECTIONS_MAX@", &collections.collections_max.to_string())
            .replace("@TOMBSTONES_MAX@", &collections.tombstones_max.to_string())
            .replace("@TOMBSTONE_MS@", &(collections.tombstone_age_max_s.max(1) * 1_000).to_string())
            .replace("@CLUSTER@", if in_cluster { "true" } else { "false" })
            .replace("@DATA_BYTES_MAX@", &config.data_bytes_max.to_string())
            .replace("@DEPTH_MAX@", &(DEPTH_MAX - 1).to_string())
            .replace("@ENTRIES_MAX@", &config.entries_max.max(1).to_string())
            .replace("@IDLE_MS@", &(config.idle_max_s.max(1) * 1_000).to_string())
            .replace("@IDEMPOTENCY_MS@", &(config.idempotency_window_s.max(1) * 1_000).to_string())
            .replace("@QUOTA@", &quota::text(&config.quota))
            .replace("@ACK_DEADLINE_MS@", &config.receipts.deadline_ms.to_string())
            .replace("@RECEIPTS_KEPT_MS@", &(config.receipts.kept_s * 1_000).to_string())
            .replace("@RECEIPTS_MAX@", &config.receipts.per_org_max.max(1).to_string())
            .replace("@SETTLED_AT_ONCE@", &SETTLED_AT_ONCE.to_string())
            .replace("@RECEIPT_EVENT@", RECEIPT_EVENT)
            .replace("@PUBLISH@", if in_cluster { "SPUBLISH" } else { "PUBLISH" });
        // Only functions keep values between calls, which makes looking at the lineage on every publish affordable.
        let mut library = format!("#!lua name=roomcast\n{}\n", body.replace("@FUNCTIONS@", "true"));
        let body = body.replace("@FUNCTIONS@", "false");
        for function in Function::ALL {
            library.push_str(&format!("redis.register_function('{}', {})\n", function.name(), function.local()));
        }
        let scripts = Function::ALL.map(|function| {
            let source = format!("{body}\nreturn {}(KEYS, ARGV)\n", function.local());
            let sha = Sha1::digest(&source).iter().map(|byte| format!("{byte:02x}")).collect();
            Script { source, sha }
        });
        Self { library, scripts: scripts.to_vec() }
    }

    pub(super) fn script(&self, function: Function) -> &Script {
        &self.scripts[function.index()]
    }
}
