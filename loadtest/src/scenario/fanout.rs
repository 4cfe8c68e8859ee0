//! Many subscribers of one room.

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
pub struct Fanout {
    /// The room, in short form; by default one of the token's org.
    #[arg(long)]
    pub room: Option<String>,
    #[arg(long, default_value_t = 1_000, value_parser = positive::<usize>)]
    pub subscribers: usize,
    /// Publications in each run.
    #[arg(long, default_value_t = 2_000, value_parser = positive::<u64>)]
    pub publications: u64,
    /// Size of the filling of each publication, in bytes.
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
    /// Publications under way at a time: a further one follows when everybody has the oldest.
    #[arg(long, default_value_t = 1, value_parser = positive::<u64>)]
    pub outstanding: u64,
    /// Publications per second instead, whatever is under way; latency counts from the time at which each was due.
    #[arg(long, conflicts_with = "outstanding", value_parser = positive::<u32>)]
    pub rate: Option<u32>,
    /// Clients negotiate permessage-deflate, and publications are filled with JSON that compresses as JSON does.
    #[arg(long)]
    pub deflate: bool,
    /// Measures the floor too, with the same frames on as many sockets, at the same pace.
    #[arg(long)]
    pub floor: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
    #[command(flatten)]
    #[serde(flatten)]
    pub part: RoleArgs,
}

impl Fanout {
    /// # Errors
    /// When somebody is not let in, or the way to the server is lost.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        let fan = Fan {
            common: &self.common,
            publications: self.publications,
            filling: filling(self.bytes, self.deflate),
            pace: self.rate.map_or(Pace::Window(self.outstanding), Pace::Rate),
            floor: self.floor,
            deflate: self.deflate,
            role: self.part.role,
        };
        let trial = fan.begin("fanout", self, self.subscribers, progress)?;
        let org = trial.target.tokens.orgs(1)?.remove(0);
        let room = self.room.clone().unwrap_or_else(|| format!("kpi:{org}:load"));
        fan.run(trial, &Town::of_one_room(org, room, self.part.role.members(self.subscribers)))
    }
}
