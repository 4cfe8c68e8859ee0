//! Acknowledgements against a naive model, which looks through everything each time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::protocol::{EventName, NewPublication, RoomSyntax};

const CONFIG: AcksConfig = AcksConfig {
    redelivery_ms: 100,
    redeliveries_max: 2,
    outstanding_max: 3,
    publications_max: 4,
    publications_bytes_max: usize::MAX,
    report_interval_ms: 1,
    settle_after_ms: 1,
};
const PUBLICATIONS: u64 = 6;
const SESSIONS: u128 = 4;

#[derive(Clone, Debug)]
enum Step {
    Hear(u64),
    Hand(u128, u64),
    Ack(u128, Vec<u64>),
    Leave(u128),
    /// A session has got everything.
    Write(u128),
    /// So long later whatever is due is sent, or put off, or given up.
    Pass(u64, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let session = || 0..SESSIONS;
    let publication = || 0..PUBLICATIONS;
    let step = prop_oneof![
        2 => publication().prop_map(Step::Hear),
        6 => (session(), publication()).prop_map(|(session, publication)| Step::Hand(session, publication)),
        3 => (session(), prop::collection::vec(publication(), 1..3)).prop_map(|(session, all)| Step::Ack(session, all)),
        1 => session().prop_map(Step::Leave),
        2 => session().prop_map(Step::Write),
        3 => (1u64..300, 0u8..3).prop_map(|(ms, outcome)| Step::Pass(ms, outcome)),
    ];
    prop::collection::vec(step, 0..80)
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Naive {
    Waiting { due_ms: Option<u64>, times: u32, written: bool },
    Acked,
    Expired,
}

/// One publication as long as it is tracked.
struct Known {
    publication: u64,
    heard: bool,
    sessions: BTreeMap<u128, Naive>,
    /// Written to before it was settled.
    written: u64,
}

#[derive(Default)]
struct Model {
    /// By age.
    known: Vec<Known>,
    reported: BTreeMap<u64, (Tally, bool)>,
}

fn end_ms(publication: u64) -> u64 {
    600 + publication * 250
}

impl Known {
    fn tally(&self) -> Tally {
        let count = |is: fn(&Naive) -> bool| self.sessions.values().filter(|state| is(state)).count() as u64;
        Tally {
            matched: self.sessions.len() as u64,
            written: self.written,
            acked: count(|state| *state == Naive::Acked),
            expired: count(|state| *state == Naive::Expired),
        }
    }

    /// Whether it had been waited for.
    fn settle(&mut self, session: u128, to: Naive) -> bool {
        let Some(Naive::Waiting { written, .. }) = self.sessions.get(&session).copied() else { return false };
        self.written += u64::from(to == Naive::Acked && !written);
        self.sessions.insert(session, to);
        true
    }
}

impl Model {
    fn settle_where(&mut self, which: impl Fn(u64, u128) -> bool, to: Naive) -> u64 {
        let mut settled = 0;
        for known in &mut self.known {
            for session in 0..SESSIONS {
                if which(known.publication, session) && known.settle(session, to) {
                    settled += 1;
                    self.reported.insert(known.publication, (known.tally(), known.heard));
                }
            }
        }
        settled
    }

    /// The last word on a publication is said whether it is news or not.
    fn forget(&mut self, publication: u64) {
        self.settle_where(|known, _| known == publication, Naive::Expired);
        let last = self.known.iter().find(|known| known.publication == publication).map(|known| (known.tally(), known.heard));
        self.reported.extend(last.map(|last| (publication, last)));
        self.known.retain(|known| known.publication != publication);
    }

    fn track(&mut self, publication: u64) -> &mut Known {
        let index = self.known.iter().position(|known| known.publication == publication).unwrap_or_else(|| {
            self.known.push(Known { publication, heard: false, sessions: BTreeMap::new(), written: 0 });
            if self.known.len() > CONFIG.publications_max {
                self.forget(self.known[0].publication);
            }
            self.known.len() - 1
        });
        &mut self.known[index]
    }

    fn hear(&mut self, publication: u64) {
        let known = self.track(publication);
        known.heard = true;
        let news = (known.tally(), true);
        self.reported.insert(publication, news);
    }

    fn hand(&mut self, session: u128, publication: u64, now_ms: u64) {
        if end_ms(publication) <= now_ms {
            return;
        }
        let known = self.track(publication);
        if known.sessions.contains_key(&session) {
            return;
        }
        known.sessions.insert(session, Naive::Waiting { due_ms: Some(now_ms + CONFIG.redelivery_ms), times: 1, written: false });
        let news = (known.tally(), known.heard);
        self.reported.insert(publication, news);
        let owes = |known: &&Known| matches!(known.sessions.get(&session), Some(Naive::Waiting { .. }));
        if self.known.iter().filter(owes).count() > CONFIG.outstanding_max {
            let oldest = self.known.iter().find(owes).unwrap().publication;
            self.settle_where(|known, owing| known == oldest && owing == session, Naive::Expired);
        }
    }

    fn write(&mut self, session: u128) {
        for known in &mut self.known {
            if let Some(Naive::Waiting { written: written @ false, .. }) = known.sessions.get_mut(&session) {
                *written = true;
                known.written += 1;
                self.reported.insert(known.publication, (known.tally(), known.heard));
            }
        }
    }

    /// Those that are due, with how often they were sent.
    fn due(&self, now_ms: u64) -> BTreeMap<(u64, u128), u32> {
        let all = self.known.iter().flat_map(|known| known.sessions.iter().map(|(session, state)| ((known.publication, *session), *state)));
        let due = all.filter_map(|(key, state)| match state {
            Naive::Waiting { due_ms: Some(due_ms), times, .. } if due_ms <= now_ms => Some((key, times)),
            _ => None,
        });
        due.collect()
    }

    fn sent(&mut self, publication: u64, session: u128, outcome: &Again, now_ms: u64) {
        if matches!(outcome, Again::Never) {
            self.settle_where(|known, owing| (known, owing) == (publication, session), Naive::Expired);
            return;
        }
        let known = self.known.iter_mut().find(|known| known.publication == publication).unwrap();
        let Some(Naive::Waiting { due_ms, times, .. }) = known.sessions.get_mut(&session) else { panic!("it was waited for") };
        *times += u32::from(matches!(outcome, Again::Sent));
        *due_ms = (*times <= CONFIG.redeliveries_max).then(|| now_ms + CONFIG.redelivery_ms * 2u64.pow(*times - 1));
    }
}

fn position(publication: u64) -> Position {
    Position { epoch: 1, seq: publication, check: publication }
}

fn id(session: u128) -> SessionId {
    SessionId(uuid::Uuid::from_u128(session))
}

fn publications() -> Vec<Arc<Publication>> {
    let room = RoomSyntax::new(4, ["kpi"]).room("kpi:acme").unwrap();
    let new = NewPublication { requires_ack: true, ..NewPublication::new(room, EventName::parse("e").unwrap(), "1") };
    (0..PUBLICATIONS).map(|publication| Arc::new(new.placed(Some(position(publication)), publication))).collect()
}

proptest! {
    #[test]
    fn it_counts_reminds_and_gives_up_as_the_naive_model_does(steps in steps()) {
        let publications = publications();
        let (mut acks, mut model, mut now_ms, mut reported) = (Acks::new(CONFIG), Model::default(), 0, BTreeMap::new());
        for step in steps {
            match step {
                Step::Hear(publication) if end_ms(publication) > now_ms => {
                    acks.heard(&publications[publication as usize], end_ms(publication));
                    model.hear(publication);
                }
                Step::Hear(_) => {}
                Step::Hand(session, publication) => {
                    acks.handed(id(session), &publications[publication as usize], now_ms, end_ms(publication));
                    model.hand(session, publication, now_ms);
                }
                Step::Ack(session, acked) => {
                    let positions: Vec<Position> = acked.iter().map(|publication| position(*publication)).collect();
                    let count = model.settle_where(|known, owing| owing == session && acked.contains(&known), Naive::Acked);
                    prop_assert_eq!(acks.acknowledge(id(session), &positions), count);
                }
                Step::Leave(session) => {
                    acks.leave(id(session));
                    model.settle_where(|_, owing| owing == session, Naive::Expired);
                }
                Step::Write(session) => {
                    acks.look(|looked| (looked == id(session)).then_some(true));
                    model.write(session);
                }
                Step::Pass(ms, outcome) => {
                    now_ms += ms;
                    let over: Vec<u64> = model.known.iter().map(|known| known.publication).filter(|known| end_ms(*known) <= now_ms).collect();
                    over.into_iter().for_each(|publication| model.forget(publication));
                    let expected = model.due(now_ms);
                    let due = acks.take_due(now_ms, usize::MAX);
                    let taken = due.iter().map(|due| ((due.publication.time_us, due.session.0.as_u128()), due.times));
                    prop_assert_eq!(taken.collect::<BTreeMap<_, _>>(), expected);
                    let outcome = [Again::Sent, Again::Later, Again::Never].into_iter().nth(outcome.into()).unwrap();
                    for due in due {
                        acks.sent(&due, &outcome, now_ms);
                        model.sent(due.publication.time_us, due.session.0.as_u128(), &outcome, now_ms);
                    }
                    prop_assert!(acks.due_ms().is_none_or(|due_ms| due_ms > now_ms));
                }
            }
            reported.extend(acks.take_shares().into_iter().map(|share| (share.position.seq, (share.tally, share.heard))));
            prop_assert_eq!(&reported, &model.reported);
            prop_assert!(acks.is_reported() && acks.tracked.len() <= CONFIG.publications_max);
            for (known, session, state) in model.known.iter().flat_map(|known| known.sessions.iter().map(move |(session, state)| (known, session, state))) {
                let expected = match state {
                    Naive::Waiting { .. } => AckState::Awaited,
                    Naive::Acked => AckState::Acked,
                    Naive::Expired => AckState::Expired,
                };
                prop_assert_eq!(acks.of(id(*session), position(known.publication)).map(|ack| ack.state), Some(expected));
            }
            prop_assert!(acks.owed.values().all(|owed| !owed.is_empty() && owed.len() <= CONFIG.outstanding_max));
        }
        acks.take_due(u64::MAX, usize::MAX);
        prop_assert!(acks.tracked.is_empty() && acks.numbers.is_empty() && acks.owed.is_empty() && acks.due.is_empty());
        prop_assert!(acks.unwritten.is_empty() && acks.ends.is_empty() && acks.bytes == 0);
    }
}
