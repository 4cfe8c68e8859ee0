//! Times and bounds of a session.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limit::bucket::Rate;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long before its token expires a client is warned, in milliseconds.
    pub expiry_warning_ms: u64,
    /// Malformed or refused commands, less the good ones, after which a session is closed.
    pub invalid_commands_max: u32,
    /// How long a closing session may take to read what is left for it, in milliseconds.
    pub close_timeout_ms: u64,
    /// How often nodes look for new revocations, in milliseconds: the bound within which they take effect.
    pub revocation_interval_ms: u64,
    /// Revocations that wait on a node for a broker that is away; further ones are refused with `BROKER_UNAVAILABLE`.
    pub revocations_pending_max: usize,
    /// How long a node that cannot read revocations goes on letting in new credentials, in milliseconds; 0: until they expire. Open sessions
    /// stay in either case.
    pub revocations_unread_max_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            expiry_warning_ms: 60_000,
            invalid_commands_max: 1_000,
            close_timeout_ms: 5_000,
            revocation_interval_ms: 1_000,
            revocations_pending_max: 1_000,
            revocations_unread_max_ms: 0,
        }
    }
}

/// All that a session goes by: its own section and its part of the limits.
#[derive(Clone, Debug)]
pub struct Settings {
    pub config: Config,
    pub rate: Rate,
    pub auth_timeout_ms: u64,
    pub ping_interval_ms: u64,
    pub stale_after_ms: u64,
    /// Connections of one org over the whole cluster; 0 means no limit.
    pub org_connections_max: u64,
}
