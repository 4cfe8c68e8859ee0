//! What the server sends: replies to commands, and pushes that nobody asked for.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::code::Fault;
use super::command::CommandId;
use super::command::history::HistoryPage;
use super::item::{ItemKey, Snapshot};
use super::latest::Latest;
use super::pattern::Pattern;
use super::position::Position;
use super::presence::{self, Diff};
use super::publication::Publication;
use super::room::{OrgId, RoomName, SessionId};

/// What a gateway can do beyond the base protocol, by the names that `authenticated` tells.
pub const FEATURES: &[&str] = &["ack", "filters", "history", "latest", "presence", "sync"];

/// Why something within a client's reach may be missing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The log no longer goes back that far.
    Trimmed,
    /// Another history took the log's place: a replica that lagged was promoted.
    Fork,
    /// The log was lost and begun anew.
    LogLost,
    /// The session was too slow for what the node could keep, and the log has moved on.
    Evicted,
    /// A later version wrote it, and the node that serves the session cannot read it: an update is under way.
    Unreadable,
}

impl GapReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trimmed => "trimmed",
            Self::Fork => "fork",
            Self::LogLost => "log_lost",
            Self::Evicted => "evicted",
            Self::Unreadable => "unreadable",
        }
    }
}

/// An admitted loss: whatever was published after `from` and up to `to` may be missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(rename = "GapData")]
pub struct Gap {
    /// The last position the client is known to have; `null` when it is not known.
    pub from: Option<Position>,
    /// Delivery goes on after this one.
    pub to: Position,
    pub reason: GapReason,
}

/// Publications of low priority that a slow session does not get, because later ones took their place. Sent before those.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConflatedData")]
pub struct Conflated {
    /// They stand in the log after this position …
    pub from: Position,
    /// … and up to this one, and so do those that took their place.
    pub to: Position,
    /// How many there are.
    pub left_out: u32,
}

/// The way in which a publication comes to a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Manner {
    /// From the log, for a subscription that was made with an older position.
    pub replayed: bool,
    /// Ahead of what stands before it in the log, which is still to come: its id is no place to resume from.
    pub overtook: bool,
    /// So many earlier ones of the same room and event, all of low priority, were left out in its favour.
    pub conflated: u32,
    /// It was sent this many times before, because the session did not acknowledge it.
    pub redelivered: u32,
}

impl Manner {
    /// In its turn, as everybody gets it.
    pub const PLAIN: Self = Self { replayed: false, overtook: false, conflated: 0, redelivered: 0 };
    pub const REPLAYED: Self = Self { replayed: true, ..Self::PLAIN };
    pub const OVERTOOK: Self = Self { overtook: true, ..Self::PLAIN };
}

/// Something the server sends unasked.
#[derive(Clone, Copy, Debug)]
pub enum Push<'a> {
    Publication {
        publication: &'a Publication,
        manner: Manner,
    },
    Gap(&'a Gap),
    Conflated(&'a Conflated),
    /// A quiet session's place in the log, sent with the heartbeat.
    Position(Position),
    TokenExpiring {
        expires_at: u64,
    },
    /// The server ended these subscriptions, because what they rested on was taken away.
    Unsubscribed {
        rooms: &'a [Pattern],
        fault: &'a Fault,
    },
    /// Who came to a room, told something else or went.
    PresenceDiff {
        room: &'a RoomName,
        version: u64,
        diff: &'a Diff,
    },
    /// The session is in this room no more and watches it no more, because what that rested on was taken away.
    PresenceEnded {
        room: &'a RoomName,
        fault: &'a Fault,
    },
}

/// The answer to one command, or the news that credentials from the handshake were accepted.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Reply {
    Authenticated(Authenticated),
    Subscribed {
        /// In canonical form: keep them to compare with later pushes.
        rooms: Vec<Pattern>,
        /// Where live delivery begins, or the client's own `since`; `null` while earlier publications still wait for it.
        position: Option<Position>,
        /// Where the command asked for it: how the rooms stand at that position.
        #[serde(skip_serializing_if = "Option::is_none")]
        latest: Option<Arc<Latest>>,
    },
    Unsubscribed {
        /// The subscriptions that ended, in canonical form.
        rooms: Vec<Pattern>,
    },
    Published {
        /// The publication's position; `null` for an ephemeral one.
        id: Option<Position>,
        /// The idempotency key was used before, and `id` is that of the first publication.
        duplicate: bool,
    },
    Acked {
        /// How many of these publications had been waited for.
        count: u64,
    },
    Pong {
        /// The server's time, Unix milliseconds.
        ts: u64,
        position: Option<Position>,
    },
    /// One page of the past.
    History(HistoryPage),
    /// One page of a collection, shared by all sessions that asked for it at the same time.
    SyncSnapshot(Arc<Snapshot>),
    SyncWritten {
        key: ItemKey,
        /// That of this write; where nothing was there to delete, the collection's last.
        version: u64,
        /// The position of the publication that tells it; `null` where nothing was there to delete.
        id: Option<Position>,
    },
    PresenceEntered {
        room: RoomName,
    },
    PresenceUpdated {
        room: RoomName,
    },
    PresenceLeft {
        room: RoomName,
    },
    PresenceSnapshot(presence::Snapshot),
    PresenceUnwatched {
        room: RoomName,
    },
    Error(Fault),
}

/// What a client needs to know of its own session.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuthenticatedData")]
pub struct Authenticated {
    pub session_id: SessionId,
    pub user_id: Box<str>,
    pub organization_id: OrgId,
    /// The end of the token, Unix seconds.
    pub expires_at: u64,
    /// How often the server sends a WebSocket ping.
    pub ping_interval_ms: u64,
    /// The subscriptions that the command asked for, in canonical form, besides the session's own rooms.
    pub rooms: Vec<Pattern>,
    /// Where live delivery begins, or the client's own `since`; `null` while earlier publications still wait for it.
    pub position: Option<Position>,
    /// Where the command asked for it: how the rooms stand at that position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<Arc<Latest>>,
    /// What the server can do beyond the base protocol, by names; ignore those that you do not know.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub features: &'static [&'static str],
    /// What the user is granted, such as `subscribe:kpi:acme`, for dialects that tell it; `None` for a guest.
    #[serde(skip)]
    pub permissions: Option<Vec<String>>,
}

/// A reply with the id of the command that it answers.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    pub id: Option<CommandId>,
    pub reply: Reply,
}

impl Answer {
    pub fn new(id: Option<CommandId>, reply: Reply) -> Self {
        Self { id, reply }
    }

    pub fn error(id: Option<CommandId>, fault: Fault) -> Self {
        Self { id, reply: Reply::Error(fault) }
    }

    /// How rooms stand, where it tells that.
    pub fn latest(&self) -> Option<&Arc<Latest>> {
        match &self.reply {
            Reply::Subscribed { latest, .. } | Reply::Authenticated(Authenticated { latest, .. }) => latest.as_ref(),
            _ => None,
        }
    }

    /// The same answer, telling how rooms stand.
    #[must_use]
    pub fn with_latest(mut self, told: Arc<Latest>) -> Self {
        if let Reply::Subscribed { latest, .. } | Reply::Authenticated(Authenticated { latest, .. }) = &mut self.reply {
            *latest = Some(told);
        }
        self
    }
}
