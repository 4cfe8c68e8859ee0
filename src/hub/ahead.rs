//! Sessions that know of more than their org's task has heard of yet: from a node that is ahead, or because the log was read for them, and its carrier
//! is slower.
//!
//! Their subscriptions wait until the task has come as far, for the time between the log and its carrier: then all that their other
//! subscriptions are owed up to there is on its way to them, and what follows is new to all.

use super::command::Subscribe;
use super::member::CatchUp;
use super::org::Org;
use super::router::Slot;
use super::tail::{Resumption, Tail};
use crate::protocol::Position;

/// Probes that must find nothing beyond the tail's end before a position there is taken for one of another history. The first may have been
/// under way when the position was read.
const AGREEMENTS_MIN: u32 = 2;

/// Whether the command goes on from where the tail knows nothing, behind its end or in another history, and has to wait for it: because it tells
/// how rooms stand there, or because the session has other subscriptions, which lack what lies before.
pub fn is_ahead(command: &Subscribe, has_others: bool, tail: &Tail) -> bool {
    let Some(since) = command.since.filter(|since| tail.resume(*since) == Resumption::Ask) else { return false };
    // From before the tail's beginning the session comes by all that its others lack.
    let is_before = since.epoch == tail.last().epoch && since.seq < tail.first_seq();
    command.answer.latest().is_some() || (has_others && !is_before)
}

impl Org {
    /// Whether the session's next command still has to wait. Where the tail cannot come to its position by itself the log is read again:
    /// afterwards the tail's history is the log's, and a position that it does not know then is of one that is gone.
    pub(super) fn is_ahead(&mut self, slot: Slot) -> bool {
        let (Some(tail), Some(member)) = (&self.tail, self.members.get_mut(slot)) else { return false };
        let has_others = !member.subscriptions.is_empty();
        let Some(command) = member.first_waiting().filter(|command| is_ahead(command, has_others, tail)) else { return false };
        let (last, is_repairing) = (tail.last(), self.repair.is_some());
        let comes = command.since.is_some_and(|since| since.epoch == last.epoch && since.seq > last.seq);
        if comes && self.agreements < AGREEMENTS_MIN {
            return true;
        }
        if command.is_checked {
            return is_repairing;
        }
        command.is_checked = true;
        self.doubt();
        true
    }

    /// A probe found this: nothing beyond the tail's end, perhaps.
    pub(super) fn agree(&mut self, newest: Position) {
        if self.tail.as_ref().is_some_and(|tail| tail.last() == newest) && !self.again.is_empty() {
            self.agreements = self.agreements.saturating_add(1);
        }
    }

    /// Carries out what waited for a live session, from an empty queue. Whether it has to be caught up first, or afterwards.
    pub(super) fn begin_waiting(&mut self, slot: Slot) -> bool {
        if self.is_ahead(slot) {
            self.again.insert(slot);
            return false;
        }
        let (Some(tail), Some(member)) = (&self.tail, self.members.get_mut(slot)) else { return false };
        if member.queue.holds_log() {
            member.start_catch_up(CatchUp { slow: false, ..CatchUp::lagging(tail.last()) });
            return true;
        }
        self.carry_out_waiting(slot)
    }
}

#[cfg(test)]
mod tests;
