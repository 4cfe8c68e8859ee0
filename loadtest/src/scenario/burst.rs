//! Bursts into one room, each when everybody has the former one.

use serde::Serialize;

use super::fan::Fan;
use crate::filling::filling;
use crate::option::positive;
use crate::pace::Pace;
use crate::progress::Progress;
use crate::report::Report;
use crate::role::RoleArgs;
use crate::town::Town;
use crate::trial::Common;

/// What to run.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Burst {
    #[arg(long, default_value_t = 1_000, value_parser = positive::<usize>)]
    pub subscribers: usize,
    /// Publications in a burst.
    #[arg(long, default_value_t = 16, value_parser = positive::<u64>)]
    pub size: u64,
    /// Bursts in each run.
    #[arg(long, default_value_t = 100, value_parser = positive::<u64>)]
    pub bursts: u64,
    /// Size of the filling of each publication, in bytes.
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
    /// Measures the floor too, with the same frames on as many sockets: one write each, and one for the whole burst.
    #[arg(long)]
    pub floor: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    #[command(flatten)]
    #[serde(flatten)]
    pub part: RoleArgs,
}

impl Burst {
    /// # Errors
    /// When somebody is not let in, or the way to the server is lost.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        let fan = Fan {
            common: &self.common,
            publications: self.size * self.bursts,
            filling: filling(self.bytes, false),
            pace: Pace::Burst(self.size),
            floor: self.floor,
            deflate: false,
            role: self.part.role,
        };
        let trial = fan.begin("burst", self, self.subscribers, progress)?;
        let org = trial.target.tokens.orgs(1)?.remove(0);
        let room = format!("kpi:{org}:load");
        fan.run(trial, &Town::of_one_room(org, room, self.part.role.members(self.subscribers)))
    }
}
