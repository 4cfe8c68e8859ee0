//! Dashboards that open: sessions that subscribe with `latest`, where 20 of the org's 1,000 rooms are theirs.
//!
//! A run holds the question to the org's desk, which has the log read already, what is selected and encoded, and the subscribe commands
//! with their answers and writes. Attaching the sessions is not measured.

use crate::support::case::{Case, Subject};
use crate::support::material::new_publication;
use crate::support::node::{Node, Session};
use roomcast::hub::Config;

const ROOMS: usize = 1_000;
const MINE: usize = 20;
const CROWD: usize = 100;
const DATA_BYTES: usize = 100;

pub const CASES: &[Case] = &[
    Case { name: "latest/alone", unit: "opening", units: 1, subject: || opening(1) },
    Case { name: "latest/crowd", unit: "opening", units: CROWD as u64, subject: || opening(CROWD) },
];

struct Opening {
    node: Node,
    sessions: Vec<Session>,
    count: usize,
}

impl Subject for Opening {
    fn reset(&mut self) {
        for session in self.sessions.drain(..) {
            self.node.detach(session);
        }
        self.sessions = (0..self.count).map(|_| self.node.attach(true)).collect();
    }

    fn run(&mut self) {
        self.node.open(&self.sessions, "kpi:acme:mine");
    }
}

fn opening(count: usize) -> Box<dyn Subject> {
    let mut node = Node::new(Config::default());
    // The org's task keeps its memory of the log while somebody is there.
    let keeper = node.attach(true);
    node.subscribe(std::slice::from_ref(&keeper), &node.grant("chat:acme"), None);
    for room in 0..ROOMS {
        let department = if room < MINE { "mine" } else { "others" };
        node.publish(&[new_publication(&format!("kpi:acme:{department}:r{room}"), DATA_BYTES)]);
    }
    let mut subject = Opening { node, sessions: Vec::new(), count };
    let before = subject.node.written();
    subject.reset();
    subject.run();
    assert!(subject.node.written() - before > (count * MINE * DATA_BYTES) as u64, "everybody was told of the rooms");
    Box::new(subject)
}
