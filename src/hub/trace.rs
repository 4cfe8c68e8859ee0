//! What became of sessions lately, for whoever asks afterwards why one got a publication or did not (`explain` answers).
//!
//! The org's task notes what changes for a session: subscriptions, falling behind, catching up, losses, its end. Nothing is noted per delivery
//! or publication: those follow from the log and these events. Bounded per org, the oldest forgotten first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::config::Config;
use crate::clock::unix_us;
use crate::protocol::push::Gap;
use crate::protocol::{Filter, OrgId, Pattern, Position, SessionId};

/// One change.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Unix microseconds, by this node's clock.
    pub at_us: u64,
    pub session: SessionId,
    /// How far in the log the session had been served.
    pub place: Place,
    pub what: What,
}

/// A place in the log without its check value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    pub epoch: u64,
    pub seq: u64,
}

impl From<Position> for Place {
    fn from(position: Position) -> Self {
        Self { epoch: position.epoch, seq: position.seq }
    }
}

/// What changed.
#[derive(Clone, PartialEq, Debug)]
pub enum What {
    /// It is somebody's, and entered the org.
    Opened {
        user: Box<str>,
    },
    /// From behind this number on, as far as the filter lets through.
    Subscribed {
        pattern: Pattern,
        filter: Option<Filter>,
        from_seq: u64,
    },
    Unsubscribed {
        pattern: Pattern,
        filter: Option<Filter>,
    },
    /// It is served from this position of its own choice.
    Resumed {
        from: Position,
    },
    /// Its send queue overflowed, and it is served again from there once it reads.
    Lagging,
    CaughtUp,
    /// It is told a loss.
    Gap(Gap),
    /// Publications of low priority with these numbers gave way to later ones.
    LeftOut {
        seqs: Box<[u64]>,
    },
    /// Its connection has ended, for this close code where the server asked for the end.
    Ended {
        code: Option<u16>,
        /// What it had got ahead of its turn, of that which it had not come to.
        ahead: Box<[u64]>,
    },
}

impl What {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Opened { user } => user.len(),
            // Shared with the router, mostly.
            Self::Subscribed { pattern, filter, .. } | Self::Unsubscribed { pattern, filter } => {
                pattern.as_str().len() + filter.as_ref().map_or(0, |filter| filter.as_str().len())
            }
            Self::LeftOut { seqs } | Self::Ended { ahead: seqs, .. } => size_of_val(&**seqs),
            Self::Resumed { .. } | Self::Lagging | Self::CaughtUp | Self::Gap(_) => 0,
        }
    }
}

/// The events of one org on this node.
#[derive(Debug)]
pub struct Ring {
    entries_max: usize,
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Event>,
    bytes: usize,
}

impl Ring {
    /// Stands for every session that is live when something is noted.
    pub const ALL: SessionId = SessionId(uuid::Uuid::nil());

    fn new(config: &Config) -> Self {
        Self { entries_max: config.trace_entries_max, bytes_max: config.trace_bytes_max, inner: Mutex::default() }
    }

    pub fn note(&self, session: SessionId, place: Place, what: What) {
        let cost = size_of::<Event>() + what.heap_bytes();
        let mut inner = self.inner.lock();
        inner.bytes += cost;
        inner.events.push_back(Event { at_us: unix_us(), session, place, what });
        while inner.events.len() > self.entries_max || inner.bytes > self.bytes_max {
            let Some(oldest) = inner.events.pop_front() else { break };
            inner.bytes -= size_of::<Event>() + oldest.what.heap_bytes();
        }
    }

    /// The events of one session, in their order.
    pub fn of_session(&self, session: SessionId) -> Vec<Event> {
        let concerns = |event: &&Event| event.session == session || event.session == Self::ALL;
        let mut events: Vec<Event> = self.inner.lock().events.iter().filter(concerns).cloned().collect();
        // What concerned all sessions says nothing about one that is not known.
        if events.iter().all(|event| event.session == Self::ALL) {
            events.clear();
        }
        events
    }

    /// The latest sessions of a user, at most so many.
    pub fn sessions_of(&self, user: &str, limit: usize) -> Vec<SessionId> {
        let inner = self.inner.lock();
        let is_theirs = |event: &&Event| matches!(&event.what, What::Opened { user: whose } if **whose == *user);
        inner.events.iter().rev().filter(is_theirs).map(|event| event.session).take(limit).collect()
    }

    fn last_us(&self) -> u64 {
        self.inner.lock().events.back().map_or(0, |event| event.at_us)
    }
}

/// The events of all orgs on this node.
#[derive(Default)]
pub struct Traces {
    orgs: Mutex<HashMap<OrgId, Arc<Ring>>>,
}

impl Traces {
    /// Where the org's events are noted; `None` where none are kept, or there is no room for those of one more org.
    pub fn begin(&self, org: &OrgId, config: &Config) -> Option<Arc<Ring>> {
        if config.trace_entries_max == 0 || config.trace_orgs_max == 0 {
            return None;
        }
        let mut orgs = self.orgs.lock();
        if let Some(ring) = orgs.get(org) {
            return Some(Arc::clone(ring));
        }
        if orgs.len() >= config.trace_orgs_max {
            // Of those orgs that have no session here any more, the one that had its last the longest ago.
            let quiet = orgs.iter().filter(|(_, ring)| Arc::strong_count(ring) == 1);
            let oldest = quiet.min_by_key(|(_, ring)| ring.last_us()).map(|(org, _)| org.clone())?;
            orgs.remove(&oldest);
        }
        let ring = Arc::new(Ring::new(config));
        orgs.insert(org.clone(), Arc::clone(&ring));
        Some(ring)
    }

    pub fn of(&self, org: &OrgId) -> Option<Arc<Ring>> {
        self.orgs.lock().get(org).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u128) -> SessionId {
        SessionId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn the_oldest_events_go_first_by_number_and_by_bytes() {
        let ring = Ring::new(&Config { trace_entries_max: 3, ..Config::default() });
        for number in 0..5 {
            ring.note(session(number), Place::default(), What::CaughtUp);
        }
        assert!(ring.of_session(session(1)).is_empty() && ring.of_session(session(2)).len() == 1);
        let ring = Ring::new(&Config { trace_bytes_max: 10_000, ..Config::default() });
        for number in 0..1_000 {
            ring.note(session(number), Place::default(), What::LeftOut { seqs: vec![0; 100].into() });
        }
        assert!(ring.inner.lock().bytes <= 10_000 && ring.inner.lock().events.len() > 5);
    }

    #[test]
    fn an_org_without_sessions_gives_its_place_up_and_others_keep_theirs() {
        let (traces, config) = (Traces::default(), Config { trace_orgs_max: 2, ..Config::default() });
        let org = |name: &str| OrgId::parse(name).unwrap();
        let kept = traces.begin(&org("a"), &config);
        drop(traces.begin(&org("b"), &config));
        assert!(traces.begin(&org("c"), &config).is_some());
        assert!(traces.of(&org("b")).is_none() && traces.of(&org("a")).is_some());
        let _c = traces.begin(&org("c"), &config);
        assert!(traces.begin(&org("d"), &config).is_none(), "all have sessions");
        drop(kept);
        assert!(traces.begin(&org("d"), &config).is_some());
        assert!(traces.begin(&org("e"), &Config { trace_entries_max: 0, ..config }).is_none());
    }
}
