//! The node's own settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the section `node`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The node's name in the cluster, unique there. Without one a random name is made at every start.
    pub id: Option<String>,
    /// Development mode: a random key and a ready token are made at start and printed. Never set it where others can connect.
    pub dev: bool,
}
