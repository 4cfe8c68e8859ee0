//! The index against a model that goes through the whole log each time.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::auth::grant::GrantList;
use crate::auth::principal::Principal;
use crate::protocol::{EventName, Filter, GapReason, NewPublication, OrgId, RoomSyntax, SessionId};

const ROOMS: [&str; 7] = ["kpi:acme", "kpi:acme:a", "kpi:acme:a:q", "kpi:acme:a-b", "kpi:acme:b:q", "chat:acme:a", "org:acme"];
const PATTERNS: [&str; 7] = ["kpi:acme", "kpi:acme:a", "kpi:acme:*:q", "*:acme:**", "kpi:acme:a:q", "org:acme", "chat:acme:a:x"];
const EVENTS: [&str; 2] = ["kpi:update", "kpi:alert"];
const FILTERS: [Option<&str>; 3] = [None, Some("n >= 3"), Some("m exists")];
const NOW_US: u64 = 1_000_000_000;

/// What happens to a log, or to the index.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        room: usize,
        event: usize,
        number: u8,
        cascade: bool,
        to_one: bool,
        expired: bool,
    },
    Fence,
    /// So many of the oldest go; never the newest.
    Trim(usize),
    /// So many of the newest go, and another history follows.
    Fork(usize),
    Lost,
    Look {
        page: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let publish = (0..ROOMS.len(), 0..EVENTS.len(), 0u8..6, any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    let publish =
        publish.prop_map(|(room, event, number, cascade, to_one, expired)| Step::Publish { room, event, number, cascade, to_one, expired });
    prop_oneof![
        12 => publish,
        1 => Just(Step::Fence),
        2 => (1usize..6).prop_map(Step::Trim),
        1 => (1usize..4).prop_map(Step::Fork),
        1 => Just(Step::Lost),
        4 => (1usize..5).prop_map(|page| Step::Look { page }),
    ]
}

fn syntax() -> RoomSyntax {
    RoomSyntax::new(4, ["kpi", "chat"])
}

/// A log as a broker keeps it.
struct Log {
    epoch: u64,
    last: Position,
    entries: Vec<Entry>,
    clock: u64,
}

impl Log {
    fn new(epoch: u64) -> Self {
        Self { epoch, last: Position { epoch, seq: 0, check: 0 }, entries: Vec::new(), clock: 1 }
    }

    fn append(&mut self, body: impl FnOnce(Position) -> Body) {
        self.clock += 1;
        self.last = Position { epoch: self.epoch, seq: self.last.seq + 1, check: self.clock };
        self.entries.push(Entry { position: self.last, body: body(self.last) });
    }

    fn state(&self) -> LogState {
        LogState { last: self.last, first_seq: self.entries.first().map_or(self.last.seq + 1, |entry| entry.position.seq) }
    }

    fn page(&self, from_seq: u64, entries_max: usize) -> Page {
        let rest: Vec<_> = self.entries.iter().filter(|entry| entry.position.seq >= from_seq).cloned().collect();
        Page { epoch: self.epoch, end: rest.len() <= entries_max, entries: rest.into_iter().take(entries_max).collect() }
    }
}

fn publication(step: &Step, at: Position) -> Body {
    let Step::Publish { room, event, number, cascade, to_one, expired } = step else { unreachable!("only these are published") };
    let data = if *number == 5 { r#"{"m":1}"#.to_owned() } else { format!("{{\"n\":{number}}}") };
    let mut new = NewPublication::new(syntax().room(ROOMS[*room]).unwrap(), EventName::parse(EVENTS[*event]).unwrap(), Bytes::from(data));
    new.cascade = *cascade;
    new.ttl_ms = expired.then_some(1);
    if *to_one {
        new.sessions = vec![SessionId(uuid::Uuid::from_u128(1))];
    }
    Body::Publication(Arc::new(new.placed(Some(at), at.check)))
}

fn look(index: &mut Index, log: &Log, page: usize) {
    for _ in 0..3 {
        let Some(mut from_seq) = index.compare(log.state()) else { return };
        loop {
            match index.take(&log.page(from_seq, page), from_seq) {
                Taken::More(next) => from_seq = next,
                Taken::All => return,
                Taken::Torn => break,
            }
        }
    }
    panic!("a log that stands still is read in three attempts");
}

fn wish(principal: &Principal, pattern: usize, filter: Option<&str>) -> Wish {
    let pattern = syntax().pattern(PATTERNS[pattern]).unwrap();
    let live = principal.grant_subscribe(pattern.clone()).unwrap().filtered(filter.map(|filter| Filter::parse(filter).unwrap()));
    Wish::new(principal.grant_history(pattern).unwrap(), &live)
}

/// The whole log, replayed.
fn naive(log: &Log, wishes: &[Wish]) -> Vec<Shown> {
    let mut rooms = BTreeMap::new();
    for entry in &log.entries {
        if let Body::Publication(publication) = &entry.body
            && publication.sessions.is_empty()
        {
            rooms.insert((publication.room.clone(), publication.event.clone()), Arc::clone(publication));
        }
    }
    let wanted = |publication: &Arc<Publication>| {
        !publication.expired_at(NOW_US)
            && wishes.iter().any(|wish| {
                let passes = wish.filter().is_none_or(|filter| filter.passes(&Document::of(publication)));
                wish.pattern().is_reached_by(&publication.room, publication.cascade) && passes
            })
    };
    let mut found: Vec<_> = rooms.into_values().filter(wanted).collect();
    found.sort_by_key(|publication| publication.position.unwrap().seq);
    found.iter().filter_map(|publication| Shown::of(publication)).collect()
}

fn granted(grants: &[&str]) -> Principal {
    let (org, grants) = (OrgId::parse("acme").unwrap(), grants.iter().map(ToString::to_string).collect::<Vec<_>>());
    let grants = GrantList::read(Some(&serde_json::json!([])), &grants, &org, &syntax()).unwrap();
    Principal::new("alice", &org, 1).unwrap().with_grants(grants)
}

fn reader() -> Principal {
    granted(&["subscribe:*:acme:**", "subscribe:org:acme", "history:*:acme:**", "history:org:acme"])
}

fn happens(step: &Step, log: &mut Log) {
    match step {
        Step::Publish { .. } => log.append(|at| publication(step, at)),
        Step::Fence => log.append(|_| Body::Fence(GapReason::Fork)),
        Step::Trim(count) => drop(log.entries.drain(..(*count).min(log.entries.len().saturating_sub(1)))),
        Step::Fork(count) => {
            let left = log.entries.len().saturating_sub(*count).max(1).min(log.entries.len());
            log.entries.truncate(left);
            if let Some(last) = log.entries.last() {
                log.last = last.position;
                log.append(|_| Body::Fence(GapReason::Fork));
            }
        }
        Step::Lost => *log = Log { clock: log.clock, ..Log::new(log.epoch + 1) },
        Step::Look { .. } => {}
    }
}

proptest! {
    #[test]
    fn it_tells_what_a_replay_of_the_whole_log_tells(
        steps in prop::collection::vec(step(), 1..80),
        asked in prop::collection::vec((0..PATTERNS.len(), 0..FILTERS.len()), 1..4),
    ) {
        let (mut log, mut index, principal) = (Log::new(1), Index::new(Config::default()), reader());
        let wishes: Vec<_> = asked.iter().map(|(pattern, filter)| wish(&principal, *pattern, FILTERS[*filter])).collect();
        for step in steps.iter().chain([&Step::Look { page: 3 }]) {
            happens(step, &mut log);
            if let Step::Look { page } = step {
                look(&mut index, &log, *page);
                prop_assert_eq!(index.at(), Some(log.last));
                let told = index.select(&wishes, NOW_US);
                prop_assert!(told.complete);
                prop_assert_eq!(told.publications, naive(&log, &wishes));
                prop_assert_eq!(index.bytes(), index.by_name.values().map(|publication| cost(publication)).sum::<usize>());
                prop_assert_eq!(index.by_name.len(), index.publications());
            }
        }
    }

    #[test]
    fn beyond_its_bounds_it_has_the_newest_and_says_so(
        steps in prop::collection::vec(step(), 1..80),
        publications_max in 1usize..5,
    ) {
        let bounds = Config { publications_max, ..Config::default() };
        let (mut log, mut index, principal) = (Log::new(1), Index::new(bounds), reader());
        let wishes = [wish(&principal, 3, None), wish(&principal, 5, None)];
        for step in steps.iter().chain([&Step::Look { page: 3 }]) {
            happens(step, &mut log);
            if let Step::Look { page } = step {
                look(&mut index, &log, *page);
                let (told, all) = (index.select(&wishes, NOW_US), naive(&log, &wishes));
                prop_assert!(index.publications() <= publications_max);
                prop_assert!(!told.complete || told.publications == all);
                // An expired one counts as its room's, so it may take the place of another.
                prop_assert!(all.ends_with(&told.publications));
            }
        }
    }
}

#[test]
fn a_reply_is_bounded_and_then_says_so() {
    let mut log = Log::new(1);
    for room in 0..4 {
        happens(&Step::Publish { room, event: 0, number: 1, cascade: false, to_one: false, expired: false }, &mut log);
    }
    let wishes = [wish(&reader(), 3, None)];
    let of = |bounds: Config| {
        let mut index = Index::new(bounds);
        look(&mut index, &log, 10);
        let told = index.select(&wishes, NOW_US);
        (told.publications.len(), told.complete)
    };
    assert_eq!(of(Config::default()), (4, true));
    assert_eq!(of(Config { reply_publications_max: 4, ..Config::default() }), (4, true));
    assert_eq!(of(Config { reply_publications_max: 3, ..Config::default() }), (3, false));
    assert_eq!(of(Config { reply_bytes_max: 1, ..Config::default() }), (1, false));
    assert_eq!(of(Config { bytes_max: 1, ..Config::default() }), (0, false), "one that is too large for all of it");
}

#[test]
fn one_publication_that_fills_a_page_does_not_hold_it_up() {
    let mut log = Log::new(1);
    let mut index = Index::new(Config::default());
    for number in 0..5 {
        happens(&Step::Publish { room: 0, event: 0, number, cascade: false, to_one: false, expired: false }, &mut log);
        look(&mut index, &log, 1);
        assert_eq!(index.at(), Some(log.last));
    }
    assert_eq!(index.publications(), 1);
}

#[test]
fn a_session_never_sees_what_only_its_neighbour_may() {
    let principal = granted(&["subscribe:kpi:acme where n <= 4", "history:kpi:acme where n >= 2"]);
    let mut log = Log::new(1);
    for (room, number) in [(0, 1), (1, 3), (2, 5), (4, 0)] {
        happens(&Step::Publish { room, event: 0, number, cascade: false, to_one: false, expired: false }, &mut log);
    }
    let mut index = Index::new(Config::default());
    look(&mut index, &log, 10);
    let told = index.select(&[wish(&principal, 0, None)], NOW_US);
    assert_eq!(told.publications.len(), 1, "what passes both grants");
    let pattern = syntax().pattern("kpi:acme").unwrap();
    assert!(granted(&["subscribe:kpi:acme"]).grant_history(pattern).is_err());
}
