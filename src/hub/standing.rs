//! Where sessions stand, for those who ask: how far in the log each has been served, and the notes of what changes that.

use std::sync::Arc;

use super::explain::{Known, Standing};
use super::member::{Delivery, Member, Subscription};
use super::org::Org;
use super::tail::Tail;
use super::trace::{Place, Ring, What};
use crate::protocol::{Position, SessionId};

/// Where events are noted, if they are.
pub(super) type Notes = Option<Arc<Ring>>;

/// How far the member has been served.
pub(super) fn cursor(member: &Member, tail: Option<&Tail>) -> Position {
    match &member.delivery {
        Delivery::CatchUp(catch_up) => catch_up.cursor,
        Delivery::Live => tail.map_or(Position { epoch: 0, seq: 0, check: 0 }, Tail::last),
    }
}

/// Notes what changes for a member.
pub(super) fn note(notes: &Notes, member: &Member, tail: Option<&Tail>, what: What) {
    if let Some(ring) = notes {
        ring.note(member.session, cursor(member, tail).into(), what);
    }
}

/// Notes that a subscription of the member ends.
pub(super) fn note_end(notes: &Notes, member: &Member, tail: Option<&Tail>, subscription: &Subscription) {
    let (pattern, filter) = (subscription.pattern.clone(), subscription.filter().cloned());
    note(notes, member, tail, What::Unsubscribed { pattern, filter });
}

/// Notes what changes for every session that is live.
pub(super) fn note_for_all(notes: &Notes, at: Position, what: What) {
    if let Some(ring) = notes {
        ring.note(Ring::ALL, Place::from(at), what);
    }
}

impl Org {
    /// How these sessions stand to a publication.
    pub(super) fn standings(&self, sessions: &[SessionId], at: Position) -> Vec<Known> {
        let member = |session: &SessionId| self.members.get(*self.by_session.get(session)?);
        let known = |session: &SessionId| Known {
            session: *session,
            standing: member(session).map(|member| self.standing(member, at)),
            ack: self.acks.of(*session, at),
        };
        sessions.iter().map(known).collect()
    }

    fn standing(&self, member: &Member, at: Position) -> Standing {
        Standing {
            cursor: cursor(member, self.tail.as_ref()),
            subscriptions: member.subscriptions.iter().map(|held| (held.pattern.clone(), held.filter().cloned(), held.from_seq)).collect(),
            waiting_after: member.queue.waiting_after(),
            ahead: member.overtaken.contains(at),
            ahead_waits: member.queue.holds_urgent(),
        }
    }
}
