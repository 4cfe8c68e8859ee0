//! One stretch of traffic: publications follow each other at a pace until all of them have arrived.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::choice::Choice;
use crate::clock::micros;
use crate::pace::Pace;
use crate::report::Counts;
use crate::swarm::Swarm;

/// The longest that the tool waits in one turn.
const TURN: Duration = Duration::from_millis(1);

/// Who carries publications: publishers of the swarm, or the floor.
pub trait Carrier {
    /// Publishes the next number of a strand, due at `due_us`.
    fn publish(&mut self, swarm: &mut Swarm, strand: u32, due_us: u64);

    /// All that is due in this turn has been published.
    fn send(&mut self) {}
}

/// The swarm's own publishers.
pub struct Publishers<'a> {
    /// A JSON value.
    pub filling: &'a str,
}

impl Carrier for Publishers<'_> {
    fn publish(&mut self, swarm: &mut Swarm, strand: u32, due_us: u64) {
        swarm.publish(strand, due_us, self.filling);
    }
}

/// Traffic that is under way.
pub struct Drive {
    pace: Pace,
    choice: Choice,
    count: u64,
    deadline: Instant,
    publish_until: Option<Instant>,
    begun: Instant,
    begun_us: u64,
    published: u64,
    /// What must be settled until each publication that is under way is complete.
    complete_at: VecDeque<u64>,
    complete: u64,
    settled_before: u64,
    owed_before: u64,
}

impl Drive {
    /// `count` publications at this pace, of strands of this choice, to be over `patience` after the time that the pace itself takes.
    pub fn new(pace: Pace, choice: Choice, count: u64, patience: Duration, swarm: &Swarm) -> Self {
        let begun = Instant::now();
        Self {
            pace,
            choice,
            count,
            deadline: begun + pace.due(count).unwrap_or_default() + patience,
            publish_until: None,
            begun,
            begun_us: swarm.clock.now_us(),
            published: 0,
            complete_at: VecDeque::new(),
            complete: 0,
            settled_before: settled(swarm),
            owed_before: swarm.judge.register.owed,
        }
    }

    /// Publishes for so long at the most, however many there were to be; those that are under way then are waited for.
    pub fn publishing_for(mut self, time: Duration) -> Self {
        self.publish_until = Some(self.begun + time);
        self
    }

    /// Publishes and waits until everybody has everything that is owed, or the deadline has passed; how long the pace took, before that
    /// last wait. `each_turn` is called meanwhile.
    ///
    /// # Errors
    /// When the way to the server is lost, and what `each_turn` reports.
    pub fn run(
        mut self,
        swarm: &mut Swarm,
        carrier: &mut impl Carrier,
        mut each_turn: impl FnMut(&mut Swarm) -> anyhow::Result<()>,
    ) -> anyhow::Result<Duration> {
        while self.turn(swarm, carrier)? {
            each_turn(swarm)?;
        }
        let elapsed = self.begun.elapsed();
        self.settle(swarm, each_turn)?;
        Ok(elapsed)
    }

    /// Waits until everybody has everything that is owed, or the deadline has passed.
    ///
    /// # Errors
    /// When the way to the server is lost, and what `each_turn` reports.
    pub fn settle(&self, swarm: &mut Swarm, each_turn: impl FnMut(&mut Swarm) -> anyhow::Result<()>) -> anyhow::Result<()> {
        swarm.settle(self.deadline, each_turn)
    }

    /// How long it has been going on.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Does what is due now, and waits for a moment; whether there is more to do.
    ///
    /// # Errors
    /// When the way to the server is lost.
    pub fn turn(&mut self, swarm: &mut Swarm, carrier: &mut impl Carrier) -> anyhow::Result<bool> {
        let settled = settled(swarm) - self.settled_before;
        while self.complete_at.pop_front_if(|at| *at <= settled).is_some() {
            self.complete += 1;
        }
        if self.publish_until.is_some_and(|until| Instant::now() >= until) {
            self.count = self.published;
        }
        let is_over = match self.pace {
            Pace::Unanswered(_) => swarm.unanswered() == 0,
            Pace::Burst(_) | Pace::Window(_) => self.complete == self.count,
            Pace::Rate(_) => true,
        };
        if (self.published == self.count && is_over) || Instant::now() >= self.deadline {
            return Ok(false);
        }
        let answered = self.published - (swarm.unanswered() as u64).min(self.published);
        let more = self.pace.more(self.published, self.complete, answered, self.begun.elapsed()).min(self.count - self.published);
        // What the server does not take is late, and told as such, but does not pile up here without end.
        if more > 0 && !swarm.is_clogged() {
            let now_us = swarm.clock.now_us();
            for number in self.published..self.published + more {
                let due_us = self.pace.due(number).map_or(now_us, |due| self.begun_us + micros(due));
                let strand = self.choice.next();
                carrier.publish(swarm, strand, due_us);
                self.complete_at.push_back(swarm.judge.register.owed - self.owed_before);
            }
            self.published += more;
        }
        carrier.send();
        // The poll waits for whole milliseconds; what is due sooner is waited for awake.
        let next = self.pace.due(self.published).filter(|_| self.published < self.count);
        let is_soon = next.is_some_and(|next| next.saturating_sub(self.begun.elapsed()) <= TURN);
        swarm.turn(if is_soon { Duration::ZERO } else { TURN })?;
        Ok(true)
    }
}

/// Deliveries that nobody need wait for: what came as it should, and what came so late or never that it is known to be wrong.
fn settled(swarm: &Swarm) -> u64 {
    let Counts { received, lost, behind, misrouted, .. } = swarm.judge.tally.counts;
    (received + lost).saturating_sub(behind + misrouted)
}
