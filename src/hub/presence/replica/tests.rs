//! The replica against a naive model: a plain map of who is in the room, whatever of its news gets lost or comes twice.

use proptest::prelude::*;

use super::*;
use crate::broker::presence::write_line;
use crate::protocol::presence::{State, Status};
use crate::protocol::{RoomName, RoomSyntax};

const USERS: u64 = 4;
const SESSIONS: u64 = 9;
const OWNERS: u64 = 3;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A session tells something; its news are lost, come, or come twice.
    Put {
        session: u64,
        owner: u64,
        state: u64,
        copies: usize,
    },
    Remove {
        session: u64,
        copies: usize,
    },
    Sweep {
        owner: u64,
        copies: usize,
    },
    /// The store's data are gone, and nobody says so.
    Lost,
    Reread {
        is_believed: bool,
    },
    Show,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let copies = || prop_oneof![1 => Just(0usize), 8 => Just(1usize), 1 => Just(2usize)];
    let step = prop_oneof![
        8 => (0..SESSIONS, 0..OWNERS, 0u64..4, copies()).prop_map(|(session, owner, state, copies)| Step::Put { session, owner, state, copies }),
        4 => (0..SESSIONS, copies()).prop_map(|(session, copies)| Step::Remove { session, copies }),
        1 => (0..OWNERS, copies()).prop_map(|(owner, copies)| Step::Sweep { owner, copies }),
        1 => Just(Step::Lost),
        2 => any::<bool>().prop_map(|is_believed| Step::Reread { is_believed }),
        3 => Just(Step::Show),
    ];
    prop::collection::vec(step, 0..60)
}

pub fn session(number: u64) -> SessionId {
    SessionId(uuid::Uuid::from_u128(u128::from(number)))
}

pub fn room() -> RoomName {
    RoomSyntax::new(4, ["chat"]).room("chat:acme:lobby").unwrap()
}

/// The store, without any of its bounds.
#[derive(Default)]
pub struct Store {
    pub seq: u64,
    pub stays: BTreeMap<SessionId, Stay>,
}

impl Store {
    /// A session of the user who has every `USERS`th session.
    pub fn put(&mut self, number: u64, owner: u64, state: u64) -> News {
        let before = self.seq;
        self.seq += 1;
        let user_id = UserId::parse(&format!("user{}", number % USERS)).unwrap();
        let member = Member { user_id, status: Status::Online, state: State::stored(&state.to_string()).unwrap() };
        let stay = Stay { told: self.seq, owner: Owner(owner), member: Arc::new(member) };
        let mut lines = String::new();
        write_line(session(number), Some(&stay), &mut lines);
        self.stays.insert(session(number), stay);
        News { room: room(), before, lines: lines.into() }
    }

    pub fn remove(&mut self, gone: impl Fn(&SessionId, &Stay) -> bool) -> News {
        let (before, mut lines) = (self.seq, String::new());
        for (session, _) in self.stays.extract_if(.., |session, stay| gone(session, stay)) {
            self.seq += 1;
            write_line(session, None, &mut lines);
        }
        News { room: room(), before, lines: lines.into() }
    }

    pub fn roster(&self) -> Roster {
        let stays = self.stays.iter().map(|(session, stay)| (*session, stay.clone())).collect();
        Roster { seq: self.seq, stays, owners: (0..OWNERS).map(Owner).collect() }
    }

    /// Each user as the session that spoke last has it.
    pub fn members(&self) -> BTreeMap<UserId, Arc<Member>> {
        let mut by_time: Vec<&Stay> = self.stays.values().collect();
        by_time.sort_by_key(|stay| stay.told);
        by_time.into_iter().map(|stay| (stay.member.user_id.clone(), Arc::clone(&stay.member))).collect()
    }
}

fn apply(diff: &Diff, seen: &mut BTreeMap<UserId, Arc<Member>>) {
    let named = diff.joined.len() + diff.updated.len() + diff.left.len();
    for user in &diff.left {
        assert!(seen.remove(user).is_some(), "{user} was there");
    }
    for (member, is_new) in diff.joined.iter().map(|member| (member, true)).chain(diff.updated.iter().map(|member| (member, false))) {
        let before = seen.insert(member.user_id.clone(), Arc::clone(member));
        assert_eq!(before.is_none(), is_new);
        assert_ne!(before.as_ref(), Some(member), "what is told is new");
    }
    let users: BTreeSet<_> = diff.joined.iter().chain(&diff.updated).map(|member| &member.user_id).chain(&diff.left).collect();
    assert_eq!(users.len(), named, "nobody is named twice");
}

proptest! {
    #[test]
    fn it_is_what_the_store_has_and_diffs_add_up_to_it(steps in steps()) {
        let mut store = Store::default();
        let mut replica = Replica::new(store.roster());
        let mut seen = BTreeMap::new();
        let mut missed = false;
        for step in steps {
            let (news, copies) = match step {
                Step::Put { session, owner, state, copies } => (store.put(session, owner, state), copies),
                Step::Remove { session: number, copies } => (store.remove(|known, _| *known == session(number)), copies),
                Step::Sweep { owner, copies } => (store.remove(|_, stay| stay.owner == Owner(owner)), copies),
                Step::Lost => {
                    store.stays.clear();
                    missed = true;
                    continue;
                }
                Step::Reread { is_believed } => {
                    let before: Vec<SessionId> = replica.stays.keys().copied().collect();
                    replica.reread(store.roster(), is_believed);
                    missed = replica.is_doubtful();
                    prop_assert!(is_believed || before.iter().all(|session| replica.stays.contains_key(session)), "nobody is let go in doubt");
                    continue;
                }
                Step::Show => {
                    apply(&replica.take_diff(), &mut seen);
                    prop_assert!(!replica.is_changed());
                    prop_assert!(replica.shown().eq(seen.values()));
                    continue;
                }
            };
            if news.count() > 0 {
                missed |= copies == 0;
                for _ in 0..copies {
                    if replica.follow(&news) == Followed::Missing {
                        prop_assert!(missed, "only what was lost is missing");
                    }
                }
            }
        }
        if missed {
            replica.reread(store.roster(), true);
        }
        apply(&replica.take_diff(), &mut seen);
        prop_assert_eq!(&seen, &store.members());
        prop_assert_eq!(replica.stays.len(), store.stays.len());
        prop_assert_eq!(replica.sessions.values().map(Vec::len).sum::<usize>(), store.stays.len());
        prop_assert_eq!(replica.owners.values().sum::<usize>(), store.stays.len());
        let running = (1..OWNERS).map(Owner).collect();
        prop_assert_eq!(replica.has_owner_besides(&running), store.stays.values().any(|stay| stay.owner == Owner(0)));
    }
}

#[test]
fn whoever_is_left_of_a_dead_node_is_not_shown_to_newcomers() {
    let mut store = Store::default();
    store.put(0, 1, 0);
    store.put(1, 2, 0);
    let mut roster = store.roster();
    roster.owners.remove(&Owner(2));
    let mut replica = Replica::new(roster.clone());
    assert_eq!(replica.shown().count(), 1);
    let mut known = Replica::new(store.roster());
    known.reread(roster, true);
    assert_eq!(known.stays.len(), 2, "those who have seen them wait for the news");
    let running = BTreeSet::from([Owner(1)]);
    assert!(replica.has_owner_besides(&running) && known.has_owner_besides(&running), "whoever has read them has them swept");
    let swept = store.remove(|_, stay| stay.owner == Owner(2));
    for replica in [&mut replica, &mut known] {
        assert_eq!(replica.follow(&swept), Followed::Applied);
        replica.take_diff();
        assert_eq!(replica.shown().count(), 1);
        assert!(!replica.has_owner_besides(&running));
    }
}
