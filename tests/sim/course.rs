//! The course of a history: what happens, in which order, by the seed.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use roomcast::broker::{AckLevel, Broker};
use roomcast::protocol::event::EventName;
use roomcast::protocol::{NewPublication, OrgId, Position, Priority};

use super::client::Seen;
use super::node::NODES;
use super::wanted::{Wanted, headers};
use super::world::{PATTERNS, World, pick, pick_filter};

const ROOMS: [&str; 6] = ["kpi:ORG", "kpi:ORG:a", "kpi:ORG:a:q", "chat:ORG:b", "kpi:ORG:b:q", "org:ORG"];
const PRIORITIES: [Priority; 6] = [Priority::Low, Priority::Low, Priority::Medium, Priority::Medium, Priority::High, Priority::Urgent];
/// How long a client waits for a node that cannot serve it.
const PATIENCE: Duration = Duration::from_millis(300);

impl World {
    pub async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..36 => self.publish_some().await,
            36..40 => self.try_again().await,
            40..62 => self.read().await,
            62..70 => self.reconnect().await,
            70..74 => self.subscribe().await,
            74..77 => self.unsubscribe().await,
            77..80 => self.disconnect().await,
            80..84 => self.wait().await,
            84..89 => self.deliver_delayed(),
            89..91 => self.cut(),
            91..94 => self.mend(),
            94..95 => self.kill_node(),
            95..97 => self.heartbeat().await,
            97..99 if self.faults.history => self.promote(),
            99 if self.faults.history => self.lose(),
            _ => {}
        }
    }

    fn any_client(&mut self) -> usize {
        self.rng.random_range(0..self.clients.len())
    }

    fn any_node(&mut self) -> usize {
        self.rng.random_range(0..NODES)
    }

    fn any_org(&mut self) -> OrgId {
        pick(&mut self.rng, &self.orgs).clone()
    }

    fn publication(&mut self, org: &OrgId) -> NewPublication {
        let room = self.syntax.room(&pick(&mut self.rng, &ROOMS).replace("ORG", org.as_str())).unwrap();
        self.published += 1;
        let event = if self.rng.random_bool(0.8) { "kpi:update" } else { "kpi:computed" };
        let mut new = NewPublication::new(room, EventName::parse(event).unwrap(), self.published.to_string());
        new.priority = *pick(&mut self.rng, &PRIORITIES);
        new.headers = headers(self.published);
        new.cascade = self.rng.random_bool(0.15);
        match self.rng.random_range(0..100) {
            0..40 => new.idempotency_key = Some(format!("key {}", self.published).into()),
            40..52 => new.log = false,
            52..58 => {
                let clients = self.clients.iter().filter(|client| client.org == *org);
                let sessions: Vec<_> = clients.filter_map(super::client::Client::session).collect();
                new.sessions.extend(sessions.get(self.rng.random_range(0..4)));
            }
            _ => {}
        }
        new
    }

    async fn publish_some(&mut self) {
        let (org, node) = (self.any_org(), self.any_node());
        for _ in 0..self.rng.random_range(1..5) {
            let new = self.publication(&org);
            if !new.log {
                self.ephemeral.insert(self.published, new.clone());
            }
            self.keys.extend(new.idempotency_key.clone());
            self.publish(new, node).await;
        }
    }

    /// Publishers whose outcome is unknown come again, to whatever node.
    pub async fn try_again(&mut self) {
        for new in std::mem::take(&mut self.unsettled) {
            let node = self.any_node();
            self.publish(new, node).await;
        }
    }

    async fn publish(&mut self, new: NewPublication, node: usize) {
        let outcome = self.nodes[node].broker().publish(&new, AckLevel::Primary).await;
        self.note(format!("node {node} publishes {} into {}: {outcome:?}", new.data.escape_ascii(), new.room));
        if outcome.is_err() && new.idempotency_key.is_some() {
            self.unsettled.push(new);
        }
    }

    async fn read(&mut self) {
        let index = self.any_client();
        let (room, known) = (self.rng.random_range(1..2_000), self.known(index));
        let before = self.clients[index].seen.len();
        self.clients[index].read(room, known).await;
        let client = &self.clients[index];
        self.note(format!("{} reads {:?}", client.name, &client.seen[before..]));
    }

    async fn reconnect(&mut self) {
        let (index, node) = (self.any_client(), self.any_node());
        self.connect(index, node).await;
    }

    pub async fn connect(&mut self, index: usize, node: usize) {
        self.clients[index].disconnect().await;
        self.sessions += 1;
        let hub = Arc::clone(&self.nodes[node].hub);
        self.note(format!("{} connects to node {node} since {:?}", self.clients[index].name, self.clients[index].position));
        // A node that is cut off answers late or refuses; the client gives up.
        if tokio::time::timeout(PATIENCE, self.clients[index].connect(&hub, node, self.sessions)).await.is_err() {
            self.clients[index].disconnect().await;
        }
    }

    /// One more subscription on the open connection, from now on or from an earlier position.
    async fn subscribe(&mut self) {
        let index = self.any_client();
        let text = pick(&mut self.rng, &PATTERNS).replace("ORG", self.clients[index].org.as_str());
        let pattern = self.syntax.pattern(&text).unwrap();
        let pattern = Wanted { pattern, filter: pick_filter(&mut self.filters_rng, self.faults) };
        let client = &self.clients[index];
        if client.patterns.contains(&pattern) || !client.is_connected() {
            return;
        }
        if self.faults.latest && self.filters_rng.random_bool(0.6) {
            let hub = Arc::clone(&self.nodes[client.node].hub);
            self.note(format!("{} asks for the latest of {pattern}", self.clients[index].name));
            let _ = tokio::time::timeout(PATIENCE, self.clients[index].look(&hub, pattern)).await;
            return;
        }
        let known: Vec<Position> = client.seen.iter().filter_map(position_of).collect();
        let since = if known.is_empty() || self.rng.random_bool(0.4) { None } else { Some(*pick(&mut self.rng, &known)) };
        self.note(format!("{} subscribes to {pattern} since {since:?}", self.clients[index].name));
        let _ = tokio::time::timeout(PATIENCE, self.clients[index].subscribe(vec![pattern], since)).await;
    }

    async fn unsubscribe(&mut self) {
        let index = self.any_client();
        let client = &self.clients[index];
        if client.patterns.len() < 2 || !client.is_connected() {
            return;
        }
        let pattern = pick(&mut self.rng, &client.patterns).clone();
        self.note(format!("{} unsubscribes from {pattern}", self.clients[index].name));
        let _ = tokio::time::timeout(PATIENCE, self.clients[index].unsubscribe(pattern)).await;
    }

    async fn disconnect(&mut self) {
        let index = self.any_client();
        self.note(format!("{} disconnects", self.clients[index].name));
        self.clients[index].disconnect().await;
    }

    async fn wait(&mut self) {
        let wait_ms = self.rng.random_range(1..4_000);
        self.note(format!("{wait_ms} ms pass"));
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }

    fn deliver_delayed(&mut self) {
        let node = self.any_node();
        self.note(format!("delayed messages arrive at node {node}"));
        self.store.deliver_delayed(node, false);
    }

    fn cut(&mut self) {
        let node = self.any_node();
        self.note(format!("node {node} is cut off"));
        self.store.cut(node);
    }

    fn mend(&mut self) {
        let node = self.any_node();
        self.note(format!("node {node} is connected"));
        self.store.mend(node);
    }

    fn kill_node(&mut self) {
        let node = self.any_node();
        self.note(format!("node {node} is killed and started again"));
        self.restart(node);
    }

    async fn heartbeat(&mut self) {
        for client in &self.clients {
            client.heartbeat().await;
        }
    }

    fn promote(&mut self) {
        let org = self.any_org();
        let lacking = self.rng.random_range(0..12);
        let early: Vec<NewPublication> = (0..self.rng.random_range(0..4)).map(|_| self.publication(&org)).collect();
        let early: Vec<NewPublication> = early.into_iter().filter(|new| new.log).collect();
        self.note(format!("a replica of {org} that lacks {lacking} entries is promoted; backends write {} at once", early.len()));
        self.store.promote(&org, lacking, &early);
    }

    fn lose(&mut self) {
        let org = self.any_org();
        self.note(format!("the log of {org} is lost"));
        self.store.lose(&org);
    }
}

fn position_of(seen: &Seen) -> Option<Position> {
    match seen {
        Seen::Publication { position, .. } => *position,
        Seen::At(position) | Seen::Gap { to: position, .. } => Some(*position),
        _ => None,
    }
}
