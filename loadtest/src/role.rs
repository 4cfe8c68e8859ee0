//! Which part of a run this process plays.
//!
//! # For those who write scenarios
//!
//! In a distributed run the coordinator starts the same scenario on every agent, with its share of the members (`--subscribers`, `--sessions`, `--connections`): the first agent as
//! `--role both`, all others as `--role subscribe`. So exactly one process publishes, and numbers are dense for everybody: each member's
//! first number is 0 and each further one is one more, as if publisher and members were in one process. For that a scenario has to
//!
//! 1. connect all its members, and then ask `progress.ready()?` between turns until it is `true`: no number may be published before the
//!    last member of the last agent is connected, or that member would count the numbers before as lost;
//! 2. take its time from `Unix µs + progress.clock_offset_us()`, marks and latencies alike, for the publisher is on another machine;
//! 3. publish only where [`Role::publishes`], and say `progress.published(count)` after the last publication;
//! 4. where it does not: go on reading until `progress.published_elsewhere()` is `Some(count)` *and* every member has all numbers below
//!    `count`, or until its own deadline has passed; then count what is missing below `count` as lost (if the publisher never said its
//!    count, what is missing below the `--publications` of the command line). `Counts::published` stays 0, or the sum would be too high;
//! 5. call `progress.tell(…)?` at least once a second in all of these phases, and return its error;
//! 6. name the [`Merge`](crate::report::Merge) of each figure whose name does not tell it, and make its latencies by
//!    [`Latency::of`](crate::report::Latency::of), which keeps the distribution.
//!
//! A pace that waits until everybody has a publication waits for the publishing agent's own members only; a rate is what all agents see
//! alike. What travels is one count, so one room is what can be shared: scenarios of many rooms (rooms, soak), and those whose publishers
//! depend on what members do (publish, churn, resume-storm, slow), are not in [`SCENARIOS`](crate::order::SCENARIOS), and `--agents` says
//! so. So does one of the list that publishes and has no `--role`. Repeated runs (`--runs`) and floors are one process's own, and do not
//! travel.

/// What a process of a run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
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

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Both => "both",
        }
    }
}
