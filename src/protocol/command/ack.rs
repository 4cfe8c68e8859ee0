//! `ack`: the client says that it has dealt with publications that ask for it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::protocol::code::{Code, Fault};
use crate::protocol::position::Position;

/// Most publications that one command may acknowledge.
pub const IDS_MAX: usize = 1_000;

/// Which publications the client has dealt with.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "AckData")]
pub struct Ack {
    /// Ids of publications with `requires_ack`. Those that nobody waits for are passed over.
    #[schemars(length(min = 1, max = IDS_MAX))]
    pub ids: Vec<Position>,
}

impl Ack {
    /// # Errors
    /// `INVALID_MESSAGE` when nothing or too much is acknowledged.
    pub fn check(self) -> Result<Self, Fault> {
        if self.ids.is_empty() || self.ids.len() > IDS_MAX {
            return Err(Fault::new(Code::InvalidMessage, format!("ack names 1 to {IDS_MAX} ids")));
        }
        Ok(self)
    }
}
