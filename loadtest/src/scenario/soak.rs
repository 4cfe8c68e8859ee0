//! Mixed traffic at a fixed rate for long: whether memory grows, and whether times stay what they were.

use serde::Serialize;

use super::flux::FluxArgs;
use super::mixed::Mixed;
use crate::figures::{Kind, lower, median, slope};
use crate::option::positive;
use crate::progress::Progress;
use crate::report::Report;
use crate::town::TownArgs;
use crate::trial::{Common, Trial};

const SLOPE: Kind = lower("memory_kib_per_minute", "growth of the nodes' memory after the first quarter", "KiB/min");
const P99_LAST: Kind = lower("p99_last_third_ms", "publish → socket, p99 in the last third", "ms");
/// Besides those of mixed traffic.
pub(super) const FIGURES: [Kind; 2] = [SLOPE, P99_LAST];
const FIRST_THIRD: &str = "in the first third";

/// What to run.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Soak {
    /// How long, in seconds.
    #[arg(long, default_value_t = 600, value_parser = positive::<u64>)]
    seconds: u64,
    /// Publications per second.
    #[arg(long, default_value_t = 200, value_parser = positive::<u32>)]
    rate: u32,
    /// Size of the filling of each publication, in bytes.
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    #[command(flatten)]
    #[serde(flatten)]
    town: TownArgs,
    #[command(flatten)]
    #[serde(flatten)]
    flux: FluxArgs,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Soak {
    /// # Errors
    /// When somebody is not let in, or the way to the server is lost.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        let mixed = Mixed { town: &self.town, flux: &self.flux, seconds: self.seconds, rate: self.rate, bytes: self.bytes };
        let mut trial = Trial::begin("soak", self, &self.common, mixed.sockets(), progress)?;
        let (mut swarm, _) = mixed.run(&mut trial)?;
        // Caches fill and allocators take their share at first; what goes on after that does not end.
        let memory = trial.meter.memory_points();
        let later = &memory[memory.len() / 4..];
        if later.len() > 1 {
            trial.note(SLOPE, slope(later) * 60.0 / 1_024.0);
        }
        let p99: Vec<f64> = trial.meter.p99_points().iter().map(|(_, ms)| *ms).collect();
        let third = p99.len() / 3;
        if let Some((first, last)) = median(&p99[..third]).zip(median(&p99[p99.len() - third..])) {
            trial.note(P99_LAST, last);
            trial.figures.add_floor(P99_LAST, FIRST_THIRD, first);
        }
        Ok(trial.end(&mut swarm))
    }
}
