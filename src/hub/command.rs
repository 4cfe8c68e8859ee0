//! What sessions ask of their org's task.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::explain::Known;
use super::presence::{Ask, Request};
use super::router::Slot;
use super::send_queue::SendQueue;
use crate::auth::{Grant, Principal};
use crate::protocol::command::Wanted;
use crate::protocol::push::Answer;
use crate::protocol::{CommandId, OrgId, Pattern, Position, SessionId, Wire};

/// A message to the task of one org.
pub enum OrgCommand {
    Attach {
        session: SessionId,
        queue: Arc<SendQueue>,
        wire: Arc<dyn Wire>,
        slot: oneshot::Sender<Slot>,
    },
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    Presence(Request),
    /// The session has dealt with these publications.
    Acknowledge(Acknowledge),
    /// The session's token was renewed: what it no longer grants ends.
    Narrow {
        slot: Slot,
        principal: Arc<Principal>,
    },
    /// The session's queue is empty again after it had asked for that notice.
    Drained(Slot),
    /// Time to tell a quiet session its position.
    Heartbeat(Slot),
    /// `lingers`: it may only be on its way to another node, so it stays a member of its rooms for a while.
    Detach {
        slot: Slot,
        lingers: bool,
    },
    /// What a probe found: the log's newest place, or no log.
    Probed(Option<Position>),
    /// How these sessions stand to the publication at this position.
    Standings {
        sessions: Vec<SessionId>,
        at: Position,
        reply: oneshot::Sender<Vec<Known>>,
    },
    Rooms(oneshot::Sender<Vec<(Pattern, usize)>>),
    /// What these sessions are subscribed to; those that are not here are left out.
    Subscriptions {
        sessions: Vec<SessionId>,
        reply: oneshot::Sender<Vec<(SessionId, Vec<Pattern>)>>,
    },
}

/// New subscriptions, and perhaps an older position to replay from.
pub struct Subscribe {
    pub slot: Slot,
    pub grants: Vec<Grant>,
    pub since: Option<Position>,
    /// Sent when done, with the position filled in; before anything that the subscriptions bring.
    pub answer: Answer,
    pub handled: Handled,
    /// The log has been, or is being, read again for it, because it tells of what was not known here.
    pub is_checked: bool,
}

pub struct Unsubscribe {
    pub slot: Slot,
    /// As the client named them.
    pub wanted: Vec<Wanted>,
    pub answer: Option<Answer>,
    pub handled: Handled,
}

pub struct Acknowledge {
    pub slot: Slot,
    pub positions: Vec<Position>,
    /// Sent with the count filled in, where the client wants to know.
    pub answer: Option<Answer>,
    pub handled: Handled,
}

/// Dropped once a command is carried out or put off: the session goes on with its next one only then, so that answers come in
/// the order of commands.
pub type Handled = Option<oneshot::Sender<()>>;

/// One session's way to its org's task. The session ends it with [`OrgLink::detach`].
#[derive(Debug, Clone)]
pub struct OrgLink {
    pub(super) org: OrgId,
    pub(super) slot: Slot,
    pub(super) commands: mpsc::Sender<OrgCommand>,
}

impl OrgLink {
    pub fn org(&self) -> &OrgId {
        &self.org
    }

    pub async fn subscribe(&self, grants: Vec<Grant>, since: Option<Position>, answer: Answer) -> Result<(), OrgGone> {
        let slot = self.slot;
        self.settle(|handled| OrgCommand::Subscribe(Subscribe { slot, grants, since, answer, handled, is_checked: false })).await
    }

    /// Ends subscriptions; `answer` is `None` when the server does so by itself.
    pub async fn unsubscribe(&self, wanted: Vec<Wanted>, answer: Option<Answer>) -> Result<(), OrgGone> {
        let slot = self.slot;
        self.settle(|handled| OrgCommand::Unsubscribe(Unsubscribe { slot, wanted, answer, handled })).await
    }

    /// Asks something of a room's presence. The answer comes when the store has it.
    pub async fn presence(&self, id: Option<CommandId>, ask: Ask) -> Result<(), OrgGone> {
        let slot = self.slot;
        self.settle(|handled| OrgCommand::Presence(Request { slot, id, ask, handled })).await
    }

    /// The client has dealt with publications; those that nobody waits for are passed over.
    pub async fn acknowledge(&self, positions: Vec<Position>, answer: Option<Answer>) -> Result<(), OrgGone> {
        let slot = self.slot;
        self.settle(|handled| OrgCommand::Acknowledge(Acknowledge { slot, positions, answer, handled })).await
    }

    pub async fn narrow(&self, principal: Arc<Principal>) -> Result<(), OrgGone> {
        self.send(OrgCommand::Narrow { slot: self.slot, principal }).await
    }

    pub async fn drained(&self) -> Result<(), OrgGone> {
        self.send(OrgCommand::Drained(self.slot)).await
    }

    /// As [`OrgLink::drained`], unless that takes waiting: `false` then.
    pub fn try_drained(&self) -> bool {
        self.commands.try_send(OrgCommand::Drained(self.slot)).is_ok()
    }

    /// An org that is too busy to be asked delivers, and positions come with what it delivers.
    pub fn heartbeat(&self) {
        let _ = self.commands.try_send(OrgCommand::Heartbeat(self.slot));
    }

    /// Ends all of the session's subscriptions, and after a while its presence. An org whose task is gone has forgotten the session
    /// already.
    pub async fn detach(self) {
        let _ = self.send(OrgCommand::Detach { slot: self.slot, lingers: true }).await;
    }

    /// The same, and its presence at once.
    pub async fn cast_out(self) {
        let _ = self.send(OrgCommand::Detach { slot: self.slot, lingers: false }).await;
    }

    async fn settle(&self, command: impl FnOnce(Handled) -> OrgCommand) -> Result<(), OrgGone> {
        let (handled, done) = oneshot::channel();
        self.send(command(Some(handled))).await?;
        // The sender is dropped, never used.
        let _ = done.await;
        Ok(())
    }

    async fn send(&self, command: OrgCommand) -> Result<(), OrgGone> {
        self.commands.send(command).await.map_err(|_| OrgGone)
    }
}

/// The org's task ended under its sessions, which only a defect brings about: the session must reconnect.
#[derive(Debug, thiserror::Error)]
#[error("the org's task is gone")]
pub struct OrgGone;
