//! The books of a test: all that was published and what became of it, and the load that fills them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomcast_loadtest::ledger::{ClientId, Fate};
use roomcast_loadtest::{Ledger, Outcome, Verdict};
use serde_json::json;

use super::DEADLINE;
use super::world::Person;

/// All that was published in a test, shared by its publishers.
#[derive(Clone)]
pub struct Books {
    begun: Instant,
    entries: Arc<Mutex<Vec<Entry>>>,
    acked: Arc<AtomicUsize>,
}

struct Entry {
    mark: String,
    room: String,
    fate: Fate,
    at_us: u64,
}

impl Default for Books {
    fn default() -> Self {
        Self { begun: Instant::now(), entries: Arc::default(), acked: Arc::default() }
    }
}

impl Books {
    pub fn now_us(&self) -> u64 {
        self.at_us(Instant::now())
    }

    /// Books what became of a publication just now.
    pub fn note(&self, mark: &str, room: &str, fate: Fate) {
        self.note_sent(mark, room, fate, self.now_us());
    }

    /// Books what became of a publication that was sent at `at_us`.
    pub fn note_sent(&self, mark: &str, room: &str, fate: Fate, at_us: u64) {
        self.acked.fetch_add(usize::from(matches!(fate, Fate::Acked(_))), Ordering::Relaxed);
        self.entries.lock().push(Entry { mark: mark.to_owned(), room: room.to_owned(), fate, at_us });
    }

    /// The books' time of a moment.
    pub fn at_us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_micros()).unwrap_or(u64::MAX)
    }

    /// How many answers, and waits in vain for one, have been booked.
    pub fn attempts(&self) -> usize {
        self.entries.lock().len()
    }

    /// The marks of what was acknowledged.
    pub fn acked_marks(&self) -> Vec<String> {
        let entries = self.entries.lock();
        entries.iter().filter(|entry| matches!(entry.fate, Fate::Acked(_))).map(|entry| entry.mark.clone()).collect()
    }

    pub fn acked(&self) -> usize {
        self.acked.load(Ordering::Relaxed)
    }

    /// The ledger as it stands.
    pub fn ledger<'a>(&self, people: impl IntoIterator<Item = &'a Person>) -> Ledger {
        Audit::new(self, people).ledger
    }

    /// Waits until everyone has all that they are owed, and judges. What is still owed at the deadline is told as silent.
    pub async fn settle<'a>(&self, people: impl IntoIterator<Item = &'a Person>) -> Verdict {
        self.audit(people, DEADLINE).await.ledger.verdict()
    }

    /// The same, for those who want more than the verdict.
    pub async fn audit<'a>(&self, people: impl IntoIterator<Item = &'a Person>, deadline: Duration) -> Audit<'a> {
        let mut audit = Audit::new(self, people);
        let settling = async {
            while !audit.all_is_there() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                audit.go_on();
            }
        };
        let _ = tokio::time::timeout(deadline, settling).await;
        audit
    }
}

/// A ledger that follows the books and some people's journals.
pub struct Audit<'a> {
    books: Books,
    pub ledger: Ledger,
    entries_booked: usize,
    people: Vec<Followed<'a>>,
}

struct Followed<'a> {
    person: &'a Person,
    client: ClientId,
    events_booked: usize,
}

impl<'a> Audit<'a> {
    fn new(books: &Books, people: impl IntoIterator<Item = &'a Person>) -> Self {
        let mut ledger = Ledger::default();
        let open = |person: &'a Person| {
            let client = ledger.client(&person.org, person.rooms.iter().cloned());
            Followed { person, client, events_booked: 0 }
        };
        let people = people.into_iter().map(open).collect();
        let mut audit = Self { books: books.clone(), ledger, entries_booked: 0, people };
        audit.go_on();
        audit
    }

    /// Books what has happened since.
    fn go_on(&mut self) {
        let entries = self.books.entries.lock();
        for entry in &entries[self.entries_booked..] {
            self.ledger.published(&entry.mark, &entry.room, entry.fate, entry.at_us);
        }
        self.entries_booked = entries.len();
        drop(entries);
        for Followed { person, client, events_booked } in &mut self.people {
            person.with_events(*events_booked, |events| {
                self.ledger.book_events(*client, events, self.books.begun);
                *events_booked += events.len();
            });
        }
    }

    fn all_is_there(&self) -> bool {
        self.people.iter().all(|followed| self.ledger.missing(followed.client) == 0)
    }

    /// The accounts of those for whom `chosen` says so.
    pub fn clients_of(&self, chosen: impl Fn(&Person) -> bool) -> Vec<ClientId> {
        self.people.iter().filter(|followed| chosen(followed.person)).map(|followed| followed.client).collect()
    }
}

/// Publishes one after another until told to stop, retrying what is refused or unknown under the same idempotency key.
pub struct Load {
    stop: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    /// Marks are `<name>-<number>`.
    pub fn start(books: &Books, publisher: Person, name: &str, rooms: &[&str], pause: Duration) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (books, name) = (books.clone(), name.to_owned());
        let rooms: Vec<String> = rooms.iter().map(ToString::to_string).collect();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(pause);
            for (number, room) in rooms.iter().cycle().enumerate() {
                ticks.tick().await;
                if *stopped.borrow() {
                    return;
                }
                let mark = format!("{name}-{number}");
                loop {
                    let key = json!({ "idempotency_key": mark });
                    let outcome = publisher.client.publish_with(room, "kpi:update", json!({ "mark": mark }), key).await;
                    books.note(&mark, room, outcome.fate());
                    if matches!(outcome, Outcome::Acked { .. }) {
                        break;
                    }
                    ticks.tick().await;
                }
            }
        });
        Self { stop, task }
    }

    /// Stops after the publication at hand is acknowledged.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(DEADLINE, self.task).await.expect("the last publication is acknowledged").expect("publishing did not panic");
    }
}
