//! Many rooms of several orgs, some of them busy, some patterns among the subscriptions.

use serde::Serialize;

use super::fan::Fan;
use crate::filling::filling;
use crate::option::positive;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::Report;
use crate::role::Role;
use crate::town::{Town, TownArgs};
use crate::trial::Common;

/// What to run. What each subscriber is entitled to is known, and whatever else it gets is misrouted.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Rooms {
    /// Publications in each run, over all rooms.
    #[arg(long, default_value_t = 5_000, value_parser = positive::<u64>)]
    pub publications: u64,
    /// Size of the filling of each publication, in bytes.
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
    /// Publications per second; latency counts from the time at which each was due.
    #[arg(long, default_value_t = 1_000, value_parser = positive::<u32>)]
    pub rate: u32,
    /// Measures the floor too: the same frames to the same sockets, at the same pace.
    #[arg(long)]
    pub floor: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub town: TownArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
}

impl Rooms {
    /// # Errors
    /// When somebody is not let in, or the way to the server is lost.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        let fan = Fan {
            common: &self.common,
            publications: self.publications,
            filling: filling(self.bytes, false),
            pace: Pace::Rate(self.rate),
            floor: self.floor,
            deflate: false,
            role: Role::Both,
        };
        let trial = fan.begin("rooms", self, self.town.subscribers, progress)?;
        let orgs = trial.target.tokens.orgs(self.town.orgs)?;
        fan.run(trial, &Town::new(&self.town, orgs))
    }
}
