//! Which sessions of one org have not acknowledged what asks for it, and when that is due again.
//!
//! Pure: times come in as milliseconds of a clock that never steps back. The org's task tells what it handed to whom and who acknowledged;
//! `acknowledging` carries out what is due, and takes the counts from here to the broker.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::config::AcksConfig;
use super::explain::{Ack, AckState};
use crate::broker::receipts::{SHARES_MAX, Share, Tally};
use crate::protocol::{Position, Publication, SessionId};

/// Publications by the order in which they came to be known here.
type Number = u64;

/// All that is tracked.
pub struct Acks {
    config: AcksConfig,
    numbers: HashMap<Position, Number>,
    tracked: BTreeMap<Number, Tracked>,
    next: Number,
    bytes: usize,
    /// What each session still owes.
    owed: HashMap<SessionId, BTreeSet<Number>>,
    /// When publications are due to be sent again.
    due: BTreeSet<(u64, Number, SessionId)>,
    /// When their time is over.
    ends: BTreeSet<(u64, Number)>,
    /// Handed over, but perhaps not on the wire yet.
    unwritten: BTreeSet<(Number, SessionId)>,
    /// Heard of while some sessions had not come to them, with their ends: whom they reach is not known yet.
    reaching: VecDeque<(Arc<Publication>, u64)>,
    /// What the broker does not know yet.
    unreported: HashMap<Position, Share>,
}

struct Tracked {
    publication: Arc<Publication>,
    position: Position,
    tally: Tally,
    heard: bool,
    sessions: HashMap<SessionId, State>,
}

enum State {
    Waiting {
        due_ms: u64,
        /// How often it was sent.
        times: u32,
        written: bool,
    },
    /// Acknowledged, or given up.
    Settled { acked: bool, times: u32 },
}

/// Something that may have to be sent again.
pub struct Due {
    pub session: SessionId,
    pub publication: Arc<Publication>,
    /// How often it was sent before.
    pub times: u32,
    number: Number,
}

/// What became of it.
pub enum Again {
    Sent,
    /// The session has not even got what was sent before.
    Later,
    /// It is of no more use to the session.
    Never,
}

impl Acks {
    pub fn new(config: AcksConfig) -> Self {
        Self {
            config,
            numbers: HashMap::new(),
            tracked: BTreeMap::new(),
            next: 0,
            bytes: 0,
            owed: HashMap::new(),
            due: BTreeSet::new(),
            ends: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            reaching: VecDeque::new(),
            unreported: HashMap::new(),
        }
    }

    /// Whether the broker knows everything.
    pub fn is_reported(&self) -> bool {
        self.unreported.is_empty() && self.reaching.is_empty()
    }

    /// Whether somebody may have been written to since it was last asked.
    pub fn has_unwritten(&self) -> bool {
        !self.unwritten.is_empty()
    }

    /// When something is due.
    pub fn due_ms(&self) -> Option<u64> {
        let due = self.due.first().map(|(at_ms, ..)| *at_ms);
        let ends = self.ends.first().map(|(at_ms, _)| *at_ms);
        due.into_iter().chain(ends).min()
    }

    /// As [`Acks::heard`], as soon as [`Acks::look_who_is_reached`] finds that every session has come to it.
    pub fn hear_of(&mut self, publication: &Arc<Publication>, end_ms: u64) {
        self.reaching.push_back((Arc::clone(publication), end_ms));
        if self.reaching.len() > self.config.publications_max.max(1)
            && let Some((oldest, end_ms)) = self.reaching.pop_front()
        {
            self.heard(&oldest, end_ms);
        }
    }

    /// Whether [`Acks::look_who_is_reached`] has anything to look at.
    pub fn is_reaching(&self) -> bool {
        !self.reaching.is_empty()
    }

    /// Settles whom publications reach that every session has come to, or whose time is over.
    pub fn look_who_is_reached(&mut self, now_ms: u64, all_have_come_to: impl Fn(Position) -> bool) {
        for (publication, end_ms) in std::mem::take(&mut self.reaching) {
            if end_ms <= now_ms || publication.position.is_none_or(&all_have_come_to) {
                self.heard(&publication, end_ms);
            } else {
                self.reaching.push_back((publication, end_ms));
            }
        }
    }

    /// A publication that came as it was published, and was handed to all whom it reaches here; acknowledgements count until `end_ms`.
    pub fn heard(&mut self, publication: &Arc<Publication>, end_ms: u64) {
        if let Some(number) = self.track(publication, end_ms)
            && let Some(tracked) = self.tracked.get_mut(&number)
        {
            tracked.heard = true;
            self.note(number);
        }
    }

    /// A publication that was handed to a session; what it had before changes nothing.
    pub fn handed(&mut self, session: SessionId, publication: &Arc<Publication>, now_ms: u64, end_ms: u64) {
        if end_ms <= now_ms {
            return;
        }
        let Some(number) = self.track(publication, end_ms) else { return };
        let Some(tracked) = self.tracked.get_mut(&number) else { return };
        if tracked.sessions.contains_key(&session) {
            return;
        }
        let due_ms = now_ms + self.config.redelivery_ms;
        tracked.sessions.insert(session, State::Waiting { due_ms, times: 1, written: false });
        tracked.tally.matched += 1;
        self.due.insert((due_ms, number, session));
        self.unwritten.insert((number, session));
        let owed = self.owed.entry(session).or_default();
        owed.insert(number);
        let excess = if owed.len() > self.config.outstanding_max.max(1) { owed.first().copied() } else { None };
        self.note(number);
        if let Some(oldest) = excess {
            self.settle(oldest, session, false);
        }
    }

    /// How a session stands to a publication that asks to be acknowledged, as long as that is known.
    pub fn of(&self, session: SessionId, position: Position) -> Option<Ack> {
        let (state, times) = match self.tracked.get(self.numbers.get(&position)?)?.sessions.get(&session)? {
            State::Waiting { times, .. } => (AckState::Awaited, *times),
            State::Settled { acked: true, times } => (AckState::Acked, *times),
            State::Settled { acked: false, times } => (AckState::Expired, *times),
        };
        Some(Ack { state, redelivered: times - 1 })
    }

    /// How many of the publications a session had owed.
    pub fn acknowledge(&mut self, session: SessionId, positions: &[Position]) -> u64 {
        let numbers: Vec<Number> = positions.iter().filter_map(|position| self.numbers.get(position).copied()).collect();
        numbers.into_iter().map(|number| u64::from(self.settle(number, session, true))).sum()
    }

    /// A session has ended: it will acknowledge nothing more.
    pub fn leave(&mut self, session: SessionId) {
        for number in self.owed.get(&session).cloned().unwrap_or_default() {
            self.settle(number, session, false);
        }
    }

    /// Notes who has meanwhile got everything that was handed to it: `has_all` says so, and whether the session acknowledges at all.
    pub fn look(&mut self, has_all: impl Fn(SessionId) -> Option<bool>) {
        let looked = self.unwritten.iter().filter_map(|(number, session)| Some((*number, *session, has_all(*session)?)));
        for (number, session, acknowledges) in looked.collect::<Vec<_>>() {
            self.unwritten.remove(&(number, session));
            let Some(tracked) = self.tracked.get_mut(&number) else { continue };
            if let Some(State::Waiting { written, .. }) = tracked.sessions.get_mut(&session) {
                *written = true;
                tracked.tally.written += 1;
                self.note(number);
            }
            if !acknowledges {
                self.settle(number, session, false);
            }
        }
    }

    /// Gives up what is past its time, and takes out what is due by `now_ms`, at most `max`; each must be given back to [`Acks::sent`].
    pub fn take_due(&mut self, now_ms: u64, max: usize) -> Vec<Due> {
        while self.ends.first().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
            if let Some((_, number)) = self.ends.pop_first() {
                self.forget(number);
            }
        }
        let mut taken = Vec::new();
        while taken.len() < max && self.due.first().is_some_and(|(at_ms, ..)| *at_ms <= now_ms) {
            let Some((_, number, session)) = self.due.pop_first() else { break };
            let Some(tracked) = self.tracked.get(&number) else { continue };
            if let Some(State::Waiting { times, .. }) = tracked.sessions.get(&session) {
                taken.push(Due { session, publication: Arc::clone(&tracked.publication), times: *times, number });
            }
        }
        taken
    }

    /// What became of something that was due.
    pub fn sent(&mut self, due: &Due, outcome: &Again, now_ms: u64) {
        let waiting = self.tracked.get_mut(&due.number).and_then(|tracked| tracked.sessions.get_mut(&due.session));
        let Some(State::Waiting { due_ms, times, .. }) = waiting else { return };
        match outcome {
            Again::Never => {
                self.settle(due.number, due.session, false);
                return;
            }
            Again::Sent => *times += 1,
            Again::Later => {}
        }
        // One more than may be sent again, because the first time does not count.
        if *times <= self.config.redeliveries_max {
            *due_ms = now_ms + self.config.redelivery_ms.saturating_mul(1 << (*times - 1).min(16));
            self.due.insert((*due_ms, due.number, due.session));
        }
    }

    /// What is to be reported next.
    pub fn take_shares(&mut self) -> Vec<Share> {
        let positions: Vec<Position> = self.unreported.keys().take(SHARES_MAX).copied().collect();
        positions.iter().filter_map(|position| self.unreported.remove(position)).collect()
    }

    /// Shares that could not be reported; what is newer stays.
    pub fn put_back(&mut self, shares: Vec<Share>) {
        for share in shares {
            if !self.unreported.contains_key(&share.position) {
                self.report(share);
            }
        }
    }

    fn track(&mut self, publication: &Arc<Publication>, end_ms: u64) -> Option<Number> {
        let position = publication.position?;
        if let Some(number) = self.numbers.get(&position) {
            return Some(*number);
        }
        let number = self.next;
        self.next += 1;
        self.bytes += publication.cost_bytes();
        self.numbers.insert(position, number);
        self.ends.insert((end_ms, number));
        let publication = Arc::clone(publication);
        self.tracked.insert(number, Tracked { publication, position, tally: Tally::default(), heard: false, sessions: HashMap::new() });
        while self.tracked.len() > self.config.publications_max.max(1)
            || (self.bytes > self.config.publications_bytes_max && self.tracked.len() > 1)
        {
            let oldest = *self.tracked.keys().next()?;
            self.ends.retain(|(_, number)| *number != oldest);
            self.forget(oldest);
        }
        Some(number)
    }

    /// Gives up whatever is outstanding of a publication, reports it a last time, which completes its receipts where others can no
    /// longer, and tracks it no longer.
    fn forget(&mut self, number: Number) {
        let Some(tracked) = self.tracked.get(&number) else { return };
        let sessions: Vec<SessionId> = tracked.sessions.keys().copied().collect();
        for session in sessions {
            self.settle(number, session, false);
        }
        self.note(number);
        if let Some(tracked) = self.tracked.remove(&number) {
            self.bytes -= tracked.publication.cost_bytes();
            self.numbers.remove(&tracked.position);
        }
    }

    /// Ends the waiting for one session; whether there was any.
    fn settle(&mut self, number: Number, session: SessionId, acked: bool) -> bool {
        let Some(tracked) = self.tracked.get_mut(&number) else { return false };
        let Some(State::Waiting { due_ms, written, times }) = tracked.sessions.get(&session) else { return false };
        let times = *times;
        self.due.remove(&(*due_ms, number, session));
        self.unwritten.remove(&(number, session));
        if acked {
            tracked.tally.acked += 1;
            // Nobody deals with what never came.
            tracked.tally.written += u64::from(!written);
        } else {
            tracked.tally.expired += 1;
        }
        tracked.sessions.insert(session, State::Settled { acked, times });
        if let Some(owed) = self.owed.get_mut(&session) {
            owed.remove(&number);
            if owed.is_empty() {
                self.owed.remove(&session);
            }
        }
        self.note(number);
        true
    }

    /// While the broker is away the news of some are lost; their receipts end with the deadline.
    fn report(&mut self, share: Share) {
        if self.unreported.len() < self.config.publications_max.saturating_mul(2) || self.unreported.contains_key(&share.position) {
            self.unreported.insert(share.position, share);
        }
    }

    /// What is known of a publication is news to the broker.
    fn note(&mut self, number: Number) {
        if let Some(tracked) = self.tracked.get(&number) {
            let Tracked { position, tally, heard, .. } = *tracked;
            self.report(Share { position, tally, heard });
        }
    }
}

#[cfg(test)]
mod model;
