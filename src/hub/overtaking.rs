//! Overtaking: urgent publications reach a session before what waits for it.
//!
//! The org's task comes here with batches that hold urgent ones; for all others nothing is done. What a session got ahead of its
//! turn is remembered until it has everything up to there, because it may fall back to an earlier place, and comes by the same
//! entry on its way through the log.

use std::sync::Arc;

use super::acknowledging::asking;
use super::fan_out::Mask;
use super::member::{Delivery, Member};
use super::org::Org;
use super::router::Slot;
use super::verdicts::Verdicts;
use crate::protocol::{Position, Publication};
use crate::telemetry::metrics;

/// What a session got ahead of its turn. Nothing at all for most sessions, most of the time.
#[derive(Default)]
pub struct Overtaken(Option<Box<Vec<Ahead>>>);

struct Ahead {
    position: Position,
    publication: Arc<Publication>,
}

impl Overtaken {
    pub fn contains(&self, position: Position) -> bool {
        self.each().any(|ahead| ahead.position == position)
    }

    /// Forgets what no subscription brings any more: whoever asks for the past anew gets it anew.
    pub fn forget_unreached(&mut self, reached: impl Fn(&Arc<Publication>) -> bool) {
        // What was sent to the session by its id comes whatever it is subscribed to.
        self.retain(|ahead| !ahead.publication.sessions.is_empty() || reached(&ahead.publication));
    }

    /// The numbers of what was got ahead.
    pub fn seqs(&self) -> Box<[u64]> {
        self.each().map(|ahead| ahead.position.seq).collect()
    }

    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |all| all.len())
    }

    fn each(&self) -> impl Iterator<Item = &Ahead> {
        self.0.iter().flat_map(|all| all.iter())
    }

    fn insert(&mut self, publication: &Arc<Publication>) {
        let Some(position) = publication.position else { return };
        self.0.get_or_insert_default().push(Ahead { position, publication: Arc::clone(publication) });
    }

    fn retain(&mut self, keep: impl Fn(&Ahead) -> bool) {
        if let Some(all) = &mut self.0 {
            all.retain(keep);
            if all.is_empty() {
                self.0 = None;
            }
        }
    }
}

impl Member {
    /// Forgets what it got ahead of its turn, as far as it has got there meanwhile and nothing can make it fall back.
    pub fn forget_overtaken(&mut self) {
        if self.overtaken.len() == 0 || self.queue.holds_log() {
            return;
        }
        match &self.delivery {
            Delivery::Live => self.overtaken = Overtaken::default(),
            Delivery::CatchUp(catch_up) if catch_up.verified => {
                let cursor = catch_up.cursor;
                self.overtaken.retain(|ahead| ahead.position.epoch == cursor.epoch && ahead.position.seq > cursor.seq);
            }
            Delivery::CatchUp(_) => {}
        }
    }

    /// Whether a publication that concerns the session now may go ahead. One in catch-up may have had it: on an earlier connection, or from
    /// a page of the log that is newer than what this node had heard of.
    fn lacks(&mut self, publication: &Arc<Publication>, verdicts: &Verdicts) -> bool {
        match (publication.position, self.catch_up()) {
            (Some(position), Some(catch_up)) => {
                let (cursor, seam_seq) = (catch_up.cursor, catch_up.seam_seq);
                let had = cursor.epoch == position.epoch && cursor.seq >= position.seq;
                !had && self.wants(publication, position.seq, seam_seq, verdicts)
            }
            _ => true,
        }
    }
}

impl Org {
    /// Delivers those publications of a batch that `mask` names, urgent ones among them, to one session.
    pub(super) fn overtake(&mut self, slot: Slot, mask: Mask, batch: &[Arc<Publication>], before: Option<Position>, last_seq: u64) {
        let Some(member) = self.members.get(slot) else { return };
        if member.is_live() && !member.queue.holds_log() {
            return self.deliver_in_turn(slot, mask, batch, before, last_seq);
        }
        let rest = self.send_ahead(slot, mask, batch);
        if rest == 0 {
            return;
        }
        // Where something went ahead, the session has not been told the place behind it yet.
        let told_seq = if rest == mask { last_seq } else { 0 };
        self.deliver_in_turn(slot, rest, batch, before, told_seq);
        // When there was room for nothing, there is now.
        if self.members.get(slot).is_some_and(|member| !member.is_live()) {
            self.send_ahead(slot, rest, batch);
        }
    }

    /// Sends urgent publications ahead, in their order, as long as that has room; what is left of `mask`.
    fn send_ahead(&mut self, slot: Slot, mask: Mask, batch: &[Arc<Publication>]) -> Mask {
        let Some(member) = self.members.get_mut(slot) else { return mask };
        member.forget_overtaken();
        let wire = Arc::clone(&member.wire);
        let (mut rest, mut urgent, mut handed) = (mask, mask & self.urgent, 0);
        while urgent != 0 {
            let index = urgent.trailing_zeros() as usize;
            urgent &= urgent - 1;
            let publication = &batch[index];
            if !member.lacks(publication, &self.replays.verdicts) {
                continue;
            }
            let remembered = publication.position.is_none() || member.overtaken.len() < self.config.overtaking_max;
            if !remembered || !member.queue.push_urgent(self.batch.overtaking(index, wire.as_ref(), batch)) {
                break;
            }
            member.overtaken.insert(publication);
            if publication.requires_ack {
                handed |= Mask::from(1u8) << index;
            }
            metrics::overtook().increment(1);
            rest &= !(Mask::from(1u8) << index);
        }
        if handed != 0 {
            self.expect_acks_of(slot, asking(handed, batch));
        }
        rest
    }
}
