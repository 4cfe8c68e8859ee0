//! Live delivery through a hub: from the broker's publish to the writes into the sessions' sockets.
//!
//! A run holds all of it: the append to the embedded log, the feed, the org's task with its runtime, routing, encoding, and one
//! write per session into a socket that only adds up bytes. `fanout/to_one` shows what of that does not depend on the sessions.

use roomcast::hub::Config;
use roomcast::protocol::NewPublication;

use crate::support::case::{Case, Subject};
use crate::support::material::new_publication;
use crate::support::node::{Node, Session};

const SESSIONS: usize = 1_000;
const ROOM: &str = "kpi:acme:sales:support";
/// Publications that come so close together that they are one batch.
const BURST: usize = 16;
/// Rooms of ten sessions each, in the benchmark where every batch has many groups.
const ROOMS: usize = 100;
/// The largest batch, each publication into another room.
const SPREAD: usize = 64;

pub const CASES: &[Case] = &[
    Case { name: "fanout/to_one", unit: "publication", units: 1, subject: || one_room(1, 1, true) },
    Case { name: "fanout/one_room", unit: "delivery", units: SESSIONS as u64, subject: || one_room(SESSIONS, 1, true) },
    Case { name: "fanout/bursts_of_16", unit: "delivery", units: (SESSIONS * BURST) as u64, subject: || one_room(SESSIONS, BURST, true) },
    Case { name: "fanout/many_rooms", unit: "delivery", units: (SPREAD * SESSIONS / ROOMS) as u64, subject: many_rooms },
    Case { name: "fanout/queued", unit: "delivery", units: SESSIONS as u64, subject: || one_room(SESSIONS, 1, false) },
];

struct Delivering {
    node: Node,
    sessions: Vec<Session>,
    batch: Vec<NewPublication>,
}

impl Subject for Delivering {
    /// Empties the queues of sockets that take nothing.
    fn reset(&mut self) {
        for session in &self.sessions {
            let emptied = session.queue.flush(|slices| Ok(slices.iter().map(|slice| slice.len()).sum()));
            assert!(emptied.is_ok());
        }
    }

    fn run(&mut self) {
        self.node.publish(&self.batch);
    }
}

/// Data of 40 bytes make a frame of about 150, which is what dashboards mostly get.
fn one_room(sessions: usize, burst: usize, takes: bool) -> Box<dyn Subject> {
    let mut node = Node::new(Config::default());
    let sessions: Vec<_> = (0..sessions).map(|_| node.attach(takes)).collect();
    node.subscribe(&sessions, &node.grant(ROOM), None);
    let batch = vec![new_publication(ROOM, 40); burst];
    let before = node.written();
    node.publish(&batch);
    assert_eq!(node.written() > before, takes);
    Box::new(Delivering { node, sessions, batch })
}

fn many_rooms() -> Box<dyn Subject> {
    let mut node = Node::new(Config::default());
    let room = |index: usize| format!("kpi:acme:sales:q{index}");
    let mut all = Vec::new();
    for index in 0..ROOMS {
        let sessions: Vec<_> = (0..SESSIONS / ROOMS).map(|_| node.attach(true)).collect();
        node.subscribe(&sessions, &node.grant(&room(index)), None);
        all.extend(sessions);
    }
    let batch = (0..SPREAD).map(|index| new_publication(&room(index), 40)).collect();
    Box::new(Delivering { node, sessions: all, batch })
}
