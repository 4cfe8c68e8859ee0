//! What a run is doing, and by what it is known how far that is. Pure.

use std::time::{Duration, Instant};

use crate::progress::Status;
use crate::swarm::{Span, Swarm};

/// A part of a run.
#[derive(Clone, Copy, Debug)]
pub enum Phase {
    Connecting {
        /// That there will be when all are in.
        members: usize,
    },
    /// All members are in, perhaps not those of other agents.
    Ready,
    Measuring(Stretch),
    Floor(Stretch),
    /// Somebody else publishes.
    Listening,
    /// Nothing is done until the time is over.
    Quiet {
        since: Instant,
        lasts: Duration,
    },
}

/// Publications of one swarm.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Given out before it.
    given: u64,
    publications: u64,
}

impl Stretch {
    /// So many, from now on.
    pub fn of(publications: u64, swarm: &Swarm) -> Self {
        Self { given: swarm.judge.register.given, publications }
    }

    fn share(self, swarm: &Swarm) -> f64 {
        swarm.judge.register.given.saturating_sub(self.given) as f64 / self.publications.max(1) as f64
    }
}

impl Phase {
    /// How far `swarm` is.
    pub fn status(self, swarm: &Swarm) -> Status {
        let (phase, share) = match self {
            Self::Connecting { members } => ("connecting", swarm.live as f64 / members.max(1) as f64),
            Self::Ready => ("ready", 0.0),
            Self::Measuring(stretch) => ("measuring", stretch.share(swarm)),
            Self::Listening => ("measuring", swarm.received() as f64 / swarm.judge.register.owed.max(1) as f64),
            Self::Floor(stretch) => ("floor", stretch.share(swarm)),
            Self::Quiet { since, lasts } => ("quiet", since.elapsed().as_secs_f64() / lasts.as_secs_f64().max(1e-3)),
        };
        let times = swarm.judge.tally.time(Span::Delivery);
        Status {
            phase: phase.to_owned(),
            connections: swarm.live as u64,
            deliveries: swarm.received(),
            p99_us: if times.is_empty() { 0 } else { times.value_at_quantile(0.99) },
            share,
        }
    }
}
