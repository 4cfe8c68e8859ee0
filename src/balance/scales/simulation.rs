//! Many nodes, each with scales of its own and words that are seconds old, behind load balancers of every kind, in a time of their own.
//!
//! `cargo test --lib balance -- --nocapture simulation` prints what each history took.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

const STEP_MS: u64 = 200;
/// How long a node is known after its last word, and how often it says one.
const LEASE_MS: u64 = 9_000;
const WORD_MS: u64 = 3_000;
const DRAIN_MS: u64 = 18_000;
const HOUR_MS: u64 = 3_600_000;

#[derive(Clone, Copy, PartialEq, Debug)]
enum LoadBalancer {
    RoundRobin,
    LeastConnections,
    Random,
    /// The same clients always come to the same node.
    Sticky,
}

/// A client, by the number that a sticky load balancer knows it by.
type Client = u64;

struct Node {
    scales: Scales,
    info: NodeInfo,
    sessions: Vec<Client>,
    said_ms: u64,
    round_at_ms: u64,
    asking_until_ms: u64,
    left: u64,
    asked: u64,
    drains_until_ms: Option<u64>,
}

struct Cluster {
    config: Config,
    balancer: LoadBalancer,
    nodes: Vec<Node>,
    /// What the registry has.
    words: BTreeMap<String, NodeInfo>,
    /// Clients on their way, by when they are back.
    away: BTreeSet<(u64, Client)>,
    random: SmallRng,
    now_ms: u64,
    turn: usize,
    started: usize,
    /// Clients that are asked to move, so far.
    moves: u64,
    clients: u64,
    /// How many clients leave for good each second, of a million, while as many new ones come.
    leaving_ppm_per_s: u64,
    is_registry_away: bool,
}

impl Cluster {
    fn of(nodes: usize, clients: u64, balancer: LoadBalancer, seed: u64) -> Self {
        let mut cluster = Self {
            config: Config::default(),
            balancer,
            nodes: Vec::new(),
            words: BTreeMap::new(),
            away: BTreeSet::new(),
            random: SmallRng::seed_from_u64(seed),
            now_ms: 1,
            turn: 0,
            started: 0,
            moves: 0,
            clients: 0,
            leaving_ppm_per_s: 0,
            is_registry_away: false,
        };
        cluster.grow(nodes);
        for _ in 0..clients {
            cluster.newcomer();
        }
        cluster
    }

    fn grow(&mut self, count: usize) {
        for _ in 0..count {
            let id = format!("n{}", self.started);
            self.started += 1;
            let round_at_ms = self.now_ms + self.random.random_range(0..self.config.round_ms);
            self.nodes.push(Node {
                scales: Scales::new(self.config.clone(), &id),
                info: NodeInfo { id, started_at_ms: self.now_ms, ..NodeInfo::default() },
                sessions: Vec::new(),
                said_ms: 0,
                round_at_ms,
                asking_until_ms: 0,
                left: 0,
                asked: 0,
                drains_until_ms: None,
            });
        }
    }

    fn drain(&mut self, count: usize) {
        for node in self.nodes.iter_mut().rev().take(count) {
            (node.drains_until_ms, node.info.draining, node.said_ms) = (Some(self.now_ms + DRAIN_MS), true, 0);
        }
    }

    /// The registry takes it for alive until its lease ends.
    fn kill(&mut self, index: usize) {
        for client in self.nodes.remove(index).sessions {
            self.away.insert((self.now_ms + self.random.random_range(0..1_000), client));
        }
    }

    fn newcomer(&mut self) {
        self.clients += 1;
        self.arrive(self.clients);
    }

    fn arrive(&mut self, client: Client) {
        // The youngest nodes drain.
        let open = self.nodes.iter().filter(|node| node.drains_until_ms.is_none()).count();
        let chosen = match self.balancer {
            LoadBalancer::RoundRobin => {
                self.turn += 1;
                self.turn % open
            }
            LoadBalancer::LeastConnections => (0..open).min_by_key(|index| self.nodes[*index].sessions.len()).unwrap(),
            LoadBalancer::Random => self.random.random_range(0..open),
            // Those that were there first keep their share of the clients.
            LoadBalancer::Sticky => usize::try_from(client % 3).unwrap(),
        };
        self.nodes[chosen].sessions.push(client);
    }

    fn step(&mut self) {
        self.now_ms += STEP_MS;
        let now_ms = self.now_ms;
        while let Some((_, client)) = self.away.first().copied().filter(|(back_ms, _)| *back_ms <= now_ms) {
            self.away.remove(&(self.away.first().unwrap().0, client));
            self.arrive(client);
        }
        self.come_and_go();
        for index in 0..self.nodes.len() {
            self.live(index);
        }
        self.nodes.retain(|node| node.drains_until_ms.is_none_or(|until_ms| now_ms < until_ms || !node.sessions.is_empty()));
        self.words.retain(|_, info| now_ms < info.said_at_ms + LEASE_MS);
    }

    fn come_and_go(&mut self) {
        let total: usize = self.nodes.iter().map(|node| node.sessions.len()).sum();
        let expected = total as f64 * self.leaving_ppm_per_s as f64 / 1e6 * STEP_MS as f64 / 1e3;
        let count = expected as u64 + u64::from(self.random.random_bool(expected.fract()));
        for _ in 0..count {
            let mut place = self.random.random_range(0..total);
            if let Some(node) = self.nodes.iter_mut().find(|node| {
                let here = place < node.sessions.len();
                place -= if here { 0 } else { node.sessions.len() };
                here
            }) {
                node.sessions.swap_remove(place);
                self.newcomer();
            }
        }
    }

    fn live(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let node = &mut self.nodes[index];
        if now_ms >= node.said_ms + WORD_MS && !self.is_registry_away {
            node.said_ms = now_ms;
            let word = NodeInfo { sessions: node.sessions.len() as u64, said_at_ms: now_ms, ..node.info.clone() };
            self.words.insert(word.id.clone(), word);
        }
        let mut leaving = 0;
        if let Some(until_ms) = node.drains_until_ms {
            let steps = (until_ms.saturating_sub(now_ms) / STEP_MS).max(1);
            leaving = (node.sessions.len() as u64).div_ceil(steps);
        } else if now_ms >= node.round_at_ms {
            node.round_at_ms = now_ms + self.config.round_ms;
            node.asking_until_ms = now_ms + self.config.asking_ms();
            let words: Vec<NodeInfo> = self.words.values().cloned().collect();
            let words = (!self.is_registry_away).then_some(&words[..]);
            let weighed = node.scales.weigh(node.sessions.len() as u64, words, std::mem::take(&mut node.asked), now_ms);
            node.left = weighed.ask;
        }
        if node.drains_until_ms.is_none() && node.left > 0 {
            let steps = (node.asking_until_ms.saturating_sub(now_ms) / STEP_MS).max(1);
            leaving = node.left.div_ceil(steps);
            (node.left, node.asked, self.moves) = (node.left - leaving, node.asked + leaving, self.moves + leaving);
        }
        for _ in 0..leaving.min(node.sessions.len() as u64) {
            let client = node.sessions.remove(0);
            self.away.insert((now_ms + self.random.random_range(50..self.config.retry_after_ms_max() + 200), client));
        }
    }

    fn run(&mut self, for_ms: u64) {
        let until_ms = self.now_ms + for_ms;
        while self.now_ms < until_ms {
            self.step();
        }
    }

    /// Runs until the fullest node has at most `percent` more than the emptiest, in percent of the fullest; how long that took.
    fn levels_out(&mut self, percent: usize, within_ms: u64) -> u64 {
        let begun_ms = self.now_ms;
        while !self.is_level(percent) {
            assert!(self.now_ms < begun_ms + within_ms, "{:?}: not level within {within_ms} ms: {:?}", self.balancer, self.counts());
            self.step();
        }
        self.now_ms - begun_ms
    }

    fn is_level(&self, percent: usize) -> bool {
        let counts = self.counts();
        let (most, least) = (counts.iter().max().unwrap(), counts.iter().min().unwrap());
        self.away.len() * 100 <= *most && (most - least) * 100 <= most * percent
    }

    fn counts(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.sessions.len()).collect()
    }
}

/// 3 → 10 → 5 nodes: within ten percent of each other, by not many more moves than there were sessions too many, and then quiet.
#[test]
fn three_nodes_become_ten_and_then_five() {
    for (balancer, factor) in [(LoadBalancer::LeastConnections, 1.05), (LoadBalancer::RoundRobin, 1.6), (LoadBalancer::Random, 1.7)] {
        for clients in [3_000, 30_000] {
            let mut cluster = Cluster::of(3, clients, balancer, clients);
            cluster.run(HOUR_MS / 6);
            assert_eq!(cluster.moves, 0, "{balancer:?}: three nodes that chance filled are left alone");

            // Where chance puts 300 on each node, they differ by more than a tenth before anybody would be asked.
            let percent = if balancer == LoadBalancer::Random && clients < 10_000 { 20 } else { 10 };
            cluster.grow(7);
            let up_ms = cluster.levels_out(percent, HOUR_MS / 2);
            cluster.run(HOUR_MS / 6);
            let (up, too_many) = (cluster.moves, clients as f64 * 0.7);
            assert!(cluster.is_level(percent), "{balancer:?}: {:?}", cluster.counts());
            assert!((up as f64) < too_many * factor, "{balancer:?}: {up} moves for {too_many}");
            cluster.run(HOUR_MS / 2);
            assert_eq!(cluster.moves, up, "{balancer:?}: level is level");

            cluster.drain(5);
            cluster.run(DRAIN_MS + 5_000);
            let down_ms = cluster.levels_out(percent, HOUR_MS / 6);
            cluster.run(HOUR_MS / 6);
            let down = cluster.moves - up;
            assert_eq!(cluster.counts().len(), 5);
            assert!((down as f64) < clients as f64 * 0.05, "{balancer:?}: the drain spread them already, {down} moves");
            let quiet = cluster.moves;
            cluster.run(HOUR_MS / 2);
            assert_eq!(cluster.moves, quiet, "{balancer:?}: level is level");
            println!(
                "{balancer:?}, {clients} clients: 3 → 10 nodes level after {} s, {up} moves ({too_many} too many); 10 → 5 after {} s, {down} moves: {:?}",
                up_ms / 1_000,
                down_ms / 1_000,
                cluster.counts()
            );
        }
    }
}

/// Clients that come and go by chance keep nobody moving.
#[test]
fn ten_nodes_whose_clients_come_and_go_ask_hardly_anybody() {
    for (balancer, clients) in [(LoadBalancer::Random, 2_000), (LoadBalancer::Random, 20_000), (LoadBalancer::RoundRobin, 5_000)] {
        let mut cluster = Cluster::of(10, clients, balancer, clients);
        // A session lasts for a quarter of an hour.
        cluster.leaving_ppm_per_s = 1_111;
        cluster.run(3 * HOUR_MS);
        let came = cluster.clients - clients;
        println!("{balancer:?}, {clients} clients: {} moves while {came} came and went", cluster.moves);
        assert!(cluster.moves * 100 < came, "{balancer:?}: {} moves while {came} came and went", cluster.moves);
    }
}

/// A load balancer that knows its clients undoes every move: the cluster gives up, more and more seldom trying again.
#[test]
fn sessions_that_come_back_are_left_alone() {
    let mut cluster = Cluster::of(3, 3_000, LoadBalancer::Sticky, 1);
    cluster.run(HOUR_MS / 6);
    assert_eq!(cluster.moves, 0);
    cluster.grow(3);
    let mut moves = Vec::new();
    for _ in 0..8 {
        let before = cluster.moves;
        cluster.run(HOUR_MS);
        moves.push(cluster.moves - before);
    }
    println!("sticky: moves per hour {moves:?}");
    assert!(moves[0] > 0 && moves[0] < 3_600, "{moves:?}");
    assert!(moves[3..].iter().all(|moves| *moves <= 700), "at most two attempts an hour of each node: {moves:?}");
}

/// A registry that is away in the middle of it, then a node that dies: nobody is asked before all is clear again, and then it goes on.
#[test]
fn a_node_that_dies_and_a_registry_that_is_away_make_everybody_wait() {
    let mut cluster = Cluster::of(3, 30_000, LoadBalancer::RoundRobin, 3);
    cluster.grow(3);
    cluster.run(2 * 60_000);
    let before = cluster.moves;
    assert!(before > 0);
    cluster.is_registry_away = true;
    // What was decided in the round at hand is carried out; the driver looks at the broker's health besides.
    cluster.run(15_000);
    let begun = cluster.moves;
    cluster.run(10 * 60_000);
    cluster.is_registry_away = false;
    cluster.run(30_000);
    assert_eq!(cluster.moves, begun, "nobody is asked while the registry is away, and before the nodes have settled");
    cluster.run(60_000);
    assert!(cluster.moves > begun, "it goes on");

    cluster.kill(5);
    // The lease, and what was asked for in rounds that began within it.
    cluster.run(LEASE_MS + 10_000 + STEP_MS);
    let begun = cluster.moves;
    cluster.run(18_000);
    assert_eq!(cluster.moves, begun, "nobody is asked after a death");
    println!("level {} s after a death, {} moves", cluster.levels_out(10, HOUR_MS / 4) / 1_000 + 37, cluster.moves);
}

/// The whole cluster grows while it levels out.
#[test]
fn a_new_node_levels_out_while_clients_come() {
    for balancer in [LoadBalancer::RoundRobin, LoadBalancer::LeastConnections] {
        let mut cluster = Cluster::of(4, 8_000, balancer, 4);
        cluster.grow(2);
        for _ in 0..HOUR_MS / 4 / STEP_MS {
            cluster.newcomer();
            cluster.step();
        }
        assert!(cluster.is_level(10), "{balancer:?}: {:?}", cluster.counts());
        println!("{balancer:?}: {} moves, {:?}", cluster.moves, cluster.counts());
    }
}
