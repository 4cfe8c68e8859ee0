//! Traffic in a town at a rate while people come, go and change: what `churn` and `soak` have in common.

use std::time::{Duration, Instant};

use super::flux::{Flux, FluxArgs};
use crate::drive::{Drive, Publishers};
use crate::figures::{Kind, lower};
use crate::filling::filling;
use crate::pace::Pace;
use crate::swarm::{Span, Swarm};
use crate::town::{Town, TownArgs};
use crate::trial::{Trial, quantile_ms};

const CPU: Kind = lower("cpu_percent", "server CPU", "% of a processor");
const P50: Kind = lower("p50_ms", "publish → socket, p50", "ms");
const P99: Kind = lower("p99_ms", "publish → socket, p99", "ms");
const MAX: Kind = lower("max_ms", "publish → socket, longest", "ms");

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
        let orgs = trial.target.tokens.orgs(self.town.orgs.max(1))?;
        let town = Town::new(self.town, orgs);
        let mut swarm = town.settle(trial, false)?;
        let mut flux = Flux::begin(self.flux, &town, trial, &mut swarm)?;
        let (cpu_ns, begun) = (trial.meter.cpu_ns(), Instant::now());
        let end = begun + Duration::from_secs(self.seconds) + (trial.deadline() - begun);
        let mut drive = Drive::new(Pace::Rate(self.rate.max(1)), town.choice(), u64::from(self.rate) * self.seconds, end, &swarm);
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
        for (kind, quantile) in [(P50, 0.5), (P99, 0.99), (MAX, 1.0)] {
            trial.note(kind, quantile_ms(&tally, Span::Delivery, quantile));
        }
        Ok((swarm, Done { came: flux.came, changed: flux.changed }))
    }
}
