//! The books of a test: all that was published and what became of it, and the load that fills them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use roomcast_loadtest::ledger::Fate;
use roomcast_loadtest::{Ledger, Outcome, Verdict};
use serde_json::json;

use super::DEADLINE;
use super::world::Person;

/// All that was published in a test, shared by its publishers.
#[derive(Clone)]
pub struct Books {
    begun: Instant,
    entries: Arc<Mutex<Vec<Entry>>>,
}

struct Entry {
    mark: String,
    room: String,
    fate: Fate,
    at_ms: u64,
}

impl Default for Books {
    fn default() -> Self {
        Self { begun: Instant::now(), entries: Arc::default() }
    }
}

impl Books {
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn note(&self, mark: &str, room: &str, fate: Fate) {
        let entry = Entry { mark: mark.to_owned(), room: room.to_owned(), fate, at_ms: self.now_ms() };
        self.entries.lock().push(entry);
    }

    pub fn acked(&self) -> usize {
        self.entries.lock().iter().filter(|entry| matches!(entry.fate, Fate::Acked(_))).count()
    }

    /// The ledger as it stands.
    pub fn ledger<'a>(&self, people: impl IntoIterator<Item = &'a Person>) -> Ledger {
        let mut ledger = Ledger::default();
        for entry in self.entries.lock().iter() {
            ledger.published(&entry.mark, &entry.room, entry.fate, entry.at_ms);
        }
        for person in people {
            ledger.book(&person.org, person.rooms.iter().cloned(), &person.events(), self.begun);
        }
        ledger
    }

    /// Waits until everyone has all that they are owed, and judges. What is still owed at the deadline is told as silent.
    pub async fn settle<'a>(&self, people: impl IntoIterator<Item = &'a Person> + Clone) -> Verdict {
        let settling = async {
            while self.ledger(people.clone()).verdict().silent > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let _ = tokio::time::timeout(DEADLINE, settling).await;
        self.ledger(people).verdict()
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
