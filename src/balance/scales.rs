//! ● Whether this node has more sessions than the others, and how many it should ask to move in the next round.
//!
//! [`super::run`] owns the only one and hands it what the registry says. It asks for what is above the mean and never for more, so a node below the mean
//! asks nobody, and what all ask for together fits into what the others lack. Whatever it cannot be sure of makes it ask nobody: it is
//! alone, does not see itself, something it sees is old, somebody comes, goes or drains, the broker is away.

use std::collections::BTreeMap;

use super::Config;
use crate::broker::NodeInfo;

/// Nodes beyond which nothing is weighed.
const NODES_MAX: usize = 1_024;
/// Rounds after which an attempt is judged, and sessions that must have been asked in it. The attempt after a vain one is a single round.
const ROUNDS_JUDGED: u32 = 3;
const ASKED_JUDGED: u64 = 10;
/// An attempt is vain when not even one in so many of those who were asked made this node lighter.
const WORTH: f64 = 10.0;

/// What a node may do in the round that begins.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Weighed {
    /// Sessions to be asked to move.
    pub ask: u64,
    /// Sessions above the mean of all nodes, below it negative; `None` while that is not known.
    pub excess: Option<f64>,
    /// Somebody should be asked, but those who were came back, so nobody is for so long.
    pub pause_ms: Option<u64>,
}

impl Weighed {
    pub const UNKNOWN: Self = Self { ask: 0, excess: None, pause_ms: None };
}

/// One node's memory of the rounds before.
pub struct Scales {
    config: Config,
    node: String,
    /// The nodes as they were last seen.
    seen: BTreeMap<String, Seen>,
    settled_at_ms: u64,
    /// Once over the line it goes down to the mean, so that it does not linger at the line.
    is_moving: bool,
    attempt: Attempt,
    /// Vain attempts since the last one that was worth it, or since nodes came or went.
    vain: u32,
    paused_until_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    started_at_ms: u64,
    said_at_ms: u64,
}

/// What is judged together.
#[derive(Clone, Copy, Default)]
struct Attempt {
    /// The excess with which it began.
    excess: f64,
    asked: u64,
    rounds: u32,
}

impl Scales {
    pub fn new(config: Config, node: &str) -> Self {
        Self {
            config,
            node: node.to_owned(),
            seen: BTreeMap::new(),
            settled_at_ms: 0,
            is_moving: false,
            attempt: Attempt::default(),
            vain: 0,
            paused_until_ms: 0,
        }
    }

    /// Begins a round with `sessions` on this node, `nodes` as the registry has them (`None`: it cannot be read), and `asked` sessions that were
    /// asked in the round before.
    pub fn weigh(&mut self, sessions: u64, nodes: Option<&[NodeInfo]>, asked: u64, now_ms: u64) -> Weighed {
        let nodes = nodes.filter(|nodes| nodes.len() <= NODES_MAX);
        if !self.is_settled(nodes, now_ms) {
            (self.is_moving, self.attempt) = (false, Attempt::default());
            return Weighed::UNKNOWN;
        }
        let counts: Vec<u64> =
            nodes.into_iter().flatten().map(|node| if node.id == self.node { sessions } else { node.sessions }).collect();
        // What others wrote may be any number.
        let mean = counts.iter().map(|count| *count as f64).sum::<f64>() / counts.len() as f64;
        let excess = sessions as f64 - mean;
        self.judge(excess, asked, now_ms);
        self.is_moving = self.should_move(&counts, mean, excess, sessions);
        let mut weighed = Weighed { excess: Some(excess), ..Weighed::UNKNOWN };
        if self.is_moving && now_ms < self.paused_until_ms {
            weighed.pause_ms = Some(self.paused_until_ms - now_ms);
        } else if self.is_moving {
            weighed.ask = (excess as u64).min(self.ask_max(sessions));
            if self.attempt.asked == 0 {
                self.attempt.excess = excess;
            }
        }
        weighed
    }

    /// Takes note of the nodes; whether they have been the same for long enough, and all were heard of since the last time.
    fn is_settled(&mut self, nodes: Option<&[NodeInfo]>, now_ms: u64) -> bool {
        let seen: BTreeMap<String, Seen> = (nodes.into_iter().flatten())
            .map(|node| (node.id.clone(), Seen { started_at_ms: node.started_at_ms, said_at_ms: node.said_at_ms }))
            .collect();
        let same = seen.len() == self.seen.len()
            && seen.iter().zip(&self.seen).all(|((id, now), (known, then))| id == known && now.started_at_ms == then.started_at_ms);
        let fresh = same && seen.values().zip(self.seen.values()).all(|(now, then)| now.said_at_ms != then.said_at_ms);
        let staying = nodes.into_iter().flatten().all(|node| !node.draining);
        let known = seen.contains_key(&self.node);
        self.seen = seen;
        if !same {
            // Among other nodes it may go better.
            (self.vain, self.paused_until_ms) = (0, 0);
        }
        let steady = same && fresh && staying && known;
        if !steady {
            self.settled_at_ms = now_ms.saturating_add(self.config.settle_ms);
        }
        steady && now_ms >= self.settled_at_ms
    }

    /// Counts the round before, and pauses when an attempt has come to its end and to nothing: a load balancer that knows its clients sends
    /// them back, and one that takes turns among many nodes seldom meets the one that is empty.
    fn judge(&mut self, excess: f64, asked: u64, now_ms: u64) {
        if asked > 0 {
            self.attempt.asked += asked;
            self.attempt.rounds += 1;
        }
        let rounds = if self.vain > 0 { 1 } else { ROUNDS_JUDGED };
        if self.attempt.rounds < rounds || self.attempt.asked < ASKED_JUDGED {
            return;
        }
        if (self.attempt.excess - excess) * WORTH < self.attempt.asked as f64 {
            self.vain = self.vain.saturating_add(1);
            let pause_ms = self.config.round_ms.saturating_mul(2 << self.vain.min(30)).min(self.config.pause_ms_max);
            self.paused_until_ms = now_ms.saturating_add(pause_ms);
        } else {
            self.vain = 0;
        }
        self.attempt = Attempt::default();
    }

    /// It begins with what chance alone would hardly bring about, here or at the emptiest node, and ends when nodes are level or this one is no heavier
    /// than the mean.
    fn should_move(&self, counts: &[u64], mean: f64, excess: f64, sessions: u64) -> bool {
        let (Some(fullest), Some(emptiest)) = (counts.iter().max(), counts.iter().min()) else { return false };
        let tolerance = f64::from(self.config.tolerance_percent) / 100.0;
        let level = (fullest - emptiest) as f64 <= *fullest as f64 * tolerance;
        if level || excess < 1.0 || sessions < self.config.sessions_min as u64 {
            return false;
        }
        // Counts that came about by chance stray by the root of their mean, and the more nodes there are the farther one of them does.
        let by_chance = mean.sqrt() * (2.0 + (counts.len() as f64).log10());
        let line = by_chance.max(mean * tolerance / 2.0);
        self.is_moving || excess > line || mean - *emptiest as f64 > line
    }

    fn ask_max(&self, sessions: u64) -> u64 {
        let share = sessions.saturating_mul(u64::from(self.config.percent_per_s_max)).div_ceil(100).max(1);
        let per_s = share.min(u64::from(self.config.sessions_per_s_max));
        (per_s.saturating_mul(self.config.asking_ms()) / 1_000).max(1)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
