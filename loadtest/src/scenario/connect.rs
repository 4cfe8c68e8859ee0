//! Connections that are made: handshake, token, subscription, reply.

use std::time::Instant;

use serde::Serialize;

use crate::figures::{Kind, higher, lower};
use crate::floor::Welcome;
use crate::option::positive;
use crate::progress::Progress;
use crate::report::Report;
use crate::swarm::{Door, Invitation, Register, Span, Swarm, Tally};
use crate::trial::{Common, Trial, quantiles_ms};

const CPU: Kind = lower("cpu_us_per_connection", "server CPU per connection", "µs");
const RATE: Kind = higher("connections_per_s", "connections made", "1/s");
const TIMES: [(Kind, f64); 3] = [
    (lower("p50_ms", "connect → reply, p50", "ms"), 0.5),
    (lower("p99_ms", "connect → reply, p99", "ms"), 0.99),
    (lower("max_ms", "connect → reply, longest", "ms"), 1.0),
];
pub(super) const FIGURES: [Kind; 5] = [CPU, RATE, TIMES[0].0, TIMES[1].0, TIMES[2].0];
const FLOOR: &str = "bare accept, reads and writes";

/// What to run. A connection is made, a token of its own user is shown and one room is asked for in the first command.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Connect {
    /// Connections in each run.
    #[arg(long, default_value_t = 1_000, value_parser = positive::<usize>)]
    pub connections: usize,
    /// How many are being made at a time.
    #[arg(long, default_value_t = 1, value_parser = positive::<usize>)]
    pub at_once: usize,
    /// Measures the floor too.
    #[arg(long)]
    pub floor: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
}

impl Connect {
    /// # Errors
    /// When somebody is not let in.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        // The floor's own ends are the tool's too.
        let mut trial = Trial::begin("connect", self, &self.common, self.connections * if self.floor { 3 } else { 1 }, progress)?;
        let org = trial.target.tokens.orgs(1)?.remove(0);
        let patterns = [format!("kpi:{org}:sales")];
        let mut last = trial.swarm(Register::default(), false)?;
        trial.ready(&mut last)?;
        for _ in 0..self.common.runs {
            // Signed before the clock starts.
            let invitations = |door: &dyn Fn(usize) -> usize| -> Vec<Invitation> {
                let invitation = |number| Invitation { door: door(number), ..trial.invitation(number, &org, &patterns, Vec::new(), None) };
                (0..self.connections).map(invitation).collect()
            };
            let (of_gateway, of_floor) = (invitations(&|number| trial.target.door_of(number)), invitations(&|_| 0));
            let mut swarm = trial.swarm(Register::default(), false)?;
            let before = trial.meter.cpu_ns();
            let begun = Instant::now();
            trial.admit(&mut swarm, self.at_once, of_gateway)?;
            let elapsed_s = begun.elapsed().as_secs_f64();
            if let Some((before, now)) = before.zip(trial.meter.cpu_ns()) {
                trial.note(CPU, (now - before) as f64 / 1_000.0 / self.connections as f64);
            }
            let tally = trial.take(&mut swarm);
            for (kind, value) in self.times(&tally, elapsed_s) {
                trial.note(kind, value);
            }
            trial.meter.sample(&mut swarm)?;
            last = swarm;
            if self.floor {
                let floor = Welcome::start(trial.target.pin)?;
                let mut swarm = Swarm::new(vec![Door::new(floor.address(), false)], Register::default(), trial.clock)?;
                let before = floor.cpu_ns();
                let begun = Instant::now();
                swarm.admit(self.at_once, trial.deadline(), of_floor, |swarm| trial.meter.watch(swarm))?;
                let elapsed_s = begun.elapsed().as_secs_f64();
                trial.figures.add_floor(CPU, FLOOR, (floor.cpu_ns() - before) as f64 / 1_000.0 / self.connections as f64);
                for (kind, value) in self.times(&swarm.judge.tally, elapsed_s) {
                    trial.figures.add_floor(kind, FLOOR, value);
                }
                trial.floors.add(&swarm.judge.tally);
            }
        }
        Ok(trial.end(&mut last))
    }

    fn times(&self, tally: &Tally, elapsed_s: f64) -> impl Iterator<Item = (Kind, f64)> + use<> {
        [(RATE, self.connections as f64 / elapsed_s)].into_iter().chain(quantiles_ms(tally, Span::Join, TIMES))
    }
}
