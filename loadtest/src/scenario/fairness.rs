//! One org at a steady rate, alone and then beside another one that floods: what the first feels of it.

use serde::Serialize;

use super::flood::{Flood, FloodArgs};
use crate::drive::Publishers;
use crate::figures::{Kind, higher, lower};
use crate::filling::filling;
use crate::option::{Setting, positive};
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::Report;
use crate::swarm::{Invitation, Span, Swarm, Tally};
use crate::town::Town;
use crate::trial::{Common, Trial, quantiles_ms};

const TIMES: [(Kind, f64); 3] = [
    (lower("p50_ms", "publish → socket beside a flood, p50", "ms"), 0.5),
    (lower("p99_ms", "publish → socket beside a flood, p99", "ms"), 0.99),
    (lower("p99.9_ms", "publish → socket beside a flood, p99.9", "ms"), 0.999),
];
const JOINS: [(Kind, f64); 2] = [
    (lower("join_p50_ms", "connect → reply beside a flood, p50", "ms"), 0.5),
    (lower("join_p99_ms", "connect → reply beside a flood, p99", "ms"), 0.99),
];
const FLOODED: Kind = higher("flood_published_per_s", "publications of the flood that were let through", "1/s");
const REFUSED: Kind = higher("flood_refused_per_s", "publications of the flood that were refused", "1/s");
const COMINGS: Kind = higher("flood_comings_per_s", "sessions that the flood opened, each to resume", "1/s");
pub(super) const FIGURES: [Kind; 8] = [TIMES[0].0, TIMES[1].0, TIMES[2].0, JOINS[0].0, JOINS[1].0, FLOODED, REFUSED, COMINGS];
const ALONE: &str = "alone";
/// Connections that the steady org makes per second, one after another.
const JOINS_PER_S: f64 = 20.0;

/// What to run. What the steady org feels alone stands beside each figure as its floor, so `--fail-if 'p99_ms.ratio > 1.5'` is the bound.
/// The flood's own clients have the least priority (nice 19): they would be on other machines.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Fairness {
    /// Subscribers of the steady org.
    #[arg(long, default_value_t = 100, value_parser = positive::<usize>)]
    pub subscribers: usize,
    /// Publications per second of the steady org.
    #[arg(long, default_value_t = 200, value_parser = positive::<u32>)]
    pub rate: u32,
    /// Length of each of the two stretches, in seconds.
    #[arg(long, default_value_t = 10, value_parser = positive::<u64>)]
    pub seconds: u64,
    /// Size of the filling of each publication, in bytes.
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
    /// Publications per second that the gateways allow the flooding org (`quotas.orgs`); 0: as many as it likes. Running nodes are
    /// configured by whoever runs them.
    #[arg(long, default_value_t = 500)]
    pub quota: u32,
    #[command(flatten)]
    #[serde(flatten)]
    pub flood: FloodArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
}

impl Fairness {
    /// # Errors
    /// When somebody is not let in, or the way to the server is lost.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        let mut common = self.common.clone();
        if self.quota > 0 && common.target.gateway.is_some() {
            let quota = format!("{{ org1 = {{ publications_per_s = {} }} }}", self.quota);
            common.target.settings.push(Setting("QUOTAS__ORGS".to_owned(), quota));
        }
        let mut trial = Trial::begin("fairness", self, &common, self.subscribers + self.flood.sockets() + 8, progress)?;
        let mut orgs = trial.target.tokens.orgs(2)?;
        let (flooding, steady) = (orgs.remove(1), orgs.remove(0));
        let town = Town::of_one_room(steady.clone(), format!("kpi:{steady}:load"), self.subscribers);
        let mut swarm = town.settle(&mut trial, false)?;
        let guest = swarm.invite(self.guest(&trial, &steady))?;
        for _ in 0..self.common.runs {
            let alone = self.stretch(&mut trial, &mut swarm, &town, guest)?;
            let flood = Flood::start(&self.flood, &trial, &flooding)?;
            let beside = self.stretch(&mut trial, &mut swarm, &town, guest)?;
            let done = flood.stop()?;
            for (kind, value) in quantiles_ms(&alone, Span::Delivery, TIMES).into_iter().chain(quantiles_ms(&alone, Span::Join, JOINS)) {
                trial.figures.add_floor(kind, ALONE, value);
            }
            for (kind, value) in quantiles_ms(&beside, Span::Delivery, TIMES).into_iter().chain(quantiles_ms(&beside, Span::Join, JOINS)) {
                trial.note(kind, value);
            }
            for (kind, count) in [(FLOODED, done.published), (REFUSED, done.refused), (COMINGS, done.came)] {
                trial.note(kind, count as f64 / done.seconds);
            }
            trial.settle(&mut swarm)?;
            if !trial.total.counts.is_clean() {
                break;
            }
        }
        swarm.dismiss(guest);
        Ok(trial.end(&mut swarm))
    }

    /// Publishes for one stretch while a guest comes over and over; what was received meanwhile.
    fn stretch(&self, trial: &mut Trial, swarm: &mut Swarm, town: &Town, guest: usize) -> anyhow::Result<Tally> {
        let mut drive = trial.drive(swarm, Pace::Rate(self.rate), town.choice(), u64::from(self.rate) * self.seconds);
        let (filling, mut comings) = (filling(self.bytes, false), 0.0);
        while drive.turn(swarm, &mut Publishers { filling: &filling })? {
            if drive.elapsed().as_secs_f64() * JOINS_PER_S > comings && swarm.is_live(guest) {
                comings += 1.0;
                swarm.dismiss(guest);
                swarm.replace(guest, self.guest(trial, &town.orgs[0]))?;
            }
            trial.meter.sample(swarm)?;
        }
        // The last publications are on their way.
        trial.settle(swarm)?;
        Ok(trial.take(swarm))
    }

    fn guest(&self, trial: &Trial, org: &str) -> Invitation {
        trial.invitation(self.subscribers, org, &[format!("alerts:{org}:nothing")], Vec::new(), None)
    }
}
