//! Catch-up: sessions that come back with a position and miss the same thousand publications.
//!
//! A run holds the subscribe commands with their answers, the org's task with its runtime, and the writes into sockets that
//! only add up bytes. Attaching the sessions is not measured.

use roomcast::auth::Grant;
use roomcast::hub::Config;
use roomcast::protocol::Position;

use crate::support::case::{Case, Subject};
use crate::support::material::new_publication;
use crate::support::node::{Node, Session};

const MISSED: usize = 1_000;
const STORM: usize = 100;
const ROOM: &str = "kpi:acme:sales:support";
const QUIET_ROOM: &str = "kpi:acme:sales:nights";

pub const CASES: &[Case] = &[
    Case { name: "resume/alone", unit: "publication", units: MISSED as u64, subject: || resuming(1, ROOM, Config::default()) },
    Case { name: "resume/storm", unit: "delivery", units: (STORM * MISSED) as u64, subject: || resuming(STORM, ROOM, Config::default()) },
    Case {
        name: "resume/storm_from_log",
        unit: "delivery",
        units: (STORM * MISSED) as u64,
        subject: || resuming(STORM, ROOM, short_memory()),
    },
    Case {
        name: "resume/nothing_matches",
        unit: "entry passed",
        units: (STORM * MISSED) as u64,
        subject: || resuming(STORM, QUIET_ROOM, Config::default()),
    },
];

/// So little that whoever comes back is served from pages of the log.
fn short_memory() -> Config {
    Config { tail_bytes_max: 4 << 10, ..Config::default() }
}

struct Resuming {
    node: Node,
    sessions: Vec<Session>,
    count: usize,
    grant: Grant,
    since: Option<Position>,
}

impl Subject for Resuming {
    fn reset(&mut self) {
        for session in self.sessions.drain(..) {
            self.node.detach(session);
        }
        self.sessions = (0..self.count).map(|_| self.node.attach(true)).collect();
    }

    fn run(&mut self) {
        self.node.subscribe(&self.sessions, &self.grant, self.since);
    }
}

fn resuming(count: usize, room: &str, config: Config) -> Box<dyn Subject> {
    let mut node = Node::new(config);
    // The org's task keeps its memory of the log while somebody is there.
    let keeper = node.attach(true);
    node.subscribe(std::slice::from_ref(&keeper), &node.grant("chat:acme"), None);
    let first = node.publish(&[new_publication(ROOM, 40)]);
    let since = first.and_then(|first| first.position);
    for _ in 0..MISSED {
        node.publish(&[new_publication(ROOM, 40)]);
    }
    let grant = node.grant(room);
    let mut subject = Resuming { node, sessions: Vec::new(), count, grant, since };
    let before = subject.node.written();
    subject.reset();
    subject.run();
    // A frame has more than a hundred bytes.
    let all = (count * MISSED * 100) as u64;
    assert_eq!(subject.node.written() - before > all, room == ROOM, "everything missed was replayed");
    Box::new(subject)
}
