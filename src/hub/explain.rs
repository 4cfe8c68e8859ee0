//! Why a session got a publication, or did not: from the publication itself, what is noted of the session, and where it stands.
//!
//! Pure. The api asks [`explain`] for each session; delivery follows the same rules (`Member::wants`, the router), so what is
//! recomputed here is what was decided then.

use std::sync::Arc;

use super::trace::{Event, Place, What};
use crate::protocol::filter::Document;
use crate::protocol::{Filter, Pattern, Position, Publication, SessionId};

/// How a session stands now, as its org's task knows it.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// It has been handed everything up to here.
    pub cursor: Position,
    /// What it has, with which filter, and from behind which number on.
    pub subscriptions: Vec<(Pattern, Option<Filter>, u64)>,
    /// Publications behind this position are not written to its socket yet.
    pub waiting_after: Option<Position>,
    /// It got the publication in question ahead of its turn.
    pub ahead: bool,
    /// What it got ahead of its turn is not written to its socket yet, or not all of it.
    pub ahead_waits: bool,
}

/// Whether a session has acknowledged a publication that asks for it; known on its node until the deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ack {
    pub state: AckState,
    /// How often the publication was sent to it again.
    pub redelivered: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckState {
    Awaited,
    Acked,
    /// The session ended before, or it was given up for it.
    Expired,
}

impl AckState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Awaited => "awaited",
            Self::Acked => "acked",
            Self::Expired => "expired",
        }
    }
}

/// What an org's task knows of a session.
#[derive(Clone, PartialEq, Debug)]
pub struct Known {
    pub session: SessionId,
    /// `None`: it has ended, or was never here.
    pub standing: Option<Standing>,
    /// `None`: the publication asks for none, was not handed to the session, or its deadline is over.
    pub ack: Option<Ack>,
}

/// What became of a publication for a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The kernel has it: it is on its way to the client.
    Written,
    /// It was written ahead of its turn, while others still wait for the session.
    Overtook,
    /// It waits in the send queue.
    Waiting,
    /// It was handed to the connection, which has ended since.
    HandedOver,
    /// The session is being caught up and has not come to it.
    Lagging,
    /// The session was told a gap that covers it.
    Gap,
    /// It gave way to a later one.
    Conflated,
    /// Its time was over when the session came to it.
    Expired,
    /// No filter of the session's subscriptions that it reaches let it through.
    Filtered,
    /// The session was subscribed to something that it reaches, but not any more by then.
    UnsubscribedBefore,
    /// The session subscribed only later to something that it reaches.
    SubscribedLater,
    /// The session had ended before.
    EndedBefore,
    /// It reaches no subscription of the session.
    NoMatch,
    /// Nothing is known of the session any more.
    Forgotten,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Overtook => "overtook",
            Self::Waiting => "waiting",
            Self::HandedOver => "handed_over",
            Self::Lagging => "lagging",
            Self::Gap => "gap",
            Self::Conflated => "conflated",
            Self::Expired => "expired",
            Self::Filtered => "filtered",
            Self::UnsubscribedBefore => "unsubscribed_before",
            Self::SubscribedLater => "subscribed_later",
            Self::EndedBefore => "ended_before",
            Self::NoMatch => "no_match",
            Self::Forgotten => "forgotten",
        }
    }

    /// For people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Written => "it was written to the session's socket; whether the client has read it, only an acknowledgement tells",
            Self::Overtook => "it is urgent and was written ahead of others, which still wait for the session",
            Self::Waiting => "it waits in the session's send queue: the client reads more slowly than is published",
            Self::HandedOver => {
                "it was handed to the session's connection, which has ended since; a client that did not get it resumes before it"
            }
            Self::Lagging => "the session is being caught up from the log and has not come to it; it comes in its turn",
            Self::Gap => "the session was told a gap that covers it: it could not be had from the log any more",
            Self::Conflated => "it is of low priority and the session was slow: a later one of the same room and event took its place",
            Self::Expired => "its ttl_ms was over when the session came to it",
            Self::Filtered => "the filter of the session's subscription, its own or one that its token enforces, did not let it through",
            Self::UnsubscribedBefore => "the session's subscription that it reaches had ended before",
            Self::SubscribedLater => "the session subscribed to what it reaches only after it, and asked for nothing earlier",
            Self::EndedBefore => "the session ended before it came to it",
            Self::NoMatch => "it reaches none of the session's subscriptions",
            Self::Forgotten => "nothing is known of the session any more on this node",
        }
    }
}

/// The answer for one session.
#[derive(Clone, PartialEq, Debug)]
pub struct Explained {
    pub verdict: Verdict,
    /// The session's subscriptions that the verdict is about.
    pub reached: Vec<Held>,
    /// Where the publication asks for it and as long as it is known.
    pub ack: Option<Ack>,
}

/// A subscription, by what it is known.
pub type Held = (Pattern, Option<Filter>);

/// Why a session of which this is `known` got the logged `publication`, or did not.
pub fn explain(publication: &Arc<Publication>, at: Position, events: &[Event], known: &Known) -> Explained {
    let standing = known.standing.as_ref();
    let message = Message { publication, at, document: &Document::of(publication) };
    let mut past = Past::default();
    events.iter().for_each(|event| past.take(event, message));
    if let Some(standing) = standing {
        // Events may be forgotten, what holds now is not.
        standing
            .subscriptions
            .iter()
            .for_each(|(pattern, filter, from_seq)| past.add(&(pattern.clone(), filter.clone()), *from_seq, message));
    }
    let directly = publication.sessions.contains(&known.session);
    let for_others = !publication.sessions.is_empty() && !directly;
    let Past { covering, filtered, ended, later, fate, .. } = past;
    let (verdict, reached) = match () {
        () if standing.is_none() && events.is_empty() => (Verdict::Forgotten, Vec::new()),
        () if for_others => (Verdict::NoMatch, Vec::new()),
        () if directly || !covering.is_empty() => (went_ahead(standing).or(fate).unwrap_or_else(|| stands(standing, at)), covering),
        () if !filtered.is_empty() => (Verdict::Filtered, filtered),
        () if !ended.is_empty() => (Verdict::UnsubscribedBefore, ended),
        () if !later.is_empty() => (Verdict::SubscribedLater, later),
        () => (Verdict::NoMatch, Vec::new()),
    };
    Explained { verdict, reached, ack: known.ack }
}

/// What went ahead is there, whatever becomes of its turn.
fn went_ahead(standing: Option<&Standing>) -> Option<Verdict> {
    let standing = standing.filter(|standing| standing.ahead)?;
    Some(if standing.ahead_waits { Verdict::Waiting } else { Verdict::Overtook })
}

fn stands(standing: Option<&Standing>, at: Position) -> Verdict {
    match standing {
        None => Verdict::Forgotten,
        Some(standing) if standing.cursor.epoch == at.epoch && standing.cursor.seq < at.seq => Verdict::Lagging,
        Some(standing) if standing.waiting_after.is_some_and(|after| after.epoch == at.epoch && after.seq < at.seq) => Verdict::Waiting,
        Some(_) => Verdict::Written,
    }
}

#[derive(Clone, Copy)]
struct Message<'a> {
    publication: &'a Publication,
    at: Position,
    /// For filters, which read it only if there are any.
    document: &'a Document,
}

impl Message<'_> {
    /// Whether somebody at `place` at that time had not come to it.
    fn is_after(self, place: Place, at_us: u64) -> bool {
        if place.epoch == self.at.epoch { place.seq < self.at.seq } else { at_us < self.publication.time_us }
    }

    fn reaches(self, pattern: &Pattern) -> bool {
        pattern.is_reached_by(&self.publication.room, self.publication.cascade)
    }
}

/// What the events say, as far as one has gone through them.
#[derive(Default)]
struct Past {
    /// Subscriptions that it reaches and that were meant.
    covering: Vec<Held>,
    /// Of those that it reaches: kept out by their filter, ended before it, begun behind it.
    filtered: Vec<Held>,
    ended: Vec<Held>,
    later: Vec<Held>,
    fate: Option<Verdict>,
    /// Since when the session is on its way through the log to it.
    catching_up_us: Option<u64>,
}

impl Past {
    fn take(&mut self, event: &Event, message: Message<'_>) {
        let Event { at_us, place, what, .. } = event;
        let not_there_yet = message.is_after(*place, *at_us);
        match what {
            What::Opened { .. } => {}
            What::Subscribed { pattern, filter, from_seq } => {
                let from_seq = if place.epoch == message.at.epoch || !not_there_yet { *from_seq } else { 0 };
                self.add(&(pattern.clone(), filter.clone()), from_seq, message);
            }
            What::Unsubscribed { pattern, filter } => {
                let gone = (pattern.clone(), filter.clone());
                if not_there_yet {
                    self.filtered.retain(|held| *held != gone);
                }
                if not_there_yet && self.covering.contains(&gone) {
                    self.covering.retain(|held| *held != gone);
                    self.ended.push(gone);
                }
            }
            What::Resumed { from } => self.go_back(Place::from(*from), *at_us, message),
            What::Lagging => self.go_back(*place, *at_us, message),
            What::CaughtUp => {
                let expired = self.catching_up_us.take().is_some_and(|since_us| message.publication.expired_at(since_us));
                if expired && !not_there_yet {
                    self.fate = Some(Verdict::Expired);
                }
            }
            What::Gap(gap) => {
                let begins_before = gap.from.is_some_and(|from| message.is_after(from.into(), *at_us));
                if begins_before && gap.to.epoch == message.at.epoch && message.at.seq <= gap.to.seq {
                    self.fate = Some(Verdict::Gap);
                }
            }
            What::LeftOut { seqs } => {
                if place.epoch == message.at.epoch && seqs.contains(&message.at.seq) {
                    self.fate = Some(Verdict::Conflated);
                }
            }
            What::Ended { ahead, .. } => {
                let went_ahead = place.epoch == message.at.epoch && ahead.contains(&message.at.seq);
                let end = if not_there_yet && !went_ahead { Verdict::EndedBefore } else { Verdict::HandedOver };
                self.fate = self.fate.or(Some(end));
            }
        }
    }

    /// The session is served again from `from` on, so what had become of it before does not count any more.
    fn go_back(&mut self, from: Place, at_us: u64, message: Message<'_>) {
        if message.is_after(from, at_us) {
            (self.fate, self.catching_up_us) = (None, Some(at_us));
        }
    }

    fn add(&mut self, subscription: &Held, from_seq: u64, message: Message<'_>) {
        let (pattern, filter) = subscription;
        if !message.reaches(pattern) || self.covering.contains(subscription) {
            return;
        }
        let list = if from_seq >= message.at.seq {
            &mut self.later
        } else if filter.as_ref().is_none_or(|filter| filter.passes(message.document)) {
            self.later.retain(|held| held != subscription);
            &mut self.covering
        } else {
            &mut self.filtered
        };
        if !list.contains(subscription) {
            list.push(subscription.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::push::Gap;
    use crate::protocol::{EventName, GapReason, NewPublication, RoomSyntax};

    const EPOCH: u64 = 7;

    fn at(seq: u64) -> Position {
        Position { epoch: EPOCH, seq, check: seq * 1_000 }
    }

    fn syntax() -> RoomSyntax {
        RoomSyntax::new(4, ["kpi"])
    }

    fn publication(seq: u64) -> Arc<Publication> {
        let new = NewPublication::new(syntax().room("kpi:acme:sales").unwrap(), EventName::parse("kpi:update").unwrap(), "1".to_owned());
        Arc::new(new.placed(Some(at(seq)), seq * 1_000))
    }

    fn me() -> SessionId {
        SessionId(uuid::Uuid::from_u128(1))
    }

    fn event(place: u64, what: What) -> Event {
        Event { at_us: place * 1_000, session: me(), place: Place { epoch: EPOCH, seq: place }, what }
    }

    fn pattern(text: &str) -> Pattern {
        syntax().pattern(text).unwrap()
    }

    fn subscribed(place: u64, text: &str) -> Event {
        event(place, What::Subscribed { pattern: pattern(text), filter: None, from_seq: place })
    }

    fn standing(cursor: u64, waiting_after: Option<u64>) -> Standing {
        Standing {
            cursor: at(cursor),
            subscriptions: vec![(pattern("kpi:acme"), None, 10)],
            waiting_after: waiting_after.map(at),
            ahead: false,
            ahead_waits: false,
        }
    }

    fn known(standing: Option<&Standing>) -> Known {
        Known { session: me(), standing: standing.cloned(), ack: None }
    }

    fn verdict(seq: u64, events: &[Event], standing: Option<&Standing>) -> Verdict {
        explain(&publication(seq), at(seq), events, &known(standing)).verdict
    }

    #[test]
    fn what_went_ahead_is_not_taken_for_what_is_still_to_come() {
        let went = |ahead_waits| Standing { ahead: true, ahead_waits, ..standing(15, Some(12)) };
        assert_eq!(verdict(20, &[], Some(&went(false))), Verdict::Overtook);
        assert_eq!(verdict(20, &[], Some(&went(true))), Verdict::Waiting);
        let ended = |ahead: &[u64]| [subscribed(10, "kpi:acme"), event(15, What::Ended { code: None, ahead: ahead.into() })];
        assert_eq!(verdict(20, &ended(&[20]), None), Verdict::HandedOver);
        assert_eq!(verdict(21, &ended(&[20]), None), Verdict::EndedBefore);
    }

    #[test]
    fn a_session_that_stands_open_is_told_by_its_cursor_and_its_queue() {
        for (cursor, waiting_after, expected) in
            [(30, None, Verdict::Written), (30, Some(15), Verdict::Waiting), (30, Some(20), Verdict::Written), (15, None, Verdict::Lagging)]
        {
            assert_eq!(verdict(20, &[], Some(&standing(cursor, waiting_after))), expected, "{cursor} {waiting_after:?}");
        }
        assert_eq!(verdict(10, &[], Some(&standing(30, None))), Verdict::SubscribedLater);
        assert_eq!(verdict(20, &[], None), Verdict::Forgotten);
    }

    #[test]
    fn subscriptions_count_while_they_last() {
        let events = [
            subscribed(10, "kpi:acme:support"),
            subscribed(12, "kpi:acme:sales"),
            event(20, What::Unsubscribed { pattern: pattern("kpi:acme:sales"), filter: None }),
            event(30, What::Ended { code: Some(4000), ahead: [].into() }),
        ];
        for (seq, expected) in [
            (12, Verdict::SubscribedLater),
            (13, Verdict::HandedOver),
            (20, Verdict::HandedOver),
            (21, Verdict::UnsubscribedBefore),
            (31, Verdict::UnsubscribedBefore),
        ] {
            assert_eq!(verdict(seq, &events, None), expected, "{seq}");
        }
        assert_eq!(
            verdict(31, &[subscribed(10, "kpi:acme"), event(30, What::Ended { code: None, ahead: [].into() })], None),
            Verdict::EndedBefore
        );
        assert_eq!(verdict(20, &[subscribed(10, "kpi:acme:support")], None), Verdict::NoMatch);
    }

    #[test]
    fn a_filter_that_does_not_let_it_through_is_named() {
        let filter = |text: &str| Some(Filter::parse(text).unwrap());
        let (narrow, wide) = (filter("data.value > 5"), filter("data.value > 0"));
        let mut one = (*publication(20)).clone();
        one.data = "{\"value\":1}".into();
        let one = Arc::new(one);
        let with =
            |filter: &Option<Filter>| Standing { subscriptions: vec![(pattern("kpi:acme"), filter.clone(), 10)], ..standing(30, None) };
        let explained = |events: &[Event], filter: &Option<Filter>| explain(&one, at(20), events, &known(Some(&with(filter))));
        let kept_out = explained(&[], &narrow);
        assert_eq!(kept_out, Explained { verdict: Verdict::Filtered, reached: vec![(pattern("kpi:acme"), narrow.clone())], ack: None });
        assert_eq!(explained(&[], &wide).verdict, Verdict::Written);
        // A token that enforced another one later says nothing of what came before.
        let subscribed = event(10, What::Subscribed { pattern: pattern("kpi:acme"), filter: wide.clone(), from_seq: 10 });
        let ended = event(25, What::Unsubscribed { pattern: pattern("kpi:acme"), filter: wide });
        assert_eq!(explained(&[subscribed, ended], &narrow).verdict, Verdict::Written);
    }

    #[test]
    fn what_a_slow_session_was_spared_or_lost_is_told() {
        let lagging = |events: Vec<Event>| [vec![subscribed(10, "kpi:acme"), event(15, What::Lagging)], events].concat();
        let left_out = lagging(vec![event(15, What::LeftOut { seqs: vec![20].into() })]);
        assert_eq!(verdict(20, &left_out, Some(&standing(30, None))), Verdict::Conflated);
        assert_eq!(verdict(21, &left_out, Some(&standing(30, None))), Verdict::Written);
        let gap = lagging(vec![event(15, What::Gap(Gap { from: Some(at(15)), to: at(25), reason: GapReason::Evicted }))]);
        for (seq, expected) in [(15, Verdict::Written), (16, Verdict::Gap), (25, Verdict::Gap), (26, Verdict::Written)] {
            assert_eq!(verdict(seq, &gap, Some(&standing(30, None))), expected, "{seq}");
        }
        // Whoever resumes from before a gap is served again.
        let again = [gap, vec![event(30, What::Resumed { from: at(12) })]].concat();
        assert_eq!(verdict(20, &again, Some(&standing(30, None))), Verdict::Written);
    }

    #[test]
    fn what_was_too_old_to_be_caught_up_is_told() {
        let mut late = Event { at_us: 9_000_000, ..event(10, What::Resumed { from: at(10) }) };
        let caught_up = Event { at_us: 9_000_001, ..event(30, What::CaughtUp) };
        late.place.seq = 10;
        let mut short = (*publication(20)).clone();
        short.ttl_ms = Some(1_000);
        let events = [subscribed(10, "kpi:acme"), late, caught_up];
        let explained = explain(&Arc::new(short), at(20), &events, &known(Some(&standing(30, None))));
        assert_eq!(explained, Explained { verdict: Verdict::Expired, reached: vec![(pattern("kpi:acme"), None)], ack: None });
        assert_eq!(verdict(20, &events, Some(&standing(30, None))), Verdict::Written);
    }

    #[test]
    fn a_publication_for_single_sessions_reaches_those() {
        let mut direct = (*publication(20)).clone();
        direct.sessions = vec![SessionId(uuid::Uuid::from_u128(2))];
        let explain =
            |publication: &Publication| explain(&Arc::new(publication.clone()), at(20), &[], &known(Some(&standing(30, None)))).verdict;
        assert_eq!(explain(&direct), Verdict::NoMatch);
        direct.sessions.push(me());
        assert_eq!(explain(&direct), Verdict::Written);
    }
}
