//! Clients come and go, subscribe and unsubscribe, lose their connection and resume, while traffic flows.

use serde::Serialize;

use super::flux::FluxArgs;
use super::mixed::Mixed;
use crate::figures::{Kind, higher, lower};
use crate::option::positive;
use crate::progress::Progress;
use crate::report::Report;
use crate::swarm::Span;
use crate::town::TownArgs;
use crate::trial::{Common, Trial, quantile_ms};

const COMINGS: Kind = higher("comings_per_s", "guests that came", "1/s");
const CHANGES: Kind = higher("changes_per_s", "subscriptions made or taken back", "1/s");
const JOIN_P99: Kind = lower("join_p99_ms", "connect → reply, p99", "ms");
const WHOLE_P99: Kind = lower("whole_p99_ms", "reconnect → whole, p99", "ms");
/// Besides those of mixed traffic.
pub(super) const FIGURES: [Kind; 4] = [COMINGS, CHANGES, JOIN_P99, WHOLE_P99];

/// What to run. Residents are held to everything; guests to everything from the reply to their subscription until they take it back.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Churn {
    /// How long, in seconds.
    #[arg(long, default_value_t = 20, value_parser = positive::<u64>)]
    seconds: u64,
    /// Publications per second.
    #[arg(long, default_value_t = 500, value_parser = positive::<u32>)]
    rate: u32,
    /// Size of the filling of each publication, in bytes.
    #[arg(long, default_value_t = 64)]
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

impl Churn {
    /// # Errors
    /// When somebody is not let in, or the way to the server is lost.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        let mixed = Mixed { town: &self.town, flux: &self.flux, seconds: self.seconds, rate: self.rate, bytes: self.bytes };
        let mut trial = Trial::begin("churn", self, &self.common, mixed.sockets(), progress)?;
        let (mut swarm, done) = mixed.run(&mut trial)?;
        let seconds = self.seconds as f64;
        trial.note(COMINGS, done.came as f64 / seconds);
        trial.note(CHANGES, done.changed as f64 / seconds);
        for (kind, span) in [(JOIN_P99, Span::Join), (WHOLE_P99, Span::Whole)] {
            trial.note(kind, quantile_ms(&trial.total, span, 0.99));
        }
        Ok(trial.end(&mut swarm))
    }
}
