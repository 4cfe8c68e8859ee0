//! The scenarios, as a table of contents.

mod below;
mod burst;
mod churn;
mod connect;
mod fan;
mod fanout;
mod flux;
mod idle;
mod mixed;
mod publish;
mod resume_storm;
mod rooms;
mod slow;
mod soak;

use clap::{Parser, Subcommand};

use crate::report::Report;

/// What can be run.
#[derive(Clone, Debug, Subcommand)]
pub enum Scenario {
    /// Sessions that stay quiet: memory of each, and what keeping them costs.
    Idle(idle::Idle),
    /// Handshake, token, subscription and reply: what each connection costs the server, beside the floor, and how long it takes.
    Connect(connect::Connect),
    /// Bursts of publications into one room; each follows when everybody has the former one.
    Burst(burst::Burst),
    /// Everybody is cut off, misses publications, and comes back at once: how long until all are whole.
    ResumeStorm(resume_storm::ResumeStorm),
    /// Many subscribers of one room: what each delivery costs, beside the floor, and how long it takes.
    Fanout(fanout::Fanout),
    /// Publications through one of the doors: how many, how fast, at what cost, beside the bare rate of Redis.
    Publish(publish::Publish),
    /// Many rooms of several orgs, patterns, uneven traffic.
    Rooms(rooms::Rooms),
    /// Clients come and go, subscribe and unsubscribe, resume, while traffic flows.
    Churn(churn::Churn),
    /// Some readers stop reading for a while: what the others feel of it, and how the slow ones catch up.
    Slow(slow::Slow),
    /// Mixed traffic for long: growth of memory, times over time.
    Soak(soak::Soak),
}

/// A command line of nothing but a scenario.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Words {
    #[command(subcommand)]
    scenario: Scenario,
}

impl Scenario {
    /// A scenario as it stands on the command line, without the program's name.
    ///
    /// # Errors
    /// What is wrong with the words, for people.
    pub fn of_words<S: AsRef<str>>(words: &[S]) -> Result<Self, clap::Error> {
        Ok(Words::try_parse_from(words.iter().map(AsRef::as_ref))?.scenario)
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be run: somebody is not let in, a process does not start, a connection for publishing is lost. What is wrong with
    /// deliveries is no error but stands in the report.
    pub fn run(&self) -> anyhow::Result<Report> {
        match self {
            Self::Idle(idle) => idle.run(),
            Self::Connect(connect) => connect.run(),
            Self::Burst(burst) => burst.run(),
            Self::ResumeStorm(storm) => storm.run(),
            Self::Fanout(fanout) => fanout.run(),
            Self::Publish(publish) => publish.run(),
            Self::Rooms(rooms) => rooms.run(),
            Self::Churn(churn) => churn.run(),
            Self::Slow(slow) => slow.run(),
            Self::Soak(soak) => soak.run(),
        }
    }
}
