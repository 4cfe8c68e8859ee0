//! Publications to many, at any pace, in turn with the floor: what `fanout`, `burst` and `rooms` have in common.

use std::time::{Duration, Instant};

use super::below::Below;
use crate::drive::Publishers;
use crate::figures::{Kind, higher, lower};
use crate::pace::Pace;
use crate::report::Report;
use crate::swarm::{Span, Swarm, Tally};
use crate::town::Town;
use crate::trial::{Common, Trial, files_max, quantiles_ms};
use crate::usage::Usage;

pub(super) const CPU: Kind = lower("cpu_us_per_delivery", "server CPU per delivery", "µs");
pub(super) const CPU_CONCATENATED: Kind = lower("cpu_us_per_delivery_concatenated", "server CPU per delivery, beside larger writes", "µs");
pub(super) const RATE: Kind = higher("deliveries_per_s", "deliveries", "1/s");
pub(super) const RATE_CONCATENATED: Kind = higher("deliveries_per_s_concatenated", "deliveries, beside larger writes", "1/s");
pub(super) const TIMES: [(Kind, f64); 3] = [
    (lower("p50_ms", "publish → socket, p50", "ms"), 0.5),
    (lower("p99_ms", "publish → socket, p99", "ms"), 0.99),
    (lower("max_ms", "publish → socket, longest", "ms"), 1.0),
];
const BYTES: Kind = lower("bytes_per_delivery", "bytes on the wire per delivery", "B");
const TOOL: Kind = lower("tool_cpu_us_per_delivery", "CPU of this tool per delivery", "µs");

pub(super) const FIGURES: [Kind; 9] = [CPU, CPU_CONCATENATED, RATE, RATE_CONCATENATED, TIMES[0].0, TIMES[1].0, TIMES[2].0, BYTES, TOOL];

/// What to publish, and to how many.
pub(super) struct Fan<'a> {
    pub common: &'a Common,
    pub publications: u64,
    /// A JSON value.
    pub filling: String,
    pub pace: Pace,
    pub floor: bool,
    pub deflate: bool,
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
    /// The floor's own ends of its sockets are the tool's too.
    pub fn sockets(&self, subscribers: usize) -> usize {
        subscribers * if self.floor { 2 } else { 1 }
    }

    pub fn run(&self, mut trial: Trial, town: &Town) -> anyhow::Result<Report> {
        let mut swarm = town.settle(&mut trial, self.deflate)?;
        let subscribers = town.residents.len();
        // The floor has its own end of as many sockets, and both ends are the tool's.
        let in_turn = self.floor && subscribers * 3 <= files_max();
        let mut below = None;
        let mut wire_bytes = 0.0;
        for _ in 0..self.common.runs {
            let run = self.measure(&mut trial, &mut swarm, town)?;
            wire_bytes = run.tally.bytes as f64 / run.tally.counts.received.max(1) as f64;
            trial.note(BYTES, wire_bytes);
            trial.note(TOOL, run.tool_ns as f64 / 1_000.0 / run.tally.counts.received.max(1) as f64);
            for (kind, value) in run.cost(CPU, RATE).chain(run.times()) {
                trial.note(kind, value);
            }
            if self.floor && self.size() > 1 {
                run.cost(CPU_CONCATENATED, RATE_CONCATENATED).for_each(|(kind, value)| trial.note(kind, value));
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
        trial.remark(format!("The floor was measured after the gateway: {subscribers} subscribers leave no files for both at a time."));
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
        let drive = trial.drive(swarm, self.pace, town.choice(), self.publications);
        let begun = Instant::now();
        drive.run(swarm, &mut Publishers { filling: &self.filling }, |swarm| trial.meter.sample(swarm))?;
        let elapsed = begun.elapsed();
        let cpu_ns = before.zip(trial.meter.cpu_ns()).map(|(before, now)| now - before);
        Ok(Run { elapsed, tally: trial.take(swarm), cpu_ns, tool_ns: tool.cpu_ns() - tool_ns })
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
