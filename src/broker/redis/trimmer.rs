//! Holds the logs of joined orgs to their bounds in bytes and age.
//!
//! Every node does so for every org that it has joined, so it must cost next to nothing where there is nothing to do: a log is looked at when much
//! was published into it or much was removed the last time, and otherwise ever more seldom. Calls the function; never reads a log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::connection;
use super::keys::Keys;
use super::link::Link;
use super::members::Members;
use super::scripts::Function;
use crate::protocol::OrgId;

/// A log that nothing much happens to is looked at once in so many rounds.
const PAUSE_MAX: u64 = 32;
/// This share of the bound in bytes may be published before a log is looked at again.
const HEARD_SHARE: u64 = 64;
/// Entries are kept beyond their age for this share of it at most.
const AGE_SHARE: u64 = 16;
/// So many entries removed at once say that there is more to do.
const MANY: u64 = 64;

pub(super) struct Trimmer {
    pub(super) link: Arc<Link>,
    pub(super) members: Arc<Members>,
    pub(super) keys: Keys,
    pub(super) bytes_max: u64,
    pub(super) age_max_ms: u64,
    pub(super) interval: Duration,
}

impl Trimmer {
    pub(super) async fn run(&self) {
        let (bytes_max, age_max_ms) = (self.bytes_max.to_string(), self.age_max_ms.to_string());
        let interval_ms = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut schedule = Schedule::new(self.age_max_ms / AGE_SHARE / interval_ms, self.bytes_max / HEARD_SHARE);
        loop {
            tokio::time::sleep(self.interval).await;
            for org in schedule.due(self.members.heard()) {
                let args = [bytes_max.as_bytes(), age_max_ms.as_bytes()];
                match self.link.call::<u64>(Function::Trim, &self.keys.base(&org), &args).await {
                    Ok(removed) => schedule.note(&org, removed),
                    Err(error) => {
                        tracing::debug!(reason = connection::reason(&error), "a log could not be trimmed; the next round will");
                    }
                }
            }
        }
    }
}

/// When each org has its next turn, in rounds. Pure.
struct Schedule {
    turns: HashMap<OrgId, Turn>,
    pause_max: u64,
    heard_max: u64,
}

struct Turn {
    /// Rounds from one look to the next.
    pause: u64,
    left: u64,
    /// Bytes published since the last look.
    heard: u64,
}

impl Schedule {
    /// `pause_max` rounds lie between two looks at most, and `heard_max` bytes of publications.
    fn new(pause_max: u64, heard_max: u64) -> Self {
        Self { turns: HashMap::new(), pause_max: pause_max.clamp(1, PAUSE_MAX), heard_max: heard_max.max(1) }
    }

    /// Begins a round: the orgs whose turn it is. Each comes with the bytes that were published into it since the round before; those that do not
    /// come are forgotten.
    fn due(&mut self, orgs: Vec<(OrgId, u64)>) -> Vec<OrgId> {
        let mut due = Vec::new();
        let mut turns = HashMap::with_capacity(orgs.len());
        for (org, heard) in orgs {
            let mut turn = self.turns.remove(&org).unwrap_or(Turn { pause: 1, left: 1, heard: 0 });
            turn.left = turn.left.saturating_sub(1);
            turn.heard = turn.heard.saturating_add(heard);
            if turn.left == 0 || turn.heard >= self.heard_max {
                // One that cannot be trimmed now is tried again in the next round.
                turn.left = 1;
                due.push(org.clone());
            }
            turns.insert(org, turn);
        }
        self.turns = turns;
        due
    }

    /// How many entries were removed.
    fn note(&mut self, org: &OrgId, removed: u64) {
        if let Some(turn) = self.turns.get_mut(org) {
            turn.pause = if removed >= MANY { 1 } else { (turn.pause * 2).min(self.pause_max) };
            (turn.left, turn.heard) = (turn.pause, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rounds, of so many, in which the one org is looked at: with what is heard in each, and what each look removes.
    fn rounds(count: u64, schedule: &mut Schedule, heard: impl Fn(u64) -> u64, removed: u64) -> Vec<u64> {
        let org = OrgId::parse("acme").unwrap();
        let looked = |round: &u64| {
            let due = !schedule.due(vec![(org.clone(), heard(*round))]).is_empty();
            if due {
                schedule.note(&org, removed);
            }
            due
        };
        (1..=count).filter(looked).collect()
    }

    #[test]
    fn where_nothing_is_removed_pauses_grow() {
        assert_eq!(rounds(100, &mut Schedule::new(32, 100), |_| 1, 3), [1, 3, 7, 15, 31, 63, 95]);
        assert_eq!(
            rounds(4, &mut Schedule::new(0, 100), |_| 0, 0),
            [1, 2, 3, 4],
            "entries that are kept for so short are looked at each time"
        );
    }

    #[test]
    fn where_much_is_published_or_removed_every_round_looks() {
        assert_eq!(rounds(5, &mut Schedule::new(32, 100), |_| 0, MANY), [1, 2, 3, 4, 5]);
        assert_eq!(rounds(5, &mut Schedule::new(32, 100), |_| 100, 0), [1, 2, 3, 4, 5]);
        let burst = |round| if round == 20 { 100 } else { 0 };
        assert_eq!(rounds(30, &mut Schedule::new(32, 100), burst, 0), [1, 3, 7, 15, 20]);
    }

    #[test]
    fn one_that_could_not_be_looked_at_has_the_next_turn_and_one_that_left_is_forgotten() {
        let (mut schedule, org) = (Schedule::new(32, 100), OrgId::parse("acme").unwrap());
        for _ in 0..3 {
            assert_eq!(schedule.due(vec![(org.clone(), 0)]), std::slice::from_ref(&org));
        }
        schedule.due(Vec::new());
        assert!(schedule.turns.is_empty());
    }
}
