//! The scenarios, as a table of contents.

mod below;
mod burst;
mod churn;
mod connect;
mod fairness;
mod fan;
mod fanout;
mod flood;
mod flux;
mod idle;
mod mixed;
mod publish;
mod resume_storm;
mod rolling;
mod rooms;
mod slow;
mod soak;

use clap::{Parser, Subcommand};

use crate::figures::Kind;
use crate::progress::Progress;
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
    /// One org at a steady rate, alone and beside another one that floods: by how much its times grow.
    Fairness(fairness::Fairness),
    /// Nodes behind a load balancer are replaced one after another: what clients feel of an update, and of failures.
    Rolling(rolling::Rolling),
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

    /// The names of the figures that it may tell; which of them a run has depends on its options and on what is put under load.
    pub fn figures(&self) -> Vec<&'static str> {
        let kinds: Vec<Kind> = match self {
            Self::Idle(_) => idle::FIGURES.into(),
            Self::Connect(_) => connect::FIGURES.into(),
            Self::Burst(_) | Self::Rooms(_) => fan::FIGURES.into(),
            Self::Fanout(_) => [&fan::FIGURES[..], &fan::WINDOW_FIGURES].concat(),
            Self::ResumeStorm(_) => resume_storm::FIGURES.into(),
            Self::Publish(_) => publish::FIGURES.into(),
            Self::Churn(_) => [&mixed::FIGURES[..], &churn::FIGURES].concat(),
            Self::Slow(_) => slow::FIGURES.into(),
            Self::Fairness(_) => fairness::FIGURES.into(),
            Self::Rolling(_) => rolling::FIGURES.into(),
            Self::Soak(_) => [&mixed::FIGURES[..], &soak::FIGURES].concat(),
        };
        kinds.into_iter().map(|kind| kind.name).collect()
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be run: somebody is not let in, a process does not start, a connection for publishing is lost. What is wrong with
    /// deliveries is no error but stands in the report.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        match self {
            Self::Idle(idle) => idle.run(progress),
            Self::Connect(connect) => connect.run(progress),
            Self::Burst(burst) => burst.run(progress),
            Self::ResumeStorm(storm) => storm.run(progress),
            Self::Fanout(fanout) => fanout.run(progress),
            Self::Publish(publish) => publish.run(progress),
            Self::Rooms(rooms) => rooms.run(progress),
            Self::Churn(churn) => churn.run(progress),
            Self::Slow(slow) => slow.run(progress),
            Self::Fairness(fairness) => fairness.run(progress),
            Self::Rolling(rolling) => rolling.run(progress),
            Self::Soak(soak) => soak.run(progress),
        }
    }
}
