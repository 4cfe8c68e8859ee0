//! Who is there while nodes are replaced: clients as they should be, publishers, and the books on both.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::moves::Moves;
use super::publishers::{Attempt, Book, Place, Publisher};
use crate::client::{Client, Options};
use crate::clock::micros;
use crate::journal::What;
use crate::ledger::{ClientId, Ledger};
use crate::target::{Entrance, Target};

/// What clients subscribe to, one after another: a room with all below it, patterns, rooms at the bottom.
const INTERESTS: [&[&str]; 4] =
    [&["kpi:ORG"], &["*:ORG:**"], &["kpi:ORG:*:support", "backlog:ORG"], &["kpi:ORG:sales:support", "alerts:ORG"]];
/// What is published into.
const ROOMS: [&str; 5] = ["kpi:ORG", "kpi:ORG:sales", "kpi:ORG:sales:support", "backlog:ORG:ops", "alerts:ORG:ops:night"];
/// The doors that publishers of each org come in by.
const ENTRANCES: [Entrance; 3] = [Entrance::Websocket, Entrance::Rest, Entrance::Fcall];

/// A client and what it wants.
struct Member {
    client: Client,
    account: ClientId,
    /// Of its journal, how much is in the ledger.
    booked: usize,
}

/// Everybody.
pub struct Crowd {
    members: Vec<Member>,
    publishers: Vec<Publisher>,
    book: Book,
    /// Of the book, how much is in the ledger.
    booked: usize,
    ledger: Ledger,
    begun: Instant,
}

impl Crowd {
    /// `clients` of `orgs` come by the balancer at `address`. Must be called within a runtime.
    ///
    /// # Errors
    /// When there is no token for so many orgs.
    pub fn comes(target: &Target, address: SocketAddr, clients: usize, orgs: usize) -> anyhow::Result<Self> {
        let (names, mut ledger) = (target.tokens.orgs(orgs)?, Ledger::default());
        let member = |number: usize| {
            let org = &names[number % orgs];
            let rooms: Vec<String> = INTERESTS[number / orgs % INTERESTS.len()].iter().map(|room| room.replace("ORG", org)).collect();
            let token = target.tokens.of(org, &format!("user{number}"));
            let client = Client::start(Options::new([address], token).rooms(rooms.clone()));
            Member { client, account: ledger.client(org, rooms), booked: 0 }
        };
        let members = (0..clients).map(member).collect();
        let (publishers, book) = (Vec::new(), Book::default());
        Ok(Self { members, publishers, book, booked: 0, ledger, begun: Instant::now() })
    }

    /// Publishing begins: `rate` per second over all orgs and doors. Must be called within a runtime.
    ///
    /// # Errors
    /// When there is no Redis to publish into.
    pub fn publishes(&mut self, target: &Target, address: SocketAddr, orgs: usize, rate: u32) -> anyhow::Result<()> {
        let redis = target.redis_address.ok_or_else(|| anyhow::anyhow!("several nodes share a Redis: add --redis"))?;
        let names = target.tokens.orgs(orgs)?;
        let count = names.len() * ENTRANCES.len();
        let pause = Duration::from_secs_f64(count as f64 / f64::from(rate));
        for org in &names {
            let token = target.tokens.of_publisher(org, "publisher");
            let rooms: Vec<String> = ROOMS.iter().map(|room| room.replace("ORG", org)).collect();
            for entrance in ENTRANCES {
                let place = Place { entrance, address, redis, org: org.clone(), rooms: rooms.clone(), token: token.clone() };
                self.publishers.push(Publisher::start(format!("{org}-{entrance:?}"), place, pause, Book::clone(&self.book)));
            }
        }
        Ok(())
    }

    /// Publishers stop after what they have at hand.
    pub fn falls_silent(&self) {
        self.publishers.iter().for_each(Publisher::stop);
    }

    pub fn is_silent(&self) -> bool {
        self.publishers.iter().all(Publisher::is_over)
    }

    /// How many are in.
    pub fn present(&self) -> usize {
        self.members.iter().filter(|member| is_in(&member.client)).count()
    }

    /// What each client lived through.
    pub fn moves(&self) -> Vec<Moves> {
        self.members.iter().map(|member| Moves::of(&member.client.journal().events())).collect()
    }

    /// What became of each attempt to publish.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.book.lock().clone()
    }

    /// Books what has happened since, and tells how many publications are still owed to somebody.
    pub fn owed(&mut self) -> usize {
        let since = |at: Instant| micros(at.saturating_duration_since(self.begun));
        let attempts = self.book.lock();
        for attempt in &attempts[self.booked..] {
            self.ledger.published(&attempt.mark, &attempt.room, attempt.fate, since(attempt.first));
        }
        self.booked = attempts.len();
        drop(attempts);
        for member in &mut self.members {
            let events = member.client.journal().events();
            self.ledger.book_events(member.account, &events[member.booked..], self.begun);
            member.booked = events.len();
        }
        self.members.iter().map(|member| self.ledger.missing(member.account)).sum()
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The marks of some publications that are owed to somebody.
    pub fn owed_marks(&self, at_most: usize) -> Vec<String> {
        let marks = self.members.iter().flat_map(|member| self.ledger.missing_marks(member.account));
        marks.take(at_most).map(str::to_owned).collect()
    }
}

/// By the newest of what happened that tells: nothing but a session gets publications.
fn is_in(client: &Client) -> bool {
    let telling = |what: &What| match what {
        What::Message { message, .. } => (message.event == "authenticated" || message.room.is_some()).then_some(true),
        What::Closed { .. } | What::Lost(_) | What::Opened(_) | What::Ended => Some(false),
        What::Ping => None,
    };
    client.journal().events().iter().rev().find_map(|event| telling(&event.what)).unwrap_or(false)
}
