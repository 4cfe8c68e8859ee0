//! Sessions that were told of more than their org's task has heard of yet: the log was read for them, and its carrier is slower.
//!
//! Their subscriptions wait until the task has come as far, for the time between the log and its carrier: then all that their other
//! subscriptions are owed up to there is on its way to them, and what follows is new to all.

use super::super::command::Subscribe;
use super::super::member::CatchUp;
use super::super::org::Org;
use super::super::router::Slot;
use crate::protocol::Position;

/// Probes that must find nothing beyond the tail's end before a position there is taken for one of another history. The first may have been
/// under way when the position was read.
const AGREEMENTS_MIN: u32 = 2;

/// Whether the command tells of what lies beyond `last`, as far as the two are of one log.
pub fn is_ahead(command: &Subscribe, last: Position) -> bool {
    let beyond = |since: Position| since.epoch != last.epoch || since.seq > last.seq;
    command.answer.latest().is_some() && command.since.is_some_and(beyond)
}

impl Org {
    /// Whether the session's next command still has to wait.
    pub(in crate::hub) fn is_ahead(&self, slot: Slot) -> bool {
        let (Some(tail), Some(member)) = (&self.tail, self.members.get(slot)) else { return false };
        let Some(command) = member.first_waiting().filter(|command| is_ahead(command, tail.last())) else { return false };
        let is_of_this_log = command.since.is_some_and(|since| since.epoch == tail.last().epoch);
        // Once the log has been read again the tail's epoch is the log's, and the other one is gone.
        if is_of_this_log { self.agreements < AGREEMENTS_MIN } else { self.is_repairing() }
    }

    /// A command came that is ahead of the tail.
    pub(in crate::hub) fn note_ahead(&mut self, since: Option<Position>) {
        self.agreements = 0;
        if self.tail.as_ref().is_some_and(|tail| since.is_some_and(|since| since.epoch != tail.last().epoch)) {
            self.doubt();
        }
    }

    /// A probe found this: nothing beyond the tail's end, perhaps.
    pub(in crate::hub) fn agree(&mut self, newest: Position) {
        if self.tail.as_ref().is_some_and(|tail| tail.last() == newest) && !self.again.is_empty() {
            self.agreements = self.agreements.saturating_add(1);
        }
    }

    /// Carries out what waited for a live session, from an empty queue. Whether it has to be caught up first, or afterwards.
    pub(in crate::hub) fn begin_waiting(&mut self, slot: Slot) -> bool {
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
