//! Connections that are made: handshake, token, subscription, reply.

use std::time::Instant;

use serde::Serialize;

use crate::figures::{Kind, higher, lower};
use crate::floor::Welcome;
use crate::option::positive;
use crate::report::Report;
use crate::swarm::{Door, Invitation, Register, Span, Swarm, Tally};
use crate::trial::{Common, Trial, quantile_ms};

const CPU: Kind = lower("cpu_us_per_connection", "server CPU per connection", "µs");
const RATE: Kind = higher("connections_per_s", "connections made", "1/s");
const P50: Kind = lower("p50_ms", "connect → reply, p50", "ms");
const P99: Kind = lower("p99_ms", "connect → reply, p99", "ms");
const MAX: Kind = lower("max_ms", "connect → reply, longest", "ms");
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
    pub fn run(&self) -> anyhow::Result<Report> {
        // The floor's own ends are the tool's too.
        let mut trial = Trial::begin("connect", self, &self.common, self.connections * if self.floor { 3 } else { 1 })?;
        let org = trial.target.tokens.orgs(1)?.remove(0);
        let patterns = [format!("kpi:{org}:sales")];
        let mut last = trial.swarm(Register::default(), false)?;
        for _ in 0..self.common.runs.max(1) {
            // Signed before the clock starts.
            let invitations = |door: &dyn Fn(usize) -> usize| -> Vec<Invitation> {
                let invitation = |number| Invitation { door: door(number), ..trial.invitation(number, &org, &patterns, Vec::new(), None) };
                (0..self.connections).map(invitation).collect()
            };
            let (of_gateway, of_floor) = (invitations(&|number| trial.target.door_of(number)), invitations(&|_| 0));
            let mut swarm = trial.swarm(Register::default(), false)?;
            let before = trial.meter.cpu_ns();
            let elapsed_s = self.connect(&mut trial, &mut swarm, of_gateway)?;
            if let Some((before, now)) = before.zip(trial.meter.cpu_ns()) {
                trial.note(CPU, (now - before) as f64 / 1_000.0 / self.connections.max(1) as f64);
            }
            let tally = trial.take(&mut swarm);
            for (kind, value) in self.times(&tally, elapsed_s) {
                trial.note(kind, value);
            }
            trial.meter.sample(&mut swarm)?;
            last = swarm;
            if self.floor {
                let floor = Welcome::start(trial.target.pin)?;
                let mut swarm = Swarm::new(vec![Door::new(floor.address(), false)], Register::default())?;
                let before = floor.cpu_ns();
                let elapsed_s = self.connect(&mut trial, &mut swarm, of_floor)?;
                trial.figures.add_floor(CPU, FLOOR, (floor.cpu_ns() - before) as f64 / 1_000.0 / self.connections.max(1) as f64);
                for (kind, value) in self.times(&swarm.judge.tally, elapsed_s) {
                    trial.figures.add_floor(kind, FLOOR, value);
                }
                trial.floors.add(&swarm.judge.tally);
            }
        }
        Ok(trial.end(&mut last))
    }

    /// How long it takes until all are in, in seconds.
    fn connect(&self, trial: &mut Trial, swarm: &mut Swarm, invitations: Vec<Invitation>) -> anyhow::Result<f64> {
        let begun = Instant::now();
        trial.admit(swarm, self.at_once, invitations)?;
        Ok(begun.elapsed().as_secs_f64())
    }

    fn times(&self, tally: &Tally, elapsed_s: f64) -> [(Kind, f64); 4] {
        let quantile = |quantile| quantile_ms(tally, Span::Join, quantile);
        [(RATE, self.connections as f64 / elapsed_s), (P50, quantile(0.5)), (P99, quantile(0.99)), (MAX, quantile(1.0))]
    }
}
