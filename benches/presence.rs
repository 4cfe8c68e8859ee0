//! A room of 10,000 members: what it costs to enter it, to tell one watcher that somebody came, and to show somebody who is there.
//!
//! The members are another node's, on the embedded broker; watchers and those who enter are sessions of this one.

use roomcast::auth::PresenceGrant;
use roomcast::hub::presence::Ask;
use roomcast::protocol::presence::{State, Status};

use crate::support::case::{Case, Subject};
use crate::support::material::room;
use crate::support::node::{Node, Session};

const MEMBERS: usize = 10_000;
const ROOM: &str = "chat:acme:lobby";
const WATCHERS: usize = 1_000;
/// Sessions that enter at the same time, which one write to the store takes along.
const ENTERING: usize = 100;

pub const CASES: &[Case] = &[
    Case { name: "presence/enter", unit: "enter", units: ENTERING as u64, subject: enter },
    Case { name: "presence/join", unit: "watcher", units: WATCHERS as u64, subject: join },
    Case { name: "presence/watch", unit: "watcher", units: WATCHERS as u64, subject: watch },
];

/// Sessions that come to the room and leave it.
struct Coming {
    node: Node,
    sessions: Vec<(Session, PresenceGrant)>,
}

impl Subject for Coming {
    fn reset(&mut self) {
        self.node.ask(self.sessions.iter().map(|(session, _)| (session, Ask::Leave(room(ROOM)))));
    }

    fn run(&mut self) {
        let enter = |grant: &PresenceGrant| Ask::Enter { grant: grant.clone(), status: Status::Online, state: State::default() };
        self.node.ask(self.sessions.iter().map(|(session, grant)| (session, enter(grant))));
    }
}

fn coming(entering: usize, watchers: usize) -> Coming {
    let mut node = Node::new(roomcast::hub::Config::default());
    node.people(&room(ROOM), MEMBERS);
    let watching: Vec<_> = (0..watchers).map(|_| node.attach(true)).collect();
    node.ask(watching.iter().map(|session| (session, Ask::Watch(node.presence("alice", ROOM)))));
    assert_eq!(node.written() > 0, watchers > 0);
    let sessions = (0..entering).map(|number| (node.attach(true), node.presence(&format!("user{number}"), ROOM))).collect();
    Coming { node, sessions }
}

fn enter() -> Box<dyn Subject> {
    Box::new(coming(ENTERING, 0))
}

fn join() -> Box<dyn Subject> {
    Box::new(coming(1, WATCHERS))
}

/// Sessions that begin to watch, one after another.
struct Watching {
    node: Node,
    sessions: Vec<Session>,
    grant: PresenceGrant,
}

impl Subject for Watching {
    fn run(&mut self) {
        self.node.ask(self.sessions.iter().map(|session| (session, Ask::Watch(self.grant.clone()))));
    }
}

fn watch() -> Box<dyn Subject> {
    let mut node = Node::new(roomcast::hub::Config::default());
    node.people(&room(ROOM), MEMBERS);
    let sessions = (0..WATCHERS).map(|_| node.attach(true)).collect();
    let grant = node.presence("alice", ROOM);
    Box::new(Watching { node, sessions, grant })
}
