//! Everybody is cut off at once, misses publications, and comes back at once with the position that it had.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::drive::Publishers;
use crate::figures::{Kind, lower};
use crate::filling::filling;
use crate::option::positive;
use crate::pace::Pace;
use crate::phase::Phase;
use crate::progress::Progress;
use crate::report::Report;
use crate::swarm::{Span, Swarm};
use crate::town::Town;
use crate::trial::{Common, Trial, quantiles_ms};

const WHOLE: [(Kind, f64); 3] = [
    (lower("whole_p50_ms", "reconnect → whole, p50", "ms"), 0.5),
    (lower("whole_p99_ms", "reconnect → whole, p99", "ms"), 0.99),
    (lower("whole_max_ms", "reconnect → whole, last", "ms"), 1.0),
];
const STORM: Kind = lower("storm_ms", "first packet → everybody whole", "ms");
const CPU: Kind = lower("cpu_us_per_client", "server CPU per client", "µs");
const READS: Kind = lower("redis_reads", "reads of the log in Redis", "");
const PAGES: Kind = lower("pages_read", "pages read to catch sessions up, from memory or the log", "");
pub(super) const FIGURES: [Kind; 7] = [WHOLE[0].0, WHOLE[1].0, WHOLE[2].0, STORM, CPU, READS, PAGES];
/// What nodes count for it (docs/metrics.md).
const CATCH_UP_READS: &str = "roomcast_catch_up_reads_total";
/// Publications before the cut, so that everybody has a position in the log.
const BEFORE: u64 = 4;

/// What to run.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct ResumeStorm {
    #[arg(long, default_value_t = 1_000, value_parser = positive::<usize>)]
    pub clients: usize,
    /// Publications that everybody misses.
    #[arg(long, default_value_t = 100, value_parser = positive::<u64>)]
    pub missed: u64,
    /// Size of the filling of each publication, in bytes.
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
    /// Everybody comes back to the next node.
    #[arg(long)]
    pub elsewhere: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
}

impl ResumeStorm {
    /// # Errors
    /// When somebody is not let in, or the way to the server is lost.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        let mut trial = Trial::begin("resume-storm", self, &self.common, self.clients, progress)?;
        let org = trial.target.tokens.orgs(1)?.remove(0);
        let room = format!("kpi:{org}:sales");
        let town = Town::of_one_room(org, room, self.clients);
        let mut swarm = town.settle(&mut trial, false)?;
        for _ in 0..self.common.runs {
            self.publish(&mut trial, &mut swarm, &town)?;
            (0..swarm.count()).for_each(|number| swarm.cut(number));
            self.publish_unheard(&mut trial, &mut swarm, &town)?;
            trial.take(&mut swarm);
            self.storm(&mut trial, &mut swarm, &town)?;
            if !trial.total.counts.is_clean() {
                break;
            }
        }
        Ok(trial.end(&mut swarm))
    }

    fn publish(&self, trial: &mut Trial, swarm: &mut Swarm, town: &Town) -> anyhow::Result<()> {
        let drive = trial.drive(swarm, Pace::Window(1), town.choice(), BEFORE);
        drive.run(swarm, &mut Publishers { filling: &filling(self.bytes, false) }, |swarm| trial.meter.sample(swarm))?;
        Ok(())
    }

    /// Nobody is there: acknowledgements are all that is waited for.
    fn publish_unheard(&self, trial: &mut Trial, swarm: &mut Swarm, town: &Town) -> anyhow::Result<()> {
        let filling = filling(self.bytes, false);
        let mut drive = trial.drive(swarm, Pace::Unanswered(64), town.choice(), self.missed);
        while drive.turn(swarm, &mut Publishers { filling: &filling })? {
            trial.meter.sample(swarm)?;
        }
        Ok(())
    }

    fn storm(&self, trial: &mut Trial, swarm: &mut Swarm, town: &Town) -> anyhow::Result<()> {
        // Everything is prepared before the first packet, so that the storm is the server's and not the tool's.
        let introduction = |number: usize| {
            let since = swarm.position(number).map(|position| position.to_string());
            let resident = &town.residents[number];
            trial.invitation(number, &town.orgs[resident.org], &resident.patterns, Vec::new(), since).introduction
        };
        let introductions: Vec<String> = (0..swarm.count()).map(introduction).collect();
        let nodes = trial.target.nodes.len();
        let pages = trial.target.metric(CATCH_UP_READS);
        let (redis, cpu_ns, begun, deadline) = (trial.meter.redis(), trial.meter.cpu_ns(), Instant::now(), trial.deadline());
        for (number, introduction) in introductions.into_iter().enumerate() {
            let door = (swarm.door(number) + usize::from(self.elsewhere)) % nodes;
            swarm.bring_back(number, door, introduction)?;
        }
        let count = swarm.count();
        trial.meter.enter(Phase::Connecting { members: count });
        while swarm.judge.tally.time(Span::Whole).len() < count as u64 && Instant::now() < deadline {
            swarm.turn(Duration::from_millis(1))?;
            trial.meter.sample(swarm)?;
        }
        trial.note(STORM, begun.elapsed().as_secs_f64() * 1_000.0);
        if let Some((before, now)) = cpu_ns.zip(trial.meter.cpu_ns()) {
            trial.note(CPU, (now - before) as f64 / 1_000.0 / count.max(1) as f64);
        }
        if let Some((before, now)) = redis.zip(trial.meter.redis()) {
            let calls = now.since(&before).calls;
            trial.note(READS, ["xrange", "xrevrange"].iter().filter_map(|command| calls.get(*command)).sum::<u64>() as f64);
        }
        if let Some((before, now)) = pages.zip(trial.target.metric(CATCH_UP_READS)) {
            trial.note(PAGES, now - before);
        }
        trial.settle(swarm)?;
        let tally = trial.take(swarm);
        quantiles_ms(&tally, Span::Whole, WHOLE).into_iter().for_each(|(kind, value)| trial.note(kind, value));
        Ok(())
    }
}
