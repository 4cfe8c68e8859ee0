//! Which broker, and the settings of each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::broker::{memory, redis};

/// Settings of the section `broker`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `memory` keeps the logs in this one node, `redis` shares them between nodes and across restarts.
    pub kind: Kind,
    /// Bounds of the embedded broker.
    pub memory: memory::Config,
    /// The way to Redis and the bounds of what is kept there.
    pub redis: redis::Config,
}

/// The brokers there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Memory,
    Redis,
}
