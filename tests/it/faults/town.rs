//! A town for fault runs: three nodes, clients of many orgs on each of them, and publications through every door, seeded.

use std::net::SocketAddr;
use std::time::Duration;

use roomcast_loadtest::Options;

use super::backend::Address;
use super::finding::Finding;
use super::scale::{Scale, scale};
use super::traffic::{Doors, Plan, Traffic};
use crate::support::books::Books;
use crate::support::gateway::Token;
use crate::support::redis::Redis;
use crate::support::within;
use crate::support::world::{Person, World};

/// How many nodes a town has.
pub const NODES: usize = 3;
/// What everything that is random in a run is made from; `FAULT_SEED` gives another.
const SEED: u64 = 20_261_125;
/// How long a phase of a run, or what the fault left behind, may take before the run fails.
pub const PHASE_MAX: Duration = Duration::from_secs(120);
/// Settings that make room for the runs.
const SETTINGS: [(&str, &str); 6] = [
    ("LIMITS__CONNECTIONS_PER_ORG_MAX", "0"),
    ("LIMITS__CONNECTIONS_PER_NODE_MAX", "5000"),
    ("LIMITS__MEMBERS_PER_ROOM_MAX", "5000"),
    ("LIMITS__PING_INTERVAL_MS", "2000"),
    ("API__REQUESTS_PER_S", "0"),
    ("TELEMETRY__LOG__FILTER", "warn,roomcast=info"),
];
/// What clients subscribe to: a room, patterns, rooms at the bottom.
const INTERESTS: [&[&str]; 4] =
    [&["kpi:ORG"], &["*:ORG:**"], &["kpi:ORG:*:support", "backlog:ORG"], &["kpi:ORG:sales:support", "alerts:ORG"]];

/// Nodes on an installation `R` of Redis, with everyone on them.
pub struct Town<R = Redis> {
    pub scale: Scale,
    pub world: World<R>,
    /// Where backends find Redis.
    pub redis: Address,
    pub people: Vec<Person>,
    pub books: Books,
    traffic: Option<Traffic>,
    /// How long clients take to give a silent node up.
    silence_max: Duration,
    token_age_s: u64,
}

pub fn seed() -> u64 {
    std::env::var("FAULT_SEED").map_or(SEED, |seed| seed.parse().expect("FAULT_SEED is a number"))
}

pub fn org(number: usize) -> String {
    format!("org{number}")
}

/// The settings of a town's nodes, with those of the fault behind them.
pub fn settings<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    SETTINGS.iter().chain(more).copied().collect()
}

impl Town {
    /// A town on one Redis.
    pub async fn on(redis: Redis, more: &[(&str, &str)]) -> Self {
        let address = Address::server(redis.url());
        let mut town = Self::new(World::on(redis, NODES, &settings(more)).await, address);
        town.fills().await;
        town.wakes(Doors::All).await;
        town
    }
}

impl<R> Town<R> {
    /// A town without people and traffic.
    pub fn new(world: World<R>, redis: Address) -> Self {
        let (people, books) = (Vec::new(), Books::default());
        Self { scale: scale(), world, redis, people, books, traffic: None, silence_max: Duration::from_secs(60), token_age_s: 0 }
    }

    #[must_use]
    pub fn with_patience(mut self, silence_max: Duration) -> Self {
        self.silence_max = silence_max;
        self
    }

    #[must_use]
    pub fn with_tokens_of_age(mut self, seconds: u64) -> Self {
        self.token_age_s = seconds;
        self
    }

    /// Clients of all orgs on all nodes.
    pub async fn fills(&mut self) {
        for number in 0..self.scale.clients {
            let person = self.moves_in(number, number % NODES).await;
            self.people.push(person);
        }
    }

    /// Client `number`, who begins on `node` and may go to any other.
    async fn moves_in(&self, number: usize, node: usize) -> Person {
        let (round, org) = (number / NODES, org(number / NODES % self.scale.orgs));
        let rooms: Vec<String> =
            INTERESTS[round / self.scale.orgs % INTERESTS.len()].iter().map(|room| room.replace("ORG", &org)).collect();
        let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
        let token = Token::of(&org, &format!("user{number}")).issued_s_ago(self.token_age_s).mint();
        let mut options = Options::new(self.addresses_from(node), token);
        options.silence_max = self.silence_max;
        Person::meet(&org, &rooms, options).await
    }

    fn addresses_from(&self, node: usize) -> Vec<SocketAddr> {
        let mut addresses = self.world.addresses();
        addresses.rotate_left(node);
        addresses
    }

    /// Publishing begins.
    pub async fn wakes(&mut self, doors: Doors) {
        let plan = Plan {
            books: self.books.clone(),
            orgs: (0..self.scale.orgs).map(org).collect(),
            nodes: self.world.addresses(),
            redis: self.redis.clone(),
            rate: self.scale.rate,
            doors,
            seed: seed(),
        };
        self.traffic = Some(Traffic::start(plan));
        self.goes_on().await;
    }

    /// Lives on for a while: as many publications as a phase has are acknowledged.
    pub async fn goes_on(&self) {
        self.acknowledges(self.scale.phase).await;
    }

    pub async fn acknowledges(&self, more: usize) {
        let goal = self.books.acked() + more;
        within(PHASE_MAX, "publications go on", async || (self.books.acked() >= goal).then_some(())).await;
    }

    /// Publishing ends, everyone gets what they are owed, and the run is judged.
    pub async fn ends(&mut self, fault: &'static str) -> Finding {
        if let Some(traffic) = self.traffic.take() {
            traffic.stop(PHASE_MAX).await;
        }
        Finding::new(fault, self.scale, self.books.audit(&self.people, PHASE_MAX).await)
    }
}
