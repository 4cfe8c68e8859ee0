//! Which part of a run this process plays.
//!
//! # For those who write scenarios
//!
//! In a distributed run the coordinator starts the same scenario on every agent, with its share of the members (`--subscribers`,
//! `--sessions`, `--connections`): the first agent as `--role both`, all others as `--role subscribe`. So exactly one process publishes, and
//! numbers are dense for everybody: each member's first number is 0 and each further one is one more, as if publisher and members were in
//! one process. What that takes is done in one place each:
//!
//! 1. `Trial::ready`, once all members are connected: no number may be published before the last member of the last agent is there, or that
//!    member would count the numbers before as lost. Scenarios in which nobody publishes need no more than this;
//! 2. `Trial::clock` is the time that all agents share, for marks and latencies alike: the publisher is on another machine;
//! 3. who publishes says how many there were, behind the last one (`Progress::published`);
//! 4. who does not goes on reading until everybody has what the publisher has published (`Progress::published_elsewhere`, or else
//!    `--publications`), or its own deadline has passed; what is missing then is lost. Its `Counts::published` stays 0, or the sum would be
//!    too high (`scenario::fan` does both);
//! 5. each turn asks `Meter::sample`, which tells how far the run is and ends it when the coordinator does;
//! 6. a figure whose name does not tell how the values of several agents become one names its [`Merge`](crate::report::Merge), and latencies
//!    are made by [`Latency::of`](crate::report::Latency::of), which keeps the distribution.
//!
//! A pace that waits until everybody has a publication waits for the publishing agent's own members only; a rate is what all agents see
//! alike. What travels is one count, so one room is what can be shared: scenarios of many rooms (rooms, soak), and those whose publishers
//! depend on what members do (publish, churn, resume-storm, slow), are not in [`SCENARIOS`](crate::order::SCENARIOS), and `--agents` says
//! so. So does one of the list that publishes and has no `--role`. Repeated runs (`--runs`) and floors are one process's own, and do not
//! travel.

use serde::Serialize;

/// For scenarios whose parts several processes may play.
#[derive(Clone, Copy, Debug, clap::Args, Serialize)]
#[command(next_help_heading = "Distributed")]
pub struct RoleArgs {
    /// Which part of the run is this process's. Another process subscribes or publishes then, with the same --publications; whoever
    /// publishes is started when all subscribers are there. With --agents it is seen to.
    #[arg(long, value_enum, default_value_t)]
    pub role: Role,
}

/// What a process of a run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Receives what another process publishes.
    Subscribe,
    /// Publishes and receives nothing.
    Publish,
    #[default]
    Both,
}

impl Role {
    pub fn publishes(self) -> bool {
        self != Self::Subscribe
    }

    pub fn subscribes(self) -> bool {
        self != Self::Publish
    }

    /// How many of a run's `subscribers` this process has.
    pub fn members(self, subscribers: usize) -> usize {
        if self.subscribes() { subscribers } else { 0 }
    }

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Both => "both",
        }
    }
}
