//! The world of one history of presence: nodes over one store, users with their sessions.
//! What must have come of it in the end is `truth`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast::protocol::presence::{Member, State, Status, UserId};
use roomcast::protocol::{OrgId, RoomName, RoomSyntax};
use tokio::time::Instant;

use super::person::{Asked, Person};
use super::store::Sabotage;
use crate::clock;
use crate::node::{NODES, Node, PRESENCE};
use crate::store::Store;
use crate::world::pick;

const STEPS: usize = 250;
const ROOMS: [&str; 2] = ["chat:ORG:lobby", "chat:ORG:den"];
/// Longer than anything takes to be found out: a lost lease, a time of doubt, news that were missed.
const FOUND_OUT: Duration = Duration::from_millis(3 * PRESENCE.lease_ms);
const SETTLING_ROUNDS: usize = 60;
/// After so many of them, when everybody has been heard of again, the last news are told.
const LAST_WORDS: usize = 10;
const ROUND: Duration = Duration::from_millis(500);

/// What goes on in a history besides comings and goings.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// The store's data may be lost, or replaced by older ones.
    pub history: bool,
    pub sabotage: Option<Sabotage>,
}

pub struct Town {
    rng: SmallRng,
    faults: Faults,
    pub(super) store: Arc<Store>,
    nodes: Vec<Node>,
    pub(super) persons: Vec<Person>,
    pub(super) rooms: BTreeMap<OrgId, Vec<RoomName>>,
    sessions: u128,
    told: u64,
    /// Who left without a word, and until when it stays.
    lingering: Vec<Lingering>,
    /// Since when a user has been in a room without a moment's doubt.
    surely: BTreeMap<(String, RoomName), Instant>,
    /// Since when a node has been connected.
    connected: Vec<Option<Instant>>,
    pub(super) fault: Option<String>,
    history: Vec<String>,
}

struct Lingering {
    user: String,
    room: RoomName,
    node: usize,
    until: Instant,
}

impl Town {
    pub fn new(seed: u64, faults: Faults) -> Self {
        clock::begin();
        let mut rng = SmallRng::seed_from_u64(seed);
        let syntax = RoomSyntax::new(4, ["chat"]);
        let store = Store::new(seed ^ 0x5eed, NODES, usize::MAX, None);
        store.inner.lock().presences.sabotage = faults.sabotage;
        let orgs = ["acme", "umbrella"].map(|org| OrgId::parse(org).unwrap());
        let rooms =
            orgs.iter().map(|org| (org.clone(), ROOMS.map(|room| syntax.room(&room.replace("ORG", org.as_str())).unwrap()).to_vec()));
        let rooms = rooms.collect();
        let persons = (0..rng.random_range(5..12)).map(|index| {
            let org = pick(&mut rng, &orgs).clone();
            // Fewer users than sessions: some have several.
            let user = format!("{}-{org}", pick(&mut rng, &["ann", "ben", "cleo", "dan", "eve"]));
            Person::new(format!("person {index}"), &user, &org, rng.random_bool(0.6), &syntax)
        });
        let persons = persons.collect();
        let nodes = Node::start_all(&store, seed);
        Self {
            rng,
            faults,
            store,
            nodes,
            persons,
            rooms,
            sessions: 0,
            told: 0,
            lingering: Vec::new(),
            surely: BTreeMap::new(),
            connected: vec![Some(Instant::now()); NODES],
            fault: None,
            history: Vec::new(),
        }
    }

    /// Runs the history and judges it.
    pub async fn live(mut self) -> (Vec<String>, Result<(), String>) {
        for _ in 0..STEPS {
            self.step().await;
            tokio::time::sleep(Duration::from_micros(10)).await;
            self.look().await;
        }
        self.settle().await;
        let verdict = self.judge();
        (self.history, verdict)
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..22 => self.tell().await,
            22..34 => self.watch_or_not().await,
            34..46 => self.read().await,
            46..58 => self.reconnect().await,
            58..62 => self.disconnect(true).await,
            62..64 => self.disconnect(false).await,
            64..70 => self.connect_somebody().await,
            70..82 => self.wait().await,
            82..87 => self.deliver_delayed(),
            87..89 => self.cut(),
            89..93 => self.mend(),
            93..94 => self.kill_node(),
            94..97 if self.faults.history => self.promote(),
            97..98 if self.faults.history => self.lose(),
            _ => {}
        }
    }

    fn note(&mut self, what: impl Into<String>) {
        self.history.push(format!("{} ms: {}", clock::now_ms(), what.into()));
    }

    fn anybody(&mut self) -> usize {
        self.rng.random_range(0..self.persons.len())
    }

    fn any_node(&mut self) -> usize {
        self.rng.random_range(0..NODES)
    }

    fn any_room(&mut self, person: usize) -> RoomName {
        pick(&mut self.rng, &self.rooms[&self.persons[person].org]).clone()
    }

    async fn ask(&mut self, person: usize, asked: Asked) {
        self.note(format!("{} ({}) asks for {asked:?}", self.persons[person].name, self.persons[person].user));
        self.persons[person].ask(asked).await;
    }

    /// Enters a room, or tells something else there, or leaves it.
    async fn tell(&mut self) {
        let person = self.anybody();
        let room = self.any_room(person);
        let is_in = self.persons[person].is_in.contains_key(&room);
        let asked = match self.rng.random_range(0..10) {
            0..3 if is_in => Asked::Leave(room),
            3..7 if is_in => Asked::Update(room, self.member(person)),
            _ => Asked::Enter(room, self.member(person)),
        };
        self.ask(person, asked).await;
    }

    fn member(&mut self, person: usize) -> Arc<Member> {
        self.told += 1;
        let status = *pick(&mut self.rng, &[Status::Online, Status::Away, Status::Busy]);
        let state = State::stored(&self.told.to_string()).unwrap();
        Arc::new(Member { user_id: UserId::parse(&self.persons[person].user).unwrap(), status, state })
    }

    async fn watch_or_not(&mut self) {
        let person = self.anybody();
        let room = self.any_room(person);
        let watches = self.persons[person].rosters.contains_key(&room);
        let asked = if watches && self.rng.random_bool(0.4) { Asked::Unwatch(room) } else { Asked::Watch(room) };
        self.ask(person, asked).await;
    }

    async fn read(&mut self) {
        let person = self.anybody();
        let room = self.rng.random_range(1..2_000);
        self.read_of(person, room).await;
    }

    /// Reads, and judges who was seen leaving.
    async fn read_of(&mut self, person: usize, room: usize) {
        let left = self.persons[person].read(room).await;
        let reader = &self.persons[person];
        let now = Instant::now();
        let for_long = |since: &Instant| now.duration_since(*since) > FOUND_OUT;
        if !reader.is_attentive || !self.connected[reader.node].as_ref().is_some_and(for_long) {
            return;
        }
        let name = reader.name.clone();
        for (room, user) in left {
            self.note(format!("{name} sees {user} leave {room}"));
            if self.surely.get(&(user.clone(), room.clone())).is_some_and(for_long) {
                self.fault.get_or_insert(format!("{user} was seen by {name} leaving {room} without having left it"));
            }
        }
    }

    /// It is noted who is there for sure, the attentive read, and who has to watch again does.
    async fn look(&mut self) {
        let now = Instant::now();
        let connected = &self.connected;
        self.lingering.retain(|lingering| now < lingering.until && connected[lingering.node].is_some());
        let here = self.persons.iter().filter(|person| person.is_connected() && connected[person.node].is_some());
        let here = here.flat_map(|person| person.surely_in().map(|room| (person.user.clone(), room.clone())));
        let still = self.lingering.iter().map(|lingering| (lingering.user.clone(), lingering.room.clone()));
        let sure: BTreeSet<(String, RoomName)> = here.chain(still).collect();
        self.surely.retain(|who, _| sure.contains(who));
        for who in sure {
            self.surely.entry(who).or_insert(now);
        }
        for person in 0..self.persons.len() {
            if self.persons[person].is_attentive {
                self.read_of(person, usize::MAX).await;
            }
            for room in self.persons[person].broken() {
                self.ask(person, Asked::Watch(room)).await;
            }
        }
    }

    async fn disconnect(&mut self, lingers: bool) {
        let person = self.anybody();
        self.disconnect_of(person, lingers).await;
    }

    async fn disconnect_of(&mut self, person: usize, lingers: bool) {
        self.note(format!("{} ends, lingering: {lingers}", self.persons[person].name));
        let (node, until) = (self.persons[person].node, Instant::now() + Duration::from_millis(PRESENCE.linger_ms));
        let user = self.persons[person].user.clone();
        if lingers {
            let rooms = self.persons[person].surely_in();
            self.lingering.extend(rooms.map(|room| Lingering { user: user.clone(), room: room.clone(), node, until }));
        }
        self.persons[person].disconnect(lingers).await;
    }

    async fn connect_somebody(&mut self) {
        let person = self.anybody();
        if !self.persons[person].is_connected() {
            let node = self.any_node();
            self.connect(person, node).await;
        }
    }

    async fn connect(&mut self, person: usize, node: usize) {
        self.sessions += 1;
        self.note(format!("{} ({}) connects to node {node}", self.persons[person].name, self.persons[person].user));
        let hub = Arc::clone(&self.nodes[node].hub);
        self.persons[person].connect(&hub, node, self.sessions).await;
    }

    /// Comes back at once, perhaps elsewhere, to where it was.
    async fn reconnect(&mut self) {
        let (person, node) = (self.anybody(), self.any_node());
        let rooms: Vec<RoomName> = self.persons[person].is_in.keys().cloned().collect();
        let watched: Vec<RoomName> = self.persons[person].rosters.keys().cloned().collect();
        self.disconnect_of(person, true).await;
        self.connect(person, node).await;
        for room in rooms {
            let member = self.member(person);
            self.ask(person, Asked::Enter(room, member)).await;
        }
        for room in watched {
            self.ask(person, Asked::Watch(room)).await;
        }
    }

    async fn wait(&mut self) {
        let wait_ms = self.rng.random_range(1..2_000);
        self.note(format!("{wait_ms} ms pass"));
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }

    fn deliver_delayed(&mut self) {
        let node = self.any_node();
        self.store.deliver_delayed(node, false);
    }

    fn cut(&mut self) {
        let node = self.any_node();
        self.note(format!("node {node} is cut off"));
        self.connected[node] = None;
        self.store.cut(node);
    }

    fn mend(&mut self) {
        let node = self.any_node();
        self.note(format!("node {node} is connected"));
        self.connected[node].get_or_insert_with(Instant::now);
        self.store.mend(node);
    }

    fn kill_node(&mut self) {
        let node = self.any_node();
        self.note(format!("node {node} is killed and started again"));
        self.persons.iter_mut().filter(|person| person.node == node).for_each(Person::cut);
        self.lingering.retain(|lingering| lingering.node != node);
        self.nodes[node].restart();
    }

    fn promote(&mut self) {
        let (org, lacking) = (self.any_org(), self.rng.random_range(0..12));
        self.note(format!("a replica of {org} that lacks {lacking} changes is promoted"));
        self.store.promote(&org, lacking, &[]);
    }

    fn lose(&mut self) {
        let org = self.any_org();
        self.note(format!("the data of {org} are lost"));
        self.store.lose(&org);
    }

    fn any_org(&mut self) -> OrgId {
        let index = self.rng.random_range(0..self.rooms.len());
        self.rooms.keys().nth(index).unwrap().clone()
    }

    /// All faults end but those of the carrier. Soon nobody comes, goes or tells anything any more: what is wrong then has to be found
    /// without news.
    async fn settle(&mut self) {
        self.note("settling");
        self.store.inner.lock().flaky = false;
        for node in 0..NODES {
            self.store.mend(node);
            self.connected[node].get_or_insert_with(Instant::now);
        }
        for person in 0..self.persons.len() {
            if self.persons[person].is_connected() {
                for room in self.rooms[&self.persons[person].org].clone() {
                    self.ask(person, Asked::Watch(room)).await;
                }
            }
        }
        for round in 0..SETTLING_ROUNDS {
            tokio::time::sleep(ROUND).await;
            if round == LAST_WORDS {
                self.say_last_words().await;
            }
            for node in 0..NODES {
                self.store.deliver_delayed(node, true);
            }
            self.persons.iter_mut().for_each(|person| person.is_attentive = true);
            self.look().await;
        }
    }

    /// Half of those who are there tell something, which the carrier may lose.
    async fn say_last_words(&mut self) {
        for person in 0..self.persons.len() {
            if self.rng.random_bool(0.5) {
                let (room, member) = (self.any_room(person), self.member(person));
                self.ask(person, Asked::Enter(room, member)).await;
            }
        }
    }
}
