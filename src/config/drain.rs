//! The settings of the planned shutdown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the section `drain`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long the node keeps serving after readiness went off, so that load balancers notice first.
    pub announce_ms: u64,
    /// Over how long the closes of the open sessions are spread.
    pub spread_ms: u64,
    /// Upper end of the random wait before reconnecting that each client is told.
    pub retry_after_ms_max: u64,
    /// When the whole drain ends, whatever is still open. Keep it below the orchestrator's grace period, usually 30 s.
    pub deadline_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { announce_ms: 3_000, spread_ms: 15_000, retry_after_ms_max: 2_000, deadline_ms: 25_000 }
    }
}
