//! What sessions want comes to stand in the store, whatever of the writes is lost, and in whatever order things happen.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::protocol::RoomSyntax;
use crate::protocol::presence::{State, Status, UserId};
use crate::protocol::push::Reply;

const ROOM_MAX: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    Enter {
        session: u64,
        state: u64,
    },
    Leave(u64),
    End {
        session: u64,
        lingers: bool,
    },
    Passes,
    /// A write begins, unless one is under way.
    Write {
        reaches: bool,
    },
    /// The one under way ends, well or badly.
    Return {
        returns: bool,
    },
    StoreLost,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u64..5, 0u64..4).prop_map(|(session, state)| Step::Enter { session, state }),
        3 => (0u64..5).prop_map(Step::Leave),
        1 => (0u64..5, any::<bool>()).prop_map(|(session, lingers)| Step::End { session, lingers }),
        1 => Just(Step::Passes),
        8 => prop::bool::weighted(0.8).prop_map(|reaches| Step::Write { reaches }),
        8 => prop::bool::weighted(0.8).prop_map(|returns| Step::Return { returns }),
        1 => Just(Step::StoreLost),
    ];
    prop::collection::vec(step, 0..60)
}

fn session(number: u64) -> SessionId {
    SessionId(uuid::Uuid::from_u128(u128::from(number)))
}

fn member(state: u64) -> Arc<Member> {
    let state = State::stored(&state.to_string()).unwrap();
    Arc::new(Member { user_id: UserId::parse("alice").unwrap(), status: Status::Online, state })
}

fn asking(session: u64) -> Asking {
    let room = RoomSyntax::new(4, ["chat"]).room("chat:acme").unwrap();
    Asking { slot: u32::try_from(session).unwrap(), id: None, reply: Reply::PresenceLeft { room }, handled: None }
}

/// The store as it carries writes out.
fn carry_out(store: &mut BTreeMap<SessionId, Arc<Member>>, batch: &Batch) -> Vec<Verdict> {
    let carry = |change: &Change| {
        match &change.to {
            None => drop(store.remove(&change.session)),
            Some(_) if !store.contains_key(&change.session) && !change.is_admitted && store.len() >= ROOM_MAX => return Verdict::Full,
            Some(member) => drop(store.insert(change.session, Arc::clone(member))),
        }
        Verdict::Done
    };
    batch.changes.iter().map(carry).collect()
}

proptest! {
    #[test]
    fn the_store_comes_to_hold_what_sessions_want(steps in steps()) {
        let room = RoomSyntax::new(4, ["chat"]).room("chat:acme").unwrap();
        let (mut holdings, mut store) = (Holdings::default(), BTreeMap::new());
        let (mut now, mut ended) = (Instant::now(), BTreeSet::new());
        // Who waits for an answer, and what each was told to be in the room.
        let (mut waiting, mut believed) = (None, BTreeMap::new());
        let mut under_way = None;
        let linger = Duration::from_secs(5);
        let last = [Step::Write { reaches: true }, Step::Return { returns: true }].repeat(9);
        for step in steps.into_iter().chain([Step::Passes]).chain(last) {
            match step {
                // A session has one command at a time, and none once it has ended.
                Step::Enter { session: number, .. } | Step::Leave(number) if ended.contains(&number) || waiting.is_some() => {}
                Step::Enter { session: number, state } => {
                    waiting = Some((number, Some(member(state))));
                    holdings.want(&room, session(number), Some(member(state)), Some(asking(number)));
                }
                Step::Leave(number) => {
                    waiting = Some((number, None));
                    holdings.want(&room, session(number), None, Some(asking(number)));
                }
                Step::End { session: number, lingers } => {
                    ended.insert(number);
                    holdings.end(session(number), lingers.then_some(now + linger));
                    waiting = waiting.filter(|(waiting, _)| *waiting != number);
                }
                Step::Passes => {
                    now += linger;
                    holdings.expire(now);
                }
                Step::Write { reaches } => {
                    if under_way.is_none() && let Some(batch) = holdings.take_batch() {
                        let verdicts = if reaches { Some(carry_out(&mut store, &batch)) } else { None };
                        under_way = Some((batch, verdicts));
                    }
                }
                Step::Return { returns } => {
                    let Some((batch, verdicts)) = under_way.take() else { continue };
                    let answers = match verdicts.filter(|_| returns) {
                        Some(verdicts) => holdings.done(batch, &verdicts),
                        None => holdings.failed(batch),
                    };
                    for (asking, settled) in answers {
                        let number = u64::from(asking.slot);
                        let (who, asked) = waiting.take().expect("somebody waits");
                        prop_assert_eq!(who, number, "who waits is answered, once");
                        let before = believed.remove(&number);
                        let now_believed = match settled {
                            Settled::Done => asked,
                            Settled::Full => None,
                            Settled::Away => asked.and(before),
                        };
                        believed.extend(now_believed.map(|member| (number, member)));
                    }
                }
                Step::StoreLost => {
                    store.clear();
                    holdings.tell_all();
                }
            }
        }
        prop_assert!(under_way.is_none());
        prop_assert!(waiting.is_none(), "nobody waits for ever");
        prop_assert!(holdings.queue.is_empty());
        let wanted: BTreeMap<_, _> = holdings.held.iter().filter_map(|((_, session), held)| Some((*session, held.wanted.clone()?))).collect();
        prop_assert_eq!(&wanted, &store);
        believed.retain(|number, _| !ended.contains(number));
        let believed: BTreeMap<_, _> = believed.into_iter().map(|(number, member)| (session(number), member)).collect();
        prop_assert_eq!(&wanted, &believed, "each is what it was told to be");
        prop_assert_eq!(holdings.held.len(), store.len(), "nothing is kept of those who left");
        prop_assert_eq!(holdings.rooms.values().map(BTreeSet::len).sum::<usize>(), store.len());
        prop_assert!(ended.iter().all(|number| !store.contains_key(&session(*number))));
    }
}

#[test]
fn whoever_could_not_be_told_of_is_as_before() {
    let room = RoomSyntax::new(4, ["chat"]).room("chat:acme").unwrap();
    let mut holdings = Holdings::default();
    holdings.want(&room, session(1), Some(member(1)), Some(asking(1)));
    let batch = holdings.take_batch().unwrap();
    assert!(holdings.done(batch, &[Verdict::Done])[0].1 == Settled::Done);
    holdings.want(&room, session(1), Some(member(2)), Some(asking(1)));
    let batch = holdings.take_batch().unwrap();
    assert!(holdings.failed(batch)[0].1 == Settled::Away);
    assert_eq!(
        holdings.take_batch().unwrap().changes[0].to,
        Some(member(1)),
        "the store is told what was there, for it may have got the other"
    );
    holdings.want(&room, session(1), None, Some(asking(1)));
    let batch = holdings.take_batch().unwrap();
    holdings.failed(batch);
    assert_eq!(holdings.take_batch().unwrap().changes[0].to, None, "nobody comes back who wanted to leave");
}

#[test]
fn a_batch_is_bounded_and_rooms_come_in_order() {
    let syntax = RoomSyntax::new(4, ["chat"]);
    let rooms = ["chat:acme", "chat:acme:a", "chat:acme:b"].map(|room| syntax.room(room).unwrap());
    let mut holdings = Holdings::default();
    for number in 0..200 {
        for room in &rooms {
            holdings.want(room, session(number), Some(member(number)), None);
        }
    }
    assert_eq!(holdings.take_batch().unwrap().changes.len(), CHANGES_MAX);
    assert_eq!(holdings.room_after(None), Some(&rooms[0]));
    assert_eq!(holdings.room_after(Some(&rooms[0])), Some(&rooms[1]));
    assert_eq!(holdings.room_after(Some(&rooms[2])), None);
    assert_eq!(holdings.count_of(session(7)), 3);
    while holdings.take_batch().is_some() {}
    holdings.tell_room(&rooms[1]);
    assert_eq!(
        std::iter::from_fn(|| holdings.take_batch()).flat_map(|batch| batch.changes).filter(|change| change.room == rooms[1]).count(),
        200
    );
}
