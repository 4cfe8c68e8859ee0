//! What must hold at the end of every history.
//!
//! The check knows nothing of hubs: it goes through what a client saw, in order, and holds it against everything that ever
//! stood in the log.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use roomcast::protocol::{NewPublication, Position, Priority, SessionId};

use super::client::{Client, Seen};
use super::log::{Log, Record};
use super::wanted::Wanted;

/// A stretch of a log, by age: after the first and up to the second.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    after: usize,
    to: usize,
}

impl Stretch {
    fn contains(self, age: usize) -> bool {
        self.after < age && age <= self.to
    }
}

/// What one client saw, as far as it has been gone through.
struct Check<'a> {
    client: &'a Client,
    log: &'a Log,
    /// Retention has removed entries.
    is_trimmed: bool,
    /// By the number that an ephemeral publication carries, what it was.
    ephemeral: &'a BTreeMap<u64, NewPublication>,
    received: HashSet<Position>,
    on_connection: HashSet<Position>,
    ephemeral_received: HashSet<u64>,
    /// The age of the youngest publication, or of the place from which an older stretch was asked for.
    youngest: usize,
    /// What may come on this connection.
    reaching: BTreeSet<Wanted>,
    /// Since when the client holds which subscription.
    held: BTreeMap<Wanted, usize>,
    /// What was owed, for subscriptions that ended.
    owed: Vec<(Wanted, Stretch)>,
    admitted: Vec<Stretch>,
    /// Where publications of low priority were said to have given way to later ones.
    conflated: Vec<Stretch>,
    session: Option<SessionId>,
    /// When the first answer of this connection was read.
    session_since: Option<usize>,
}

/// # Errors
/// The first promise that was broken.
pub fn check(client: &Client, log: &Log, ephemeral: &BTreeMap<u64, NewPublication>, gaps_allowed: bool) -> Result<(), String> {
    let mut check = Check {
        client,
        log,
        is_trimmed: log.entries.len() < log.records.len(),
        ephemeral,
        received: HashSet::new(),
        on_connection: HashSet::new(),
        ephemeral_received: HashSet::new(),
        youngest: 0,
        reaching: BTreeSet::new(),
        held: BTreeMap::new(),
        owed: Vec::new(),
        admitted: Vec::new(),
        conflated: Vec::new(),
        session: None,
        session_since: None,
    };
    for seen in &client.seen {
        check.go_through(seen, gaps_allowed).map_err(|why| format!("{} {why}", client.name))?;
    }
    check.nothing_is_silently_lost().map_err(|why| format!("{} {why}", client.name))
}

impl Check<'_> {
    fn go_through(&mut self, seen: &Seen, gaps_allowed: bool) -> Result<(), String> {
        match seen {
            Seen::Connected { session, .. } => {
                self.on_connection.clear();
                self.ephemeral_received.clear();
                self.reaching = self.held.keys().cloned().collect();
                (self.session, self.session_since) = (Some(*session), None);
            }
            Seen::At(_) => {}
            Seen::Subscribed { pattern, since, known } => self.subscribed(pattern, *since, *known),
            Seen::Told { pattern, at, values } => return self.told(pattern, *at, values),
            Seen::Begins(pattern) => drop(self.reaching.insert(pattern.clone())),
            Seen::Leaves { pattern, at } => {
                if let Some(after) = self.held.remove(pattern) {
                    let to = at.map_or(0, |at| self.log.age(at));
                    self.owed.push((pattern.clone(), Stretch { after, to }));
                }
            }
            Seen::Left(pattern) => self.left(pattern),
            Seen::Gap { reason, .. } if !gaps_allowed => return Err(format!("was told a gap ({reason}) although nothing was lost")),
            Seen::Gap { from, to, known, .. } => {
                let after = from.map_or(0, |from| self.log.age(from));
                // What was appended after the gap was told is not admitted by it, though its number may be the same.
                self.admitted.push(Stretch { after, to: self.log.age(*to).min(*known) });
            }
            Seen::Conflated { from, to, left_out } => {
                let stretch = Stretch { after: self.log.age(*from), to: self.log.age(*to) };
                self.conflated.push(stretch);
                return self.counts_what_gives_way(stretch, *left_out);
            }
            Seen::Publication { position: Some(position), room, data, overtook, conflated } => {
                return self.logged(*position, room, *data, *overtook, *conflated);
            }
            Seen::Publication { position: None, room, data, .. } => return self.unlogged(room, *data),
        }
        Ok(())
    }

    fn subscribed(&mut self, pattern: &Wanted, since: Option<Position>, known: usize) {
        let after = since.map_or(known, |since| self.log.age(since));
        self.held.entry(pattern.clone()).or_insert(after);
        self.reaching.insert(pattern.clone());
        self.session_since.get_or_insert(known);
        if since.is_some() {
            self.youngest = self.youngest.min(after);
        }
    }

    /// Of each room the last publication of each event, as the history that leads to `at` has it, and no other; only the oldest may have been trimmed away.
    fn told(&self, pattern: &Wanted, at: Position, values: &[(Position, u64)]) -> Result<(), String> {
        let mut history: Vec<&Record> = Vec::new();
        for record in self.log.records[..self.log.age(at)].iter().filter(|record| record.position.epoch == at.epoch) {
            // Another history took the place of what stood there.
            history.retain(|earlier| earlier.position.seq < record.position.seq);
            history.push(record);
        }
        let mut last = BTreeMap::new();
        for record in history {
            if let Some(publication) = record.publication.as_ref().filter(|publication| publication.sessions.is_empty()) {
                last.insert((publication.room.as_str(), publication.event.as_str()), (record.position, publication));
            }
        }
        let mut expected: Vec<_> = last.into_values().filter(|(_, publication)| pattern.is_reached_by(publication)).collect();
        expected.sort_by_key(|(position, _)| position.seq);
        let expected: Vec<_> = expected.into_iter().map(|(position, publication)| (position, publication.data.to_vec())).collect();
        let told: Vec<_> = values.iter().map(|(position, number)| (*position, number.to_string().into_bytes())).collect();
        let as_it_stands = if self.is_trimmed { expected.ends_with(&told) } else { expected == told };
        if as_it_stands { Ok(()) } else { Err(format!("was told {values:?} of {pattern} at {at}, where {expected:?} stood")) }
    }

    /// What a given-up subscription brought may come again when another asks for the past.
    fn left(&mut self, pattern: &Wanted) {
        self.reaching.remove(pattern);
        let log = self.log;
        let brought = |position: &Position| {
            let publication = log.record(*position).and_then(|record| record.publication.as_ref());
            publication.is_some_and(|publication| pattern.is_reached_by(publication))
        };
        self.on_connection.retain(|position| !brought(position));
    }

    /// No more can give way than there are others behind them.
    fn counts_what_gives_way(&self, stretch: Stretch, left_out: u64) -> Result<(), String> {
        let giving = |age: &usize| self.gives_way(*age, stretch);
        let most = (stretch.after + 1..=stretch.to).filter(giving).count() as u64;
        if left_out > 0 && left_out <= most { Ok(()) } else { Err(format!("was told that {left_out} gave way, where {most} can")) }
    }

    /// Whether a later publication of the same room and event in this stretch may stand for the one of this age.
    fn gives_way(&self, age: usize, stretch: Stretch) -> bool {
        let low = |age: usize| {
            let publication = self.log.records.get(age - 1).and_then(|record| record.publication.as_ref());
            publication.filter(|publication| publication.priority == Priority::Low && !publication.requires_ack)
        };
        let Some(earlier) = low(age).filter(|_| stretch.contains(age)) else { return false };
        (age + 1..=stretch.to).filter_map(low).any(|later| later.room == earlier.room && later.event == earlier.event)
    }

    fn logged(&mut self, position: Position, room: &str, data: u64, overtook: bool, conflated: u64) -> Result<(), String> {
        self.is_of_own_org(room)?;
        let Some(publication) = self.log.record(position).and_then(|record| record.publication.as_ref()) else {
            return Err(format!("got {position}, which never stood in the log"));
        };
        if publication.room.as_str() != room || publication.data != data.to_string() {
            return Err(format!("got {data} in {room} under {position}, where the log has another publication"));
        }
        self.is_asked_for(publication)?;
        if overtook && publication.priority != Priority::Urgent {
            return Err(format!("got {position} ahead of its turn, which is not urgent"));
        }
        let told = || self.conflated.iter().any(|stretch| stretch.contains(self.log.age(position)));
        if conflated > 0 && (publication.priority != Priority::Low || !told()) {
            return Err(format!("got {position} for {conflated} others, of which nobody told"));
        }
        if !self.on_connection.insert(position) {
            return Err(format!("got {position} twice on one connection"));
        }
        if self.received.insert(position) && !overtook {
            let age = self.log.age(position);
            if age <= self.youngest {
                return Err(format!("got {position} out of order"));
            }
            self.youngest = age;
        }
        Ok(())
    }

    fn unlogged(&mut self, room: &str, data: u64) -> Result<(), String> {
        self.is_of_own_org(room)?;
        let Some(publication) = self.ephemeral.get(&data) else { return Err(format!("got {data}, which nobody published")) };
        self.is_asked_for(publication)?;
        if self.ephemeral_received.insert(data) { Ok(()) } else { Err(format!("got the ephemeral {data} twice on one connection")) }
    }

    fn is_of_own_org(&self, room: &str) -> Result<(), String> {
        if room.split(':').nth(1) == Some(self.client.org.as_str()) { Ok(()) } else { Err(format!("got {room} of another org")) }
    }

    fn is_asked_for(&self, publication: &NewPublication) -> Result<(), String> {
        let meant = match self.session {
            Some(session) if !publication.sessions.is_empty() => publication.sessions.contains(&session),
            _ => self.reaching.iter().any(|pattern| pattern.is_reached_by(publication)),
        };
        if meant { Ok(()) } else { Err(format!("got what it had not asked for, in {}", publication.room)) }
    }

    fn nothing_is_silently_lost(mut self) -> Result<(), String> {
        let held = std::mem::take(&mut self.held).into_iter().map(|(pattern, after)| (pattern, Stretch { after, to: usize::MAX }));
        self.owed.extend(held);
        for (index, record) in self.log.records.iter().enumerate() {
            let Some(publication) = &record.publication else { continue };
            let age = index + 1;
            let entitled = if publication.sessions.is_empty() {
                self.owed.iter().any(|(pattern, stretch)| stretch.contains(age) && pattern.is_reached_by(publication))
            } else {
                let session = self.session.filter(|session| publication.sessions.contains(session));
                session.and(self.session_since).is_some_and(|since| age > since)
            };
            let covered = || {
                self.admitted.iter().any(|admitted| admitted.contains(age))
                    || self.conflated.iter().any(|stretch| self.gives_way(age, *stretch))
            };
            if entitled && !self.received.contains(&record.position) && !covered() {
                return Err(format!("never got {} ({}), and no gap admits it", record.position, publication.room));
            }
        }
        Ok(())
    }
}

/// Whether each publication with a key was logged once; only for stores whose history is never replaced.
///
/// # Errors
/// The key that was logged twice, or never.
pub fn logged_once<'a>(logs: impl Iterator<Item = &'a Log>, keys: &BTreeSet<Box<str>>) -> Result<(), String> {
    let records = logs.flat_map(|log| &log.records);
    let logged = records.filter_map(|record| record.publication.as_ref()?.idempotency_key.as_ref());
    let mut missing = keys.clone();
    for key in logged {
        if !missing.remove(key) {
            return Err(format!("{key} was logged twice"));
        }
    }
    missing.first().map_or(Ok(()), |key| Err(format!("{key} was never logged")))
}
