//! A session as its org's task knows it: subscriptions, and where it stands in the log.
//!
//! Pure but for the send queue that it holds and the metrics that it counts. What a session gets is decided here for catch-up, and by the router for live
//! delivery; both follow the same rule.

use std::collections::VecDeque;
use std::sync::Arc;

use super::command::Subscribe;
use super::overtaking::Overtaken;
use super::router::Slot;
use super::routes::Routes;
use super::send_queue::SendQueue;
use super::verdicts::Verdicts;
use crate::protocol::push::Gap;
use crate::protocol::{Filter, GapReason, Pattern, Position, Publication, SessionId, Wire};
use crate::telemetry::metrics::{self, ResumeOutcome};

/// One session of the org on this node.
pub struct Member {
    pub session: SessionId,
    pub queue: Arc<SendQueue>,
    pub wire: Arc<dyn Wire>,
    pub subscriptions: Vec<Subscription>,
    pub delivery: Delivery,
    /// The newest position that the session was told in any way.
    pub told_seq: u64,
    /// What it got ahead of its turn.
    pub overtaken: Overtaken,
    /// Subscribe commands that wait for the end of the present catch-up; seldom any.
    waiting: Option<Box<VecDeque<Subscribe>>>,
}

pub struct Subscription {
    pub pattern: Pattern,
    /// Entries up to this number are not meant.
    pub from_seq: u64,
    /// Made with a position while older subscriptions were already served: its replay must not repeat what those got.
    pub fresh: bool,
    /// Boxed, because most subscriptions have no filter.
    pub filtered: Option<Box<Filtered>>,
}

/// The filter of a subscription.
pub struct Filtered {
    /// The client's own, by which it names the subscription.
    pub asked: Option<Filter>,
    /// What counts: the client's own together with what its grant enforces.
    pub filter: Option<Filter>,
    /// Entries up to this number were served by another one, which the client's token enforced then.
    pub changed_seq: u64,
}

impl Subscription {
    pub fn asked(&self) -> Option<&Filter> {
        self.filtered.as_ref()?.asked.as_ref()
    }

    pub fn filter(&self) -> Option<&Filter> {
        self.filtered.as_ref()?.filter.as_ref()
    }

    fn reaches(&self, publication: &Arc<Publication>, verdicts: &Verdicts) -> bool {
        self.pattern.is_reached_by(&publication.room, publication.cascade)
            && self.filter().is_none_or(|filter| verdicts.passes(filter, publication))
    }

    /// Whether an entry up to the seam that it wants now has been served by it already. After a change of its filter that is not
    /// known, and rather twice than never.
    fn has_served(&self, seq: u64) -> bool {
        self.filtered.as_ref().is_none_or(|filtered| seq > filtered.changed_seq)
    }
}

/// How a session gets what is new.
pub enum Delivery {
    /// It has everything up to the tail's end and gets each batch as it comes.
    Live,
    CatchUp(Box<CatchUp>),
}

/// A session on its way from an older position to the tail's end.
pub struct CatchUp {
    /// It has everything up to here.
    pub cursor: Position,
    /// Whether the cursor is known to be a place in the present log.
    pub verified: bool,
    /// Entries up to this number were already served to subscriptions that are not fresh.
    pub seam_seq: u64,
    /// To be told before anything else is delivered.
    pub gap: Option<Gap>,
    /// What a gap is called when the log no longer has what comes after the cursor.
    pub trimmed: GapReason,
    /// Whether the session was told of any gap on the way.
    pub told_gap: bool,
    /// It reads more slowly than is published, so low priority may give way.
    pub slow: bool,
}

impl CatchUp {
    /// After an overflow: nothing behind the cursor was served to anybody. The history may have been replaced since it was
    /// queued.
    pub fn lagging(cursor: Position) -> Self {
        Self { cursor, verified: false, seam_seq: 0, gap: None, trimmed: GapReason::Evicted, told_gap: false, slow: true }
    }

    /// For subscriptions made with a position, while everything up to `seam_seq` was served to the others.
    pub fn since(cursor: Position, seam_seq: u64) -> Self {
        Self { cursor, verified: false, seam_seq, gap: None, trimmed: GapReason::Trimmed, told_gap: false, slow: false }
    }
}

impl Member {
    pub fn new(session: SessionId, queue: Arc<SendQueue>, wire: Arc<dyn Wire>) -> Self {
        Self {
            session,
            queue,
            wire,
            subscriptions: Vec::new(),
            delivery: Delivery::Live,
            told_seq: 0,
            overtaken: Overtaken::default(),
            waiting: None,
        }
    }

    /// Commands that wait.
    pub fn waiting(&mut self) -> &mut VecDeque<Subscribe> {
        self.waiting.get_or_insert_default()
    }

    pub fn each_waiting(&mut self) -> impl Iterator<Item = &mut Subscribe> {
        self.waiting.iter_mut().flat_map(|waiting| waiting.iter_mut())
    }

    pub fn first_waiting(&mut self) -> Option<&mut Subscribe> {
        self.waiting.as_mut()?.front_mut()
    }

    pub fn has_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    pub fn next_waiting(&mut self) -> Option<Subscribe> {
        let next = self.waiting.as_mut()?.pop_front();
        if self.waiting.as_ref().is_some_and(|waiting| waiting.is_empty()) {
            self.waiting = None;
        }
        next
    }

    /// The patterns that it has, each once whatever its filters.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let first = |index: usize, pattern: &Pattern| !self.subscriptions[..index].iter().any(|earlier| earlier.pattern == *pattern);
        let patterns = self.subscriptions.iter().map(|subscription| &subscription.pattern).enumerate();
        patterns.filter(move |(index, pattern)| first(*index, pattern)).map(|(_, pattern)| pattern)
    }

    /// Whether it has a subscription that is entered there.
    pub fn has_route(&self, pattern: &Pattern, filter: Option<&Filter>) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.pattern == *pattern && subscription.filter() == filter)
    }

    /// Ends subscriptions, and hands them out.
    pub fn end(&mut self, ends: impl Fn(&Subscription) -> bool, slot: Slot, routes: &mut Routes<'_>) -> Vec<Subscription> {
        let ended: Vec<Subscription> = self.subscriptions.extract_if(.., |subscription| ends(subscription)).collect();
        for Subscription { pattern, filtered, .. } in &ended {
            let filter = filtered.as_ref().and_then(|filtered| filtered.filter.as_ref());
            // Two that the client told apart may have come to the same by what its token enforces.
            if !self.has_route(pattern, filter) {
                routes.leave(pattern, filter, slot);
            }
        }
        let Self { overtaken, subscriptions, .. } = self;
        let verdicts = Verdicts::default();
        overtaken.forget_unreached(|publication| subscriptions.iter().any(|left| left.reaches(publication, &verdicts)));
        ended
    }

    pub fn catch_up(&mut self) -> Option<&mut CatchUp> {
        match &mut self.delivery {
            Delivery::CatchUp(catch_up) => Some(catch_up),
            Delivery::Live => None,
        }
    }

    pub fn start_catch_up(&mut self, catch_up: CatchUp) {
        metrics::sessions_lagging().increment(1.0);
        self.delivery = Delivery::CatchUp(Box::new(catch_up));
    }

    /// Whether its queue has overflowed and nothing was done about it yet.
    pub fn has_just_overflowed(&self) -> bool {
        matches!(&self.delivery, Delivery::CatchUp(catch_up) if catch_up.slow && !catch_up.verified)
    }

    /// The session has everything up to the tail's end.
    pub fn go_live(&mut self) {
        if let Delivery::CatchUp(done) = std::mem::replace(&mut self.delivery, Delivery::Live) {
            metrics::sessions_lagging().decrement(1.0);
            let outcome = if done.told_gap { ResumeOutcome::Gap } else { ResumeOutcome::Complete };
            metrics::resumes(outcome).increment(1);
        }
        self.subscriptions.iter_mut().for_each(|subscription| subscription.fresh = false);
        self.forget_overtaken();
    }

    /// The catch-up goes on behind this entry of the present log.
    pub fn verify(&mut self, cursor: Position) {
        if let Some(catch_up) = self.catch_up() {
            (catch_up.cursor, catch_up.verified) = (cursor, true);
            self.begin_fresh_at(cursor.seq);
        }
    }

    /// The catch-up goes on after the gap; gaps that follow each other without a delivery between are one.
    pub fn skip(&mut self, gap: Gap) {
        if let Some(catch_up) = self.catch_up() {
            catch_up.cursor = gap.to;
            catch_up.verified = false;
            match &mut catch_up.gap {
                Some(earlier) => earlier.to = gap.to,
                none => *none = Some(gap),
            }
            self.begin_fresh_at(gap.to.seq);
        }
    }

    /// What is replayed for fresh subscriptions begins here at the latest: their position may be one of a replaced history.
    fn begin_fresh_at(&mut self, seq: u64) {
        for subscription in self.subscriptions.iter_mut().filter(|subscription| subscription.fresh) {
            subscription.from_seq = subscription.from_seq.min(seq);
        }
    }

    /// Whether entries in the queue may lie before what other subscriptions were served already: an overflow must find that
    /// seam still known.
    pub fn seam_waits(&self) -> bool {
        let seam = matches!(&self.delivery, Delivery::CatchUp(catch_up) if catch_up.seam_seq > 0);
        seam && self.queue.holds_log() && self.subscriptions.iter().any(|subscription| !subscription.fresh)
    }

    pub fn is_live(&self) -> bool {
        matches!(self.delivery, Delivery::Live)
    }

    /// Whether a logged publication, met in catch-up, is to be delivered.
    pub fn wants(&self, publication: &Arc<Publication>, seq: u64, seam_seq: u64, verdicts: &Verdicts) -> bool {
        if !publication.sessions.is_empty() {
            return publication.sessions.contains(&self.session) && seq > seam_seq;
        }
        let mut wanted = false;
        for subscription in self.subscriptions.iter().filter(|subscription| seq > subscription.from_seq) {
            if subscription.reaches(publication, verdicts) {
                if seq > seam_seq || subscription.fresh {
                    wanted = true;
                } else if subscription.has_served(seq) {
                    return false;
                }
            }
        }
        wanted
    }

    /// The log was read anew from number `base_seq` on: a page may have brought the session further than that, and may have been
    /// one of a history that is gone.
    pub fn doubt_after(&mut self, base_seq: u64) {
        if let Some(catch_up) = self.catch_up()
            && catch_up.cursor.seq > base_seq
        {
            catch_up.verified = false;
        }
    }

    /// The log was replaced after number `base_seq`: what came later is new to every subscription.
    pub fn rebase(&mut self, base_seq: u64) {
        for subscription in &mut self.subscriptions {
            subscription.from_seq = subscription.from_seq.min(base_seq);
            if let Some(filtered) = &mut subscription.filtered {
                filtered.changed_seq = filtered.changed_seq.min(base_seq);
            }
        }
        self.told_seq = self.told_seq.min(base_seq);
        if let Some(catch_up) = self.catch_up() {
            catch_up.verified = false;
            catch_up.seam_seq = catch_up.seam_seq.min(base_seq);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if !self.is_live() {
            metrics::sessions_lagging().decrement(1.0);
            metrics::resumes(ResumeOutcome::Failed).increment(1);
        }
    }
}
