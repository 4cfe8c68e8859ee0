//! Which orgs are probed in a round: those in which something happened lately each time, the others ever more seldom.
//!
//! Pure. [`super::Hub::probe`] owns the only one. What it goes by are the probes' own answers, so that orgs need not tell it anything. Without it
//! the probes of silent orgs would be most of what a large installation asks of Redis (docs/scale.md).

use std::collections::HashMap;

use crate::protocol::{OrgId, Position};

/// When each org has its next turn, in rounds.
pub(super) struct Schedule {
    turns: HashMap<OrgId, Turn>,
    pause_max: u64,
    round: u64,
}

struct Turn {
    newest: Option<Position>,
    /// Rounds from one probe to the next.
    pause: u64,
    left: u64,
    /// The last round in which the org was there.
    round: u64,
}

impl Schedule {
    /// `pause_max` rounds lie between two probes of an org at most; 0 counts as 1.
    pub fn new(pause_max: u64) -> Self {
        Self { turns: HashMap::new(), pause_max: pause_max.max(1), round: 0 }
    }

    /// Begins a round: those of `orgs` whose turn it is, in their order. Orgs that are not among them any more are forgotten.
    ///
    /// A node may have very many orgs of which hardly any comes or goes between two rounds, so the turns are changed where they are.
    pub fn due(&mut self, orgs: &[OrgId]) -> Vec<OrgId> {
        let mut due = Vec::new();
        self.round += 1;
        for org in orgs {
            if let Some(turn) = self.turns.get_mut(org) {
                turn.round = self.round;
                turn.left = turn.left.saturating_sub(1);
                if turn.left > 0 {
                    continue;
                }
                // One that is not answered is asked again in the next round.
                turn.left = 1;
            } else {
                self.turns.insert(org.clone(), Turn { newest: None, pause: 1, left: 1, round: self.round });
            }
            due.push(org.clone());
        }
        // Every org has a turn now, so there are more turns only where orgs left.
        if self.turns.len() > orgs.len() {
            self.turns.retain(|_, turn| turn.round == self.round);
        }
        due
    }

    /// What a probe found.
    pub fn note(&mut self, org: &OrgId, newest: Option<Position>) {
        if let Some(turn) = self.turns.get_mut(org) {
            turn.pause = if turn.newest == newest { (turn.pause * 2).min(self.pause_max) } else { 1 };
            (turn.newest, turn.left) = (newest, turn.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(seq: u64) -> Option<Position> {
        Some(Position { epoch: 1, seq, check: seq })
    }

    /// The rounds, of so many, in which the one org is probed; it stands at the place that `at` tells for each round.
    fn rounds(count: u64, pause_max: u64, at: impl Fn(u64) -> Option<Position>) -> Vec<u64> {
        let org = OrgId::parse("acme").unwrap();
        let mut schedule = Schedule::new(pause_max);
        let probed = |round: &u64| {
            let due = !schedule.due(std::slice::from_ref(&org)).is_empty();
            if due {
                schedule.note(&org, at(*round));
            }
            due
        };
        (1..=count).filter(probed).collect()
    }

    #[test]
    fn where_something_happens_every_round_probes() {
        assert_eq!(rounds(6, 8, place), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn pauses_double_while_nothing_happens() {
        assert_eq!(rounds(40, 8, |_| place(5)), [1, 2, 4, 8, 16, 24, 32, 40]);
        assert_eq!(rounds(4, 0, |_| place(5)), [1, 2, 3, 4]);
    }

    #[test]
    fn what_happens_ends_a_pause_with_the_next_probe() {
        assert_eq!(rounds(20, 8, |round| place(u64::from(round > 8))), [1, 2, 4, 8, 16, 17, 19]);
    }

    #[test]
    fn who_is_not_answered_is_asked_again_and_who_left_is_forgotten() {
        let org = OrgId::parse("acme").unwrap();
        let mut schedule = Schedule::new(8);
        for _ in 0..3 {
            assert_eq!(schedule.due(std::slice::from_ref(&org)).len(), 1);
        }
        assert!(schedule.due(&[]).is_empty() && schedule.turns.is_empty());
        schedule.note(&org, None);
        assert!(schedule.turns.is_empty());
    }

    #[test]
    fn orgs_that_come_and_go_change_nothing_for_those_that_stay() {
        let orgs: Vec<OrgId> = ["stays", "goes", "comes"].iter().map(|name| OrgId::parse(name).unwrap()).collect();
        let mut schedule = Schedule::new(8);
        let mut probed = Vec::new();
        for round in 1..=16 {
            let there = if round < 6 { &orgs[..2] } else { &[orgs[0].clone(), orgs[2].clone()] };
            for org in schedule.due(there) {
                schedule.note(&org, place(5));
                probed.push((org.as_str().to_owned(), round));
            }
            assert_eq!(schedule.turns.len(), 2);
        }
        let rounds = |name: &str| probed.iter().filter(|(org, _)| org == name).map(|(_, round)| *round).collect::<Vec<u64>>();
        assert_eq!((rounds("stays"), rounds("goes"), rounds("comes")), (vec![1, 2, 4, 8, 16], vec![1, 2, 4], vec![6, 7, 9, 13]));
    }
}
