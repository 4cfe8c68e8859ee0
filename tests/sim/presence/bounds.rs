//! What docs/presence.md promises in time, over a store that does as it is asked: who is gone when, and who is never seen to be.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast::protocol::presence::{Member, State, Status, UserId};
use roomcast::protocol::{OrgId, RoomName, RoomSyntax};
use tokio::time::Instant;

use super::person::{Asked, Person};
use crate::clock;
use crate::node::{NODES, Node, PRESENCE};
use crate::store::Store;

const HISTORIES: u64 = 100;
/// How exactly the watcher's time is taken.
const LOOK: Duration = Duration::from_millis(10);
/// Two writes to the store and their news, at the store's slowest.
const WAYS_MS: u64 = 20;

/// Ann, who is in a room by one node, and a watcher on another.
struct Street {
    rng: SmallRng,
    room: RoomName,
    nodes: Vec<Node>,
    ann: Person,
    watcher: Person,
}

impl Street {
    async fn begin(seed: u64) -> Self {
        clock::begin();
        let (syntax, acme) = (RoomSyntax::new(4, ["chat"]), OrgId::parse("acme").unwrap());
        let room = syntax.room("chat:acme:lobby").unwrap();
        let person = |user: &str| Person::new(user.to_owned(), user, &acme, true, &syntax);
        let nodes = Node::start_all(&Store::calm(NODES), seed);
        let mut street = Self { rng: SmallRng::seed_from_u64(seed), room, nodes, ann: person("ann"), watcher: person("watcher") };
        street.watcher.connect(&street.nodes[1].hub, 1, 1).await;
        street.watcher.ask(Asked::Watch(street.room.clone())).await;
        street.ann_comes(0, 2).await;
        let wait_ms = street.rng.random_range(500..4_000);
        street.pass(wait_ms).await;
        assert!(street.sees_ann());
        street
    }

    async fn ann_comes(&mut self, node: usize, id: u128) {
        let (user_id, state) = (UserId::parse("ann").unwrap(), State::default());
        let member = Arc::new(Member { user_id, status: Status::Online, state });
        self.ann.connect(&self.nodes[node].hub, node, id).await;
        self.ann.ask(Asked::Enter(self.room.clone(), member)).await;
    }

    fn sees_ann(&self) -> bool {
        self.watcher.rosters[&self.room].shown.contains_key("ann")
    }

    /// Lets time pass; whether the watcher saw somebody leave.
    async fn pass(&mut self, ms: u64) -> bool {
        let (until, mut left) = (Instant::now() + Duration::from_millis(ms), false);
        while Instant::now() < until {
            tokio::time::sleep(LOOK).await;
            left |= !self.watcher.read(usize::MAX).await.is_empty();
        }
        left
    }

    /// How long it takes until the watcher sees that Ann is gone, in milliseconds.
    async fn gone_after_ms(&mut self) -> u64 {
        let begun = clock::now_ms();
        while !self.pass(1).await {
            assert!(clock::now_ms() - begun < 60_000, "she is never gone");
        }
        assert!(!self.sees_ann());
        clock::now_ms() - begun
    }
}

fn every_history<F: Future<Output = ()>>(history: impl Fn(u64) -> F) {
    (0..HISTORIES).for_each(|seed| crate::in_simulated_time(history(seed)));
}

#[test]
fn members_of_a_killed_node_are_gone_within_the_lease() {
    every_history(async |seed| {
        let mut street = Street::begin(seed).await;
        street.ann.cut();
        street.nodes[0].restart();
        let ms = street.gone_after_ms().await;
        assert!(ms <= PRESENCE.lease_ms, "seed {seed}: after {ms} ms");
    });
}

#[test]
fn who_does_not_come_back_is_gone_when_it_has_lingered() {
    every_history(async |seed| {
        let mut street = Street::begin(seed).await;
        street.ann.disconnect(true).await;
        let (ms, most) = (street.gone_after_ms().await, PRESENCE.linger_ms + PRESENCE.batch_ms + WAYS_MS);
        assert!((PRESENCE.linger_ms..=most).contains(&ms), "seed {seed}: after {ms} ms");
    });
}

#[test]
fn who_is_cast_out_is_gone_at_once() {
    every_history(async |seed| {
        let mut street = Street::begin(seed).await;
        street.ann.disconnect(false).await;
        let ms = street.gone_after_ms().await;
        assert!(ms <= PRESENCE.batch_ms + WAYS_MS, "seed {seed}: after {ms} ms");
    });
}

#[test]
fn nobody_sees_who_comes_back_quickly() {
    every_history(async |seed| {
        let mut street = Street::begin(seed).await;
        for id in 3..6 {
            let (away_ms, node) = (street.rng.random_range(0..PRESENCE.linger_ms - WAYS_MS), street.rng.random_range(0..NODES));
            street.ann.disconnect(true).await;
            let left = street.pass(away_ms).await;
            street.ann_comes(node, id).await;
            assert!(!left && !street.pass(2 * PRESENCE.lease_ms).await, "seed {seed}: she was seen leaving");
            assert!(street.sees_ann());
        }
    });
}
