//! What sessions ask of a room's presence, and whom to answer.

use super::super::command::Handled;
use super::super::router::Slot;
use crate::auth::PresenceGrant;
use crate::protocol::presence::{State, Status};
use crate::protocol::push::Reply;
use crate::protocol::{CommandId, RoomName};

/// What a session wants.
#[derive(Debug)]
pub enum Ask {
    Enter {
        grant: PresenceGrant,
        status: Status,
        state: State,
    },
    /// What is `None` stays. Only for a session that has entered, so it needs no grant.
    Update {
        room: RoomName,
        status: Option<Status>,
        state: Option<State>,
    },
    Leave(RoomName),
    Watch(PresenceGrant),
    Unwatch(RoomName),
}

/// A command of a session that waits to be answered.
pub struct Asking {
    pub slot: Slot,
    pub id: Option<CommandId>,
    /// What to answer when all goes well.
    pub reply: Reply,
    pub handled: Handled,
}

/// An [`Ask`] on its way to the org's task.
pub struct Request {
    pub slot: Slot,
    pub id: Option<CommandId>,
    pub ask: Ask,
    pub handled: Handled,
}
