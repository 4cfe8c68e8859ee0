//! Some readers stop reading under load, and read on later: what the others feel of it, and whether the slow ones get everything.

use serde::Serialize;

use crate::drive::Publishers;
use crate::figures::{Kind, lower};
use crate::filling::filling;
use crate::option::positive;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::Report;
use crate::swarm::{Span, Swarm, Tally};
use crate::town::Town;
use crate::trial::{Common, Trial, quantiles_ms};

const OTHERS: [(Kind, f64); 2] = [
    (lower("others_p50_ms", "publish → socket of the others while some do not read, p50", "ms"), 0.5),
    (lower("others_p99_ms", "publish → socket of the others while some do not read, p99", "ms"), 0.99),
];
const BEFORE: &str = "while everybody reads";
const CATCH_UP: [(Kind, f64); 2] =
    [(lower("catch_up_p50_ms", "reading on → whole, p50", "ms"), 0.5), (lower("catch_up_max_ms", "reading on → whole, last", "ms"), 1.0)];
const OVERFLOWS: Kind = lower("overflows", "send queues that overflowed, so that their session is caught up from the log", "");
const QUEUES: Kind = lower("memory_bytes_per_slow_reader", "user memory per reader that does not read", "B");

pub(super) const FIGURES: [Kind; 6] = [OTHERS[0].0, OTHERS[1].0, CATCH_UP[0].0, CATCH_UP[1].0, OVERFLOWS, QUEUES];

/// Times that a send queue had no room (docs/metrics.md).
const DROPPED: &str = "roomcast_dropped_total";

/// What to run. Publications come at a rate for three stretches of time: all read, some do not, all read again.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Slow {
    #[arg(long, default_value_t = 50, value_parser = positive::<usize>)]
    pub subscribers: usize,
    /// How many of them stop reading.
    #[arg(long, default_value_t = 5)]
    pub slow: usize,
    /// Length of each stretch, in seconds; less than the server's patience with connections that it hears nothing from.
    #[arg(long, default_value_t = 5, value_parser = positive::<u64>)]
    pub seconds: u64,
    /// Publications per second.
    #[arg(long, default_value_t = 400, value_parser = positive::<u32>)]
    pub rate: u32,
    /// Size of the filling of each publication, in bytes; the kernel keeps megabytes for each reader before the server has to.
    #[arg(long, default_value_t = 4_000)]
    pub bytes: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
}

impl Slow {
    /// # Errors
    /// When somebody is not let in, or the way to the server is lost.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        let mut trial = Trial::begin("slow", self, &self.common, self.subscribers, progress)?;
        let org = trial.target.tokens.orgs(1)?.remove(0);
        let room = format!("kpi:{org}:load");
        let mut town = Town::of_one_room(org, room, self.subscribers);
        let slow = self.slow.min(self.subscribers);
        town.residents[..slow].iter_mut().for_each(|resident| resident.slow = true);
        let mut swarm = town.settle(&mut trial, false)?;
        for _ in 0..self.common.runs {
            let before = self.stretch(&mut trial, &mut swarm, &town)?;
            trial.settle(&mut swarm)?;
            let memory = trial.meter.memory_bytes();
            let overflows = trial.target.metric(DROPPED);
            (0..slow).for_each(|number| swarm.set_deaf(number, true));
            let meanwhile = self.stretch(&mut trial, &mut swarm, &town)?;
            if let Some((before, now)) = memory.zip(trial.meter.memory_bytes()) {
                trial.note(QUEUES, now.saturating_sub(before) as f64 / slow.max(1) as f64);
            }
            (0..slow).for_each(|number| swarm.set_deaf(number, false));
            let mut after = self.stretch(&mut trial, &mut swarm, &town)?;
            trial.settle(&mut swarm)?;
            after.add(&trial.take(&mut swarm));
            if let Some((before, now)) = overflows.zip(trial.target.metric(DROPPED)) {
                trial.note(OVERFLOWS, now - before);
            }
            for (kind, value) in quantiles_ms(&before, Span::Delivery, OTHERS) {
                trial.figures.add_floor(kind, BEFORE, value);
            }
            let times = quantiles_ms(&meanwhile, Span::Delivery, OTHERS).into_iter().chain(quantiles_ms(&after, Span::Whole, CATCH_UP));
            times.for_each(|(kind, value)| trial.note(kind, value));
            if !trial.total.counts.is_clean() {
                break;
            }
        }
        Ok(trial.end(&mut swarm))
    }

    /// Publishes for one stretch, and does not wait for anybody; what was received meanwhile.
    fn stretch(&self, trial: &mut Trial, swarm: &mut Swarm, town: &Town) -> anyhow::Result<Tally> {
        let count = u64::from(self.rate) * self.seconds;
        let mut drive = trial.drive(swarm, Pace::Rate(self.rate), town.choice(), count);
        let filling = filling(self.bytes, false);
        while drive.turn(swarm, &mut Publishers { filling: &filling })? {
            trial.meter.sample(swarm)?;
        }
        Ok(trial.take(swarm))
    }
}
