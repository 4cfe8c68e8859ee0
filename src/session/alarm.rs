//! The timers of all sessions of a node in one table, and one timer of the runtime for all of them.
//!
//! A session waits for half a minute at a time and hardly ever for more than one thing, so what it needs of a timer is its place in a queue:
//! the runtime's own timers are five times as large. A session's alarm is set once and left alone while its due time only moves
//! back, because that is what every message does to it. The driver polls alarms; nothing else looks here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Alarms go off together at multiples of this, so that thousands of sessions do not wake the node thousands of times a second.
const GRAIN_MS: u64 = 16;
/// Bits of a key that tell alarms of the same time apart. What is left counts milliseconds for half a million years.
const NUMBER_BITS: u32 = 20;

/// All alarms that are set, and the task that wakes whoever is due.
pub struct Alarms {
    table: Arc<Table>,
    ringing: AbortHandle,
}

struct Table {
    /// The zero of every `due_ms` and `now_ms`.
    started: Instant,
    set: Mutex<Set>,
    /// The earliest alarm is another than before.
    sooner: Notify,
}

#[derive(Default)]
struct Set {
    wakers: BTreeMap<Key, Waker>,
    numbers: u64,
}

/// When an alarm goes off, and which of those of that time it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    fn at_ms(self) -> u64 {
        self.0 >> NUMBER_BITS
    }
}

impl Set {
    fn insert(&mut self, at_ms: u64, waker: &Waker) -> Key {
        loop {
            self.numbers += 1;
            let key = Key(at_ms << NUMBER_BITS | self.numbers & ((1 << NUMBER_BITS) - 1));
            if let std::collections::btree_map::Entry::Vacant(place) = self.wakers.entry(key) {
                place.insert(waker.clone());
                return key;
            }
        }
    }
}

/// One session's alarm. [`Alarms::cancel`] must end it.
#[derive(Default)]
pub struct Alarm {
    key: Option<Key>,
}

impl Alarms {
    /// An empty table; `started` is the zero of its times.
    pub fn start(started: Instant) -> Self {
        let table = Arc::new(Table { started, set: Mutex::default(), sooner: Notify::new() });
        let ringing = tokio::spawn(ring(Arc::clone(&table))).abort_handle();
        Self { table, ringing }
    }

    /// Ready once `due_ms` has passed by the clock's `now_ms`; until then the task that asks, always the same one, is woken when it is worth
    /// asking again. `None` is never due. The latest `due_ms` counts.
    pub fn poll(&self, alarm: &mut Alarm, due_ms: Option<u64>, now_ms: u64, context: &Context<'_>) -> Poll<()> {
        let Some(due_ms) = due_ms else { return Poll::Pending };
        if due_ms <= now_ms {
            self.cancel(alarm);
            return Poll::Ready(());
        }
        let at_ms = due_ms.next_multiple_of(GRAIN_MS);
        if !alarm.key.is_some_and(|key| now_ms < key.at_ms() && key.at_ms() <= at_ms) {
            self.cancel(alarm);
            alarm.key = Some(self.table.insert(at_ms, context.waker()));
        }
        Poll::Pending
    }

    pub fn cancel(&self, alarm: &mut Alarm) {
        if let Some(key) = alarm.key.take() {
            self.table.set.lock().wakers.remove(&key);
        }
    }
}

impl Drop for Alarms {
    fn drop(&mut self) {
        self.ringing.abort();
    }
}

impl Table {
    fn insert(&self, at_ms: u64, waker: &Waker) -> Key {
        let mut set = self.set.lock();
        let key = set.insert(at_ms, waker);
        if set.wakers.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.sooner.notify_one();
        }
        key
    }

    /// Wakes whoever is due; when the next one will be.
    fn wake_due(&self) -> Option<Instant> {
        let now_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        loop {
            let mut set = self.set.lock();
            let first = set.wakers.first_entry()?;
            if now_ms < first.key().at_ms() {
                return Some(self.started + Duration::from_millis(first.key().at_ms()));
            }
            let waker = first.remove();
            drop(set);
            waker.wake();
        }
    }
}

async fn ring(table: Arc<Table>) {
    loop {
        let next = table.wake_due();
        let sooner = table.sooner.notified();
        match next {
            Some(next) => drop(tokio::time::timeout_at(next, sooner).await),
            None => sooner.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn goes_off(alarms: &Alarms, alarm: &mut Alarm, due_ms: u64) -> u64 {
        let now_ms = || alarms.table.started.elapsed().as_millis() as u64;
        poll_fn(|context| alarms.poll(alarm, Some(due_ms), now_ms(), context)).await;
        now_ms()
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_latest_time_that_was_asked_for() {
        let (alarms, mut alarm) = (Alarms::start(Instant::now()), Alarm::default());
        poll_fn(|context| {
            for due_ms in [Some(50), Some(200), Some(100), None] {
                assert!(alarms.poll(&mut alarm, due_ms, 0, context).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        // The times of these are multiples of the grain, so that they are exact.
        assert_eq!(goes_off(&alarms, &mut alarm, 160).await, 160);
        assert_eq!(goes_off(&alarms, &mut alarm, 320).await, 320);
        assert_eq!(goes_off(&alarms, &mut alarm, 100).await, 320, "what has passed is due at once");
        assert!(alarms.table.set.lock().wakers.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn thousands_go_off_each_at_its_time_and_an_earlier_one_is_not_kept_waiting() {
        let alarms = Arc::new(Alarms::start(Instant::now()));
        let sleepers: Vec<_> = (0..3_000u64)
            .rev()
            .map(|number| {
                let alarms = Arc::clone(&alarms);
                tokio::spawn(async move {
                    let due_ms = number % 1_000;
                    (due_ms, goes_off(&alarms, &mut Alarm::default(), due_ms).await)
                })
            })
            .collect();
        for sleeper in sleepers {
            let (due_ms, at_ms) = sleeper.await.unwrap();
            assert!((due_ms..=due_ms + GRAIN_MS).contains(&at_ms), "{due_ms}: {at_ms}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_alarm_keeps_nothing_of_its_task() {
        struct Flag;
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {}
        }
        let (alarms, mut alarm, flag) = (Alarms::start(Instant::now()), Alarm::default(), Arc::new(Flag));
        let waker = Waker::from(Arc::clone(&flag));
        assert!(alarms.poll(&mut alarm, Some(50), 0, &Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert_eq!(Arc::strong_count(&flag), 2);
        alarms.cancel(&mut alarm);
        assert_eq!(Arc::strong_count(&flag), 1);
    }
}
