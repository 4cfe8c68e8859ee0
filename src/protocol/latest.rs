//! The last publications of rooms, as `subscribed` and `authenticated` bring them to who asks for them with `latest` (docs/latest.md).

use schemars::JsonSchema;
use serde::Serialize;

use super::command::history::Shown;

/// How rooms stand at the reply's position.
#[derive(Clone, PartialEq, Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "LatestData")]
pub struct Latest {
    /// The last publication of each event in each room that the subscriptions reach, in the order of the log.
    pub publications: Vec<Shown>,
    /// `false`: there may be more than the server keeps or tells; the oldest are missing.
    pub complete: bool,
}

impl Latest {
    /// What it takes in a reply, roughly.
    pub fn bytes(&self) -> usize {
        self.publications.iter().map(Shown::bytes).sum()
    }
}
