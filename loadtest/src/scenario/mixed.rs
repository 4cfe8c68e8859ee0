//! Traffic in a town at a rate while people come, go and change: what `churn` and `soak` have in common.

use std::time::Instant;

use super::fan::TIMES;
use super::flux::{Flux, FluxArgs};
use crate::drive::Publishers;
use crate::figures::{Kind, lower};
use crate::filling::filling;
use crate::pace::Pace;
use crate::swarm::{Span, Swarm};
use crate::town::{Town, TownArgs};
use crate::trial::{Trial, quantiles_ms};

const CPU: Kind = lower("cpu_percent", "server CPU", "% of a processor");
pub(super) const FIGURES: [Kind; 4] = [CPU, TIMES[0].0, TIMES[1].0, TIMES[2].0];

/// What goes on.
pub(super) struct Mixed<'a> {
    pub town: &'a TownArgs,
    pub flux: &'a FluxArgs,
    pub seconds: u64,
    pub rate: u32,
    pub bytes: usize,
}

/// What was done besides publishing.
pub(super) struct Done {
    pub came: u64,
    pub changed: u64,
}

impl Mixed<'_> {
    pub fn sockets(&self) -> usize {
        self.town.subscribers + self.flux.guests + self.town.orgs
    }

    /// Runs for so many seconds, and until everybody has everything.
    ///
    /// # Errors
    /// When somebody is not let in, or the way to the server is lost.
    pub fn run(&self, trial: &mut Trial) -> anyhow::Result<(Swarm, Done)> {
        let orgs = trial.target.tokens.orgs(self.town.orgs)?;
        let town = Town::new(self.town, orgs);
        let mut swarm = town.settle(trial, false)?;
        let mut flux = Flux::begin(self.flux, &town, trial, &mut swarm)?;
        let (cpu_ns, begun) = (trial.meter.cpu_ns(), Instant::now());
        let mut drive = trial.drive(&swarm, Pace::Rate(self.rate), town.choice(), u64::from(self.rate) * self.seconds);
        let filling = filling(self.bytes, false);
        while drive.turn(&mut swarm, &mut Publishers { filling: &filling })? {
            flux.turn(trial, &mut swarm, drive.elapsed())?;
            trial.meter.sample(&mut swarm)?;
        }
        if let Some((before, now)) = cpu_ns.zip(trial.meter.cpu_ns()) {
            trial.note(CPU, (now - before) as f64 / begun.elapsed().as_nanos() as f64 * 100.0);
        }
        trial.settle(&mut swarm)?;
        let tally = trial.take(&mut swarm);
        quantiles_ms(&tally, Span::Delivery, TIMES).into_iter().for_each(|(kind, value)| trial.note(kind, value));
        Ok((swarm, Done { came: flux.came, changed: flux.changed }))
    }
}
