//! `--agents`: one scenario on several agents at once, as one run. It gives each agent its share, lets all begin to publish at one moment,
//! shows how far they are together, and makes one report of theirs. If one agent fails, the run fails and the others stop.

mod link;
mod offset;
mod round;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::order::Order;
use crate::progress::Progress;
use crate::report::{AgentUse, Report};
use link::Link;
use round::Round;

/// Agents of one run; a thread each.
const AGENTS_MAX: usize = 256;

/// How a scenario is shared.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Distributed")]
pub struct Coordinator {
    /// Addresses of agents, as host:port, to share the subscribers among; the first one publishes too.
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT")]
    pub agents: Vec<String>,
    /// How long the whole run may take, in seconds.
    #[arg(long, default_value_t = 3_600, requires = "agents")]
    pub agents_deadline_s: u64,
}

impl Coordinator {
    pub fn is_wanted(&self) -> bool {
        !self.agents.is_empty()
    }

    /// Runs `order` on all agents, and tells their reports as one.
    ///
    /// # Errors
    /// When an agent cannot be reached, refuses, fails, falls silent or takes too long; it is named.
    pub fn run(&self, order: &Order, progress: Progress) -> anyhow::Result<Report> {
        let secret = std::env::var("ROOMCAST_LOADTEST_SECRET").ok();
        self.run_with(order, secret.as_deref(), progress)
    }

    fn run_with(&self, order: &Order, secret: Option<&str>, mut progress: Progress) -> anyhow::Result<Report> {
        if self.agents.len() > AGENTS_MAX {
            bail!("{} agents are more than {AGENTS_MAX}", self.agents.len());
        }
        let shares = order.shares(self.agents.len())?;
        let round = Round::new(self.agents.len());
        let deadline = Instant::now() + Duration::from_secs(self.agents_deadline_s);
        let reports = thread::scope(|scope| {
            let threads = self.agents.iter().zip(shares).enumerate().map(|(number, (address, words))| {
                let link = Link { number, address, words, token: order.token.as_deref(), secret, round: &round };
                scope.spawn(move || link.run())
            });
            let threads: Vec<_> = threads.collect();
            while !round.wait_is_over() {
                if Instant::now() > deadline {
                    round.fail(&format!("the run took longer than {} s (--agents-deadline-s)", self.agents_deadline_s));
                }
                if progress.tell(|| round.status()).is_err() {
                    round.fail("the coordinator was stopped");
                }
            }
            threads.into_iter().map(|thread| thread.join().ok().flatten()).collect::<Vec<Option<(AgentUse, Report)>>>()
        });
        if let Some(why) = round.failure() {
            bail!(why);
        }
        let parts: Option<Vec<_>> = reports.into_iter().collect();
        let Some(parts) = parts else { bail!("an agent sent no report, and no reason") };
        let mut report = Report::merged(parts);
        report.options.insert(order.shared().to_owned(), order.members.to_string());
        report.options.insert("agents".to_owned(), self.agents.join(","));
        report.options.remove("role");
        Ok(report)
    }
}

#[cfg(test)]
mod tests;
