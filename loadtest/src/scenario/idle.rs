//! Sessions that are authenticated and subscribed and stay quiet.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::figures::{Kind, lower};
use crate::option::positive;
use crate::phase::Phase;
use crate::progress::Progress;
use crate::report::Report;
use crate::swarm::{Span, Swarm};
use crate::town::Town;
use crate::trial::{Common, Trial, quantile_ms};

const MEMORY: Kind = lower("memory_bytes_per_session", "user memory per session", "B");
const MEMORY_BEFORE: Kind = lower("memory_bytes_empty", "user memory of the nodes without sessions", "B");
const CPU: Kind = lower("cpu_percent_idle", "server CPU while everybody is quiet", "% of a processor");
const JOIN_P99: Kind = lower("join_p99_ms", "connect → reply, p99", "ms");
pub(super) const FIGURES: [Kind; 4] = [MEMORY, MEMORY_BEFORE, CPU, JOIN_P99];

/// What to run.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Idle {
    /// Sessions, each of a user of its own.
    #[arg(long, default_value_t = 1_000, value_parser = positive::<usize>)]
    pub sessions: usize,
    /// How long everybody is quiet, in seconds.
    #[arg(long, default_value_t = 10, value_parser = positive::<u64>)]
    pub seconds: u64,
    /// How long memory may settle after the last session has come, in seconds.
    #[arg(long, default_value_t = 2)]
    pub settle_s: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
}

impl Idle {
    /// # Errors
    /// When somebody is not let in.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        let mut trial = Trial::begin("idle", self, &self.common, self.sessions, progress)?;
        let org = trial.target.tokens.orgs(1)?.remove(0);
        let room = format!("kpi:{org}:sales");
        let before = trial.meter.memory_bytes();
        let mut swarm = Town::of_one_room(org, room, self.sessions).settle_without_publishers(&mut trial, false)?;
        trial.note(JOIN_P99, quantile_ms(&trial.total, Span::Join, 0.99));
        stay(&mut swarm, &mut trial, Duration::from_secs(self.settle_s))?;
        if let Some((before, now)) = before.zip(trial.meter.memory_bytes()) {
            trial.note(MEMORY, now.saturating_sub(before) as f64 / self.sessions as f64);
            trial.note(MEMORY_BEFORE, before as f64);
        }
        let (begun, cpu_ns) = (Instant::now(), trial.meter.cpu_ns());
        stay(&mut swarm, &mut trial, Duration::from_secs(self.seconds))?;
        if let Some((before, now)) = cpu_ns.zip(trial.meter.cpu_ns()) {
            trial.note(CPU, (now - before) as f64 / begun.elapsed().as_nanos() as f64 * 100.0);
        }
        Ok(trial.end(&mut swarm))
    }
}

/// Answers pings and nothing else.
fn stay(swarm: &mut Swarm, trial: &mut Trial, time: Duration) -> anyhow::Result<()> {
    let since = Instant::now();
    let end = since + time;
    trial.meter.enter(Phase::Quiet { since, lasts: time });
    while Instant::now() < end {
        swarm.turn(Duration::from_millis(50).min(time))?;
        trial.meter.sample(swarm)?;
    }
    Ok(())
}
