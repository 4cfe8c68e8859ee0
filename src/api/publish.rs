//! From a request to the broker: what every publishing route does.

use serde::Serialize;
use utoipa::ToSchema;

use super::Parts;
use super::extract::{Authorized, Publish};
use crate::broker::faults::refused;
use crate::broker::{AckLevel, Published, submit};
use crate::protocol::{Fault, NewPublication, Position};

/// A publication whose org the caller may touch. Nothing else is published from here.
pub(super) struct Permitted(NewPublication);

impl Permitted {
    /// # Errors
    /// `UNAUTHORIZED` when the credentials are not for the room's org.
    pub fn new(caller: &Authorized<Publish>, publication: NewPublication) -> Result<Self, Fault> {
        caller.caller().require_org(publication.room.org())?;
        Ok(Self(publication))
    }

    pub fn publication(&self) -> &NewPublication {
        &self.0
    }
}

/// Where a publication went.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Its place in the org's log; null for one that is not logged.
    #[schema(value_type = Option<String>, example = "19c51a3f0-2a-64e0c1b2a3f4e")]
    pub id: Option<Position>,
    #[schema(example = "kpi:acme:sales")]
    pub room: String,
    /// The idempotency key had been used: nothing was published, and `id` is where the first one is.
    pub duplicate: bool,
}

/// Publishes and waits for the broker's acknowledgement.
///
/// # Errors
/// `BROKER_UNAVAILABLE` when the outcome is not known, `INTERNAL_ERROR` when the broker refused.
pub(super) async fn publish(parts: &Parts, permitted: &Permitted, ack: AckLevel) -> Result<Accepted, Fault> {
    let Published { position, duplicate } = submit(&*parts.broker, &permitted.0, ack).await.map_err(|error| refused(&error))?;
    Ok(Accepted { id: position, room: permitted.0.room.to_string(), duplicate })
}
