//! What `/api/ws/stats` says of a node's messages: counted by the hub once per batch and publication, read by the api.
//!
//! Prometheus keeps its own numbers; these can be read back and added up over nodes. Nothing here locks or allocates, but for
//! the first publication of each event.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::metrics;
use crate::protocol::Code;

/// Event names counted apart; what comes beyond is counted under [`OTHER_EVENTS`].
pub const EVENTS_MAX: usize = 128;
pub const OTHER_EVENTS: &str = "other";
/// How far back the rate per second looks.
pub const WINDOW_S: u64 = 10;

/// One slot more than the window has seconds, so that the running second does not stand in for a whole one.
const SECONDS: usize = WINDOW_S as usize + 1;

/// A node's numbers since its start. Messages are publications handed to sessions, one for each session.
pub struct Counters {
    messages: AtomicU64,
    events: [EventCount; EVENTS_MAX],
    other_events: AtomicU64,
    seconds: [AtomicU64; SECONDS],
    latency_sum_us: AtomicU64,
    latency_max_us: AtomicU64,
    errors: AtomicU64,
}

#[derive(Default)]
struct EventCount {
    name: OnceLock<Box<str>>,
    count: AtomicU64,
}

/// The numbers at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    pub messages: u64,
    /// Messages of the last [`WINDOW_S`] whole seconds.
    pub messages_in_window: u64,
    pub by_event: Vec<(Box<str>, u64)>,
    /// From the append to the log until the hub had handed it over, over all messages.
    pub latency_sum_us: u64,
    pub latency_max_us: u64,
    pub errors: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            messages: AtomicU64::new(0),
            events: std::array::from_fn(|_| EventCount::default()),
            other_events: AtomicU64::new(0),
            seconds: std::array::from_fn(|_| AtomicU64::new(0)),
            latency_sum_us: AtomicU64::new(0),
            latency_max_us: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// One publication was handed to `sessions` sessions at `now_us`, Unix microseconds as is `time_us`, its own time.
    pub fn delivered(&self, event: &str, sessions: u64, time_us: u64, now_us: u64) {
        if sessions == 0 {
            return;
        }
        let latency_us = now_us.saturating_sub(time_us);
        self.messages.fetch_add(sessions, Ordering::Relaxed);
        self.event(event).fetch_add(sessions, Ordering::Relaxed);
        self.note_second(now_us / 1_000_000, sessions);
        self.latency_sum_us.fetch_add(latency_us.saturating_mul(sessions), Ordering::Relaxed);
        self.latency_max_us.fetch_max(latency_us, Ordering::Relaxed);
    }

    /// A client or a publisher was told an error.
    pub fn error(&self, code: Code) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        metrics::errors(code).increment(1);
    }

    pub fn read(&self, now_us: u64) -> Reading {
        let named = self.events.iter().filter_map(|event| Some((event.name.get()?.clone(), event.count.load(Ordering::Relaxed))));
        let other = Some((OTHER_EVENTS.into(), self.other_events.load(Ordering::Relaxed))).filter(|(_, count)| *count > 0);
        Reading {
            messages: self.messages.load(Ordering::Relaxed),
            messages_in_window: self.window(now_us / 1_000_000),
            by_event: named.chain(other).collect(),
            latency_sum_us: self.latency_sum_us.load(Ordering::Relaxed),
            latency_max_us: self.latency_max_us.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
        }
    }

    /// Events claim slots in the order in which they first come; a slot once claimed keeps its name.
    fn event(&self, name: &str) -> &AtomicU64 {
        for event in &self.events {
            if event.name.get_or_init(|| name.into()).as_ref() == name {
                return &event.count;
            }
        }
        &self.other_events
    }

    /// Adds to the slot of that second, which is emptied first if it still holds an older one.
    fn note_second(&self, second: u64, count: u64) {
        let update = |slot: u64| {
            let (of, sum) = unpack(slot);
            let stamp = second & u64::from(u32::MAX);
            Some(pack(stamp, if of == stamp { sum.saturating_add(count) } else { count }))
        };
        let slot = usize::try_from(second % SECONDS as u64).unwrap_or_default();
        let _ = self.seconds[slot].fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    fn window(&self, now_s: u64) -> u64 {
        let whole = (1..=WINDOW_S).map(|ago_s| now_s.saturating_sub(ago_s) & u64::from(u32::MAX));
        let slots = || self.seconds.iter().map(|slot| unpack(slot.load(Ordering::Relaxed)));
        whole.filter_map(|second| slots().find(|(of, _)| *of == second)).map(|(_, sum)| sum).sum()
    }
}

/// The second in the upper half, the count in the lower.
fn pack(second: u64, count: u64) -> u64 {
    second << 32 | count.min(u64::from(u32::MAX))
}

fn unpack(slot: u64) -> (u64, u64) {
    (slot >> 32, slot & u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = 1_700_000_000_000_000;

    #[test]
    fn deliveries_add_up_by_event_and_by_second() {
        let counters = Counters::default();
        counters.delivered("kpi:update", 3, NOW_US - 2_000, NOW_US);
        counters.delivered("kpi:update", 1, NOW_US - 10_000, NOW_US);
        counters.delivered("alert:triggered", 2, NOW_US + 1_000_000, NOW_US + 1_000_000);
        counters.delivered("nobody:there", 0, 0, NOW_US);
        counters.error(Code::InvalidRoom);
        let reading = counters.read(NOW_US + 2_000_000);
        assert_eq!(reading.messages, 6);
        assert_eq!(reading.messages_in_window, 6);
        assert_eq!(reading.by_event, [("kpi:update".into(), 4), ("alert:triggered".into(), 2)]);
        assert_eq!((reading.latency_sum_us, reading.latency_max_us, reading.errors), (16_000, 10_000, 1));
    }

    #[test]
    fn the_window_forgets_and_leaves_the_running_second_out() {
        let counters = Counters::default();
        for second in 0..30 {
            counters.delivered("e", second, 0, NOW_US + second * 1_000_000);
        }
        assert_eq!(counters.read(NOW_US + 29_000_000).messages_in_window, (19..=28).sum::<u64>());
        assert_eq!(counters.read(NOW_US + 100_000_000).messages_in_window, 0);
    }

    #[test]
    fn event_names_beyond_the_bound_are_counted_together() {
        let counters = Counters::default();
        for event in 0..EVENTS_MAX + 5 {
            counters.delivered(&format!("e:{event}"), 1, NOW_US, NOW_US);
        }
        let reading = counters.read(NOW_US);
        assert_eq!(reading.by_event.len(), EVENTS_MAX + 1);
        assert_eq!(reading.by_event.last(), Some(&(OTHER_EVENTS.into(), 5)));
    }
}
