//! Publications to many, at any pace, in turn with the floor: what `fanout`, `burst` and `rooms` have in common.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde::Serialize;

use super::below::Below;
use crate::drive::Publishers;
use crate::figures::{Kind, higher, lower};
use crate::files;
use crate::pace::Pace;
use crate::phase::Phase;
use crate::progress::Progress;
use crate::report::Report;
use crate::report::number::count;
use crate::role::Role;
use crate::swarm::{Span, Swarm, Tally};
use crate::town::Town;
use crate::trial::{Common, Trial, quantiles_ms};
use crate::usage::Usage;

pub(super) const CPU: Kind = lower("cpu_us_per_delivery", "server CPU per delivery", "µs");
pub(super) const CPU_CONCATENATED: Kind = lower("cpu_us_per_delivery_concatenated", "server CPU per delivery, beside larger writes", "µs");
pub(super) const CPU_WINDOWS: Kind = lower("cpu_us_per_delivery_windows", "server CPU per delivery, beside whole windows", "µs");
pub(super) const RATE: Kind = higher("deliveries_per_s", "deliveries", "1/s");
pub(super) const RATE_CONCATENATED: Kind = higher("deliveries_per_s_concatenated", "deliveries, beside larger writes", "1/s");
pub(super) const RATE_WINDOWS: Kind = higher("deliveries_per_s_windows", "deliveries, beside whole windows", "1/s");
pub(super) const TIMES: [(Kind, f64); 3] = [
    (lower("p50_ms", "publish → socket, p50", "ms"), 0.5),
    (lower("p99_ms", "publish → socket, p99", "ms"), 0.99),
    (lower("max_ms", "publish → socket, longest", "ms"), 1.0),
];
const BYTES: Kind = lower("bytes_per_delivery", "bytes on the wire per delivery", "B");
const TOOL: Kind = lower("tool_cpu_us_per_delivery", "CPU of this tool per delivery", "µs");

pub(super) const FIGURES: [Kind; 9] = [CPU, CPU_CONCATENATED, RATE, RATE_CONCATENATED, TIMES[0].0, TIMES[1].0, TIMES[2].0, BYTES, TOOL];
/// Where publications follow each other in a window.
pub(super) const WINDOW_FIGURES: [Kind; 2] = [CPU_WINDOWS, RATE_WINDOWS];

/// What to publish, and to how many.
pub(super) struct Fan<'a> {
    pub common: &'a Common,
    pub publications: u64,
    /// A JSON value.
    pub filling: String,
    pub pace: Pace,
    pub floor: bool,
    pub deflate: bool,
    pub role: Role,
}

/// One measurement.
pub(super) struct Run {
    /// Until everybody had everything.
    pub elapsed: Duration,
    pub tally: Tally,
    /// Of the server.
    pub cpu_ns: Option<u64>,
    /// Of the tool itself: more than the server's, and it is the tool that is measured.
    pub tool_ns: u64,
}

impl Fan<'_> {
    /// Begins the scenario of this name, for so many subscribers.
    ///
    /// # Errors
    /// When the target does not start, there are too few files, or options do not go together.
    pub fn begin(&self, scenario: &str, options: &impl Serialize, subscribers: usize, progress: Progress) -> anyhow::Result<Trial> {
        let (role, is_whole) = (self.role.name(), self.role == Role::Both);
        ensure!(is_whole || self.common.target.gateway.is_none(), "--role {role} needs nodes that others reach too: give --nodes");
        ensure!(is_whole || (self.common.runs == 1 && !self.floor), "--role {role} is a part of one run: leave out --runs and --floor");
        // The floor's own ends of its sockets are the tool's too.
        Trial::begin(scenario, options, self.common, subscribers * if self.floor { 2 } else { 1 }, progress)
    }

    pub fn run(&self, mut trial: Trial, town: &Town) -> anyhow::Result<Report> {
        let mut swarm = match self.role {
            Role::Subscribe => town.settle_without_publishers(&mut trial, self.deflate)?,
            Role::Publish | Role::Both => town.settle(&mut trial, self.deflate)?,
        };
        let subscribers = town.residents.len();
        // The floor has its own end of as many sockets, and both ends are the tool's.
        let in_turn = self.floor && subscribers * 3 <= files::sockets_max();
        let mut below = None;
        let mut wire_bytes = 0.0;
        for _ in 0..self.common.runs {
            let run = self.measure(&mut trial, &mut swarm, town)?;
            if !self.role.subscribes() {
                break;
            }
            wire_bytes = run.tally.bytes as f64 / run.tally.counts.received.max(1) as f64;
            trial.note(BYTES, wire_bytes);
            trial.note(TOOL, run.tool_ns as f64 / 1_000.0 / run.tally.counts.received.max(1) as f64);
            for (kind, value) in run.cost(CPU, RATE).chain(run.times()) {
                trial.note(kind, value);
            }
            if self.floor && self.size() > 1 {
                run.cost(CPU_CONCATENATED, RATE_CONCATENATED).for_each(|(kind, value)| trial.note(kind, value));
                if matches!(self.pace, Pace::Window(_)) {
                    run.cost(CPU_WINDOWS, RATE_WINDOWS).for_each(|(kind, value)| trial.note(kind, value));
                }
            }
            if !trial.total.counts.is_clean() {
                break;
            }
            if in_turn {
                let below = match &mut below {
                    Some(below) => below,
                    None => below.insert(Below::start(self, &trial, town, wire_bytes)?),
                };
                below.measure(self, &mut trial, town, &mut swarm)?;
            }
        }
        if !self.floor || in_turn || !trial.total.counts.is_clean() {
            return Ok(trial.end(&mut swarm));
        }
        let subscribers = count(subscribers as u64);
        trial.remark(format!("The floor was measured after the gateway: {subscribers} subscribers leave no files for both at a time."));
        trial.meter.count_connections(&swarm);
        for number in 0..swarm.count() {
            swarm.cut(number);
        }
        let mut below = Below::start(self, &trial, town, wire_bytes)?;
        for _ in 0..self.common.runs {
            below.measure(self, &mut trial, town, &mut swarm)?;
        }
        Ok(trial.end(&mut swarm))
    }

    /// How many publications may be under way, so that a server could write them as one.
    pub fn size(&self) -> u64 {
        match self.pace {
            Pace::Burst(size) | Pace::Window(size) | Pace::Unanswered(size) => size,
            Pace::Rate(_) => 1,
        }
    }

    fn measure(&self, trial: &mut Trial, swarm: &mut Swarm, town: &Town) -> anyhow::Result<Run> {
        let tool = Usage::of_this_thread()?;
        let (before, tool_ns) = (trial.meter.cpu_ns(), tool.cpu_ns());
        let begun = Instant::now();
        if self.role.publishes() {
            self.publish(trial, swarm, town)?;
        } else {
            self.listen(trial, swarm)?;
        }
        let elapsed = begun.elapsed();
        let cpu_ns = before.zip(trial.meter.cpu_ns()).map(|(before, now)| now - before);
        Ok(Run { elapsed, tally: trial.take(swarm), cpu_ns, tool_ns: tool.cpu_ns() - tool_ns })
    }

    fn publish(&self, trial: &mut Trial, swarm: &mut Swarm, town: &Town) -> anyhow::Result<()> {
        let given = swarm.judge.register.given;
        let pace = if self.role.subscribes() { self.pace } else { self.pace.unheard() };
        let mut drive = trial.drive(swarm, pace, town.choice(), self.publications);
        while drive.turn(swarm, &mut Publishers { filling: &self.filling })? {
            trial.meter.sample(swarm)?;
        }
        let published = swarm.judge.register.given;
        trial.meter.progress.published(published);
        if published - given < self.publications {
            let (published, whole, seconds) = (count(published - given), count(self.publications), self.common.deadline_s);
            trial.remark(format!("{published} of {whole} publications could be made within {seconds} s (--deadline-s)."));
        }
        drive.settle(swarm, |swarm| trial.meter.sample(swarm))
    }

    /// Takes in what is published elsewhere, into the one room that there is.
    fn listen(&self, trial: &mut Trial, swarm: &mut Swarm) -> anyhow::Result<()> {
        const STRAND: u32 = 0;
        swarm.judge.register.expect(STRAND, self.publications);
        trial.meter.enter(Phase::Listening);
        // The publisher may take until its own deadline, and what it has published last takes its way from there.
        let patience = 2 * Duration::from_secs(self.common.deadline_s);
        let deadline = Instant::now() + self.pace.due(self.publications).unwrap_or_default() + patience;
        swarm.settle(deadline, |swarm| {
            if let Some(count) = trial.meter.progress.published_elsewhere() {
                swarm.judge.register.expect(STRAND, count);
            }
            trial.meter.sample(swarm)
        })?;
        // Told by the publishing process, once for each publication.
        swarm.judge.tally.forget(Span::ToLog);
        Ok(())
    }
}

impl Run {
    pub fn cost(&self, cpu: Kind, rate: Kind) -> impl Iterator<Item = (Kind, f64)> + use<> {
        let received = self.tally.counts.received;
        let cpu_us = self.cpu_ns.map(|cpu_ns| cpu_ns as f64 / 1_000.0 / received.max(1) as f64);
        let rate = (rate, received as f64 / self.elapsed.as_secs_f64());
        cpu_us.map(|cpu_us| (cpu, cpu_us)).into_iter().chain([rate])
    }

    pub fn times(&self) -> [(Kind, f64); 3] {
        quantiles_ms(&self.tally, Span::Delivery, TIMES)
    }
}
