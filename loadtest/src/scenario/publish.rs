//! Publishing through each of the doors, many publications on their way at a time, until all are acknowledged and delivered.

use std::time::Instant;

use anyhow::ensure;
use serde::Serialize;

use crate::choice::Choice;
use crate::drive::Publishers;
use crate::figures::{Kind, higher, lower};
use crate::filling::filling;
use crate::option::positive;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::Report;
use crate::swarm::{Span, Speech, Swarm, Tally};
use crate::target::Entrance;
use crate::town::Town;
use crate::trial::{Common, Trial, quantile_ms};

const RATE: Kind = higher("publications_per_s", "publications acknowledged", "1/s");
const RATE_BARE: Kind = higher("publications_per_s_bare", "publications acknowledged, beside the least that Redis can do", "1/s");
const DELIVERED: Kind = higher("delivered_per_s", "publications acknowledged and delivered to everybody", "1/s");
const ACK_P50: Kind = lower("ack_p50_ms", "publish → acknowledgement, p50", "ms");
const ACK_P99: Kind = lower("ack_p99_ms", "publish → acknowledgement, p99", "ms");
const CPU: Kind = lower("cpu_us_per_publication", "server CPU per publication", "µs");
const REDIS_CPU: Kind = lower("redis_cpu_us_per_publication", "Redis CPU per publication", "µs");
const REDIS_CPU_BARE: Kind = lower("redis_cpu_us_per_publication_bare", "Redis CPU per publication, beside the least", "µs");
pub(super) const FIGURES: [Kind; 8] = [RATE, RATE_BARE, DELIVERED, ACK_P50, ACK_P99, CPU, REDIS_CPU, REDIS_CPU_BARE];
const ALONE: &str = "same function, nobody listens";
const BARE: &str = "bare XADD and PUBLISH";
/// Orgs that no gateway has to do with, for reference runs.
const ALONE_ORG: &str = "nobody-listens";
const BARE_ORG: &str = "bare";
/// The least that a function can do to log a publication and to tell of it.
const BARE_LIBRARY: &str = "#!lua name=roomcast_loadtest
redis.register_function('roomcast_loadtest_bare', function(keys, args)
  local id = redis.call('XADD', keys[1], 'MAXLEN', '~', 100000, '*', 'h', args[1], 'd', args[3])
  redis.call('PUBLISH', keys[1], args[3])
  return id
end)";
const BARE_FUNCTION: &str = "roomcast_loadtest_bare";

/// What to run.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Publish {
    /// By which door publications go in.
    #[arg(long, value_enum, default_value_t)]
    pub through: Entrance,
    /// Publications in each run.
    #[arg(long, default_value_t = 10_000, value_parser = positive::<u64>)]
    pub publications: u64,
    /// Publications that wait for their acknowledgement at a time.
    #[arg(long, default_value_t = 64, value_parser = positive::<u64>)]
    pub outstanding: u64,
    /// Publications per second instead; times count from when each was due.
    #[arg(long, conflicts_with = "outstanding", value_parser = positive::<u32>)]
    pub rate: Option<u32>,
    /// Size of the filling of each publication, in bytes.
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
    /// Who receive them.
    #[arg(long, default_value_t = 1, value_parser = positive::<usize>)]
    pub subscribers: usize,
    /// In turn with it: the same function while nobody listens, and a bare one. For --through fcall on a Redis that the tool starts.
    #[arg(long, requires = "redis")]
    pub reference: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
}

/// One measurement.
struct Run {
    publications: u64,
    acked_s: f64,
    delivered_s: f64,
    cpu_ns: Option<u64>,
    redis_cpu_s: Option<f64>,
    tally: Tally,
}

impl Publish {
    /// # Errors
    /// When somebody is not let in, or the door does not exist.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        ensure!(
            !self.reference || self.through == Entrance::Fcall,
            "--reference is for --through fcall: the other doors have no bare counterpart"
        );
        let mut trial = Trial::begin("publish", self, &self.common, self.subscribers, progress)?;
        let org = trial.target.tokens.orgs(1)?.remove(0);
        let room = format!("kpi:{org}:load");
        let publisher = trial.target.publisher(&org, self.through)?;
        let town = Town::of_one_room(org, room, self.subscribers);
        let mut swarm = town.settle_without_publishers(&mut trial, false)?;
        swarm.add_publisher(publisher)?;
        let references = if self.reference { self.references(&trial, &mut swarm)? } else { Vec::new() };
        for _ in 0..self.common.runs {
            let run = self.measure(&mut trial, &mut swarm, 0)?;
            trial.total.add(&run.tally);
            for (kind, value) in run.rates(RATE, REDIS_CPU).chain(run.figures()) {
                trial.note(kind, value);
            }
            for (strand, title, rate, redis) in &references {
                run.rates(*rate, *redis).for_each(|(kind, value)| {
                    if *rate != RATE {
                        trial.note(kind, value);
                    }
                });
                let below = self.measure(&mut trial, &mut swarm, *strand)?;
                ensure!(below.tally.counts.refused == 0, "{title}: {:?}", below.tally.evidence);
                below.rates(*rate, *redis).for_each(|(kind, value)| trial.figures.add_floor(kind, title, value));
            }
            if !trial.total.counts.is_clean() {
                break;
            }
        }
        // What nobody was to receive was published beside the run.
        let beside: u64 = references.iter().filter_map(|(strand, ..)| Some(swarm.judge.register.strand(*strand)?.given)).sum();
        let mut report = trial.end(&mut swarm);
        report.ledger.published -= beside;
        Ok(report)
    }

    /// Further strands, each with a publisher of its own, and what they are the floors of.
    fn references(&self, trial: &Trial, swarm: &mut Swarm) -> anyhow::Result<Vec<(u32, &'static str, Kind, Kind)>> {
        if let Some(mut redis) = trial.target.redis_connection()? {
            redis.ask(&["FUNCTION", "LOAD", "REPLACE", BARE_LIBRARY])?;
        }
        let mut reference = |org: &str, function: &str| {
            let publisher = swarm.add_publisher(trial.target.redis_publisher(Speech::Fcall { function: function.to_owned() })?)?;
            anyhow::Ok(swarm.judge.register.open(&format!("kpi:{org}:load"), publisher))
        };
        Ok(vec![
            (reference(ALONE_ORG, "roomcast_publish")?, ALONE, RATE, REDIS_CPU),
            (reference(BARE_ORG, BARE_FUNCTION)?, BARE, RATE_BARE, REDIS_CPU_BARE),
        ])
    }

    fn measure(&self, trial: &mut Trial, swarm: &mut Swarm, strand: u32) -> anyhow::Result<Run> {
        let pace = self.rate.map_or(Pace::Unanswered(self.outstanding), Pace::Rate);
        let (cpu_ns, redis, begun) = (trial.meter.cpu_ns(), trial.meter.redis(), Instant::now());
        let drive = trial.drive(swarm, pace, Choice::One(strand), self.publications);
        let acked_s =
            drive.run(swarm, &mut Publishers { filling: &filling(self.bytes, false) }, |swarm| trial.meter.sample(swarm))?.as_secs_f64();
        let delivered_s = begun.elapsed().as_secs_f64();
        Ok(Run {
            publications: self.publications,
            acked_s,
            delivered_s,
            cpu_ns: cpu_ns.zip(trial.meter.cpu_ns()).map(|(before, now)| now - before),
            redis_cpu_s: redis.zip(trial.meter.redis()).map(|(before, now)| now.cpu_s - before.cpu_s),
            tally: std::mem::take(&mut swarm.judge.tally),
        })
    }
}

impl Run {
    fn rates(&self, rate: Kind, redis: Kind) -> impl Iterator<Item = (Kind, f64)> + use<> {
        let count = self.publications as f64;
        let redis_us = self.redis_cpu_s.map(|cpu_s| (redis, cpu_s * 1e6 / count));
        [(rate, count / self.acked_s)].into_iter().chain(redis_us)
    }

    fn figures(&self) -> impl Iterator<Item = (Kind, f64)> + use<> {
        let count = self.publications as f64;
        let quantile = |quantile| quantile_ms(&self.tally, Span::Ack, quantile);
        let cpu_us = self.cpu_ns.map(|cpu_ns| (CPU, cpu_ns as f64 / 1_000.0 / count));
        [(DELIVERED, count / self.delivered_s), (ACK_P50, quantile(0.5)), (ACK_P99, quantile(0.99))].into_iter().chain(cpu_us)
    }
}
