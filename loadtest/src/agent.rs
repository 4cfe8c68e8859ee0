//! `agent`: waits for a coordinator, runs the share of a scenario that it is given, and sends its report back. One coordinator at a time,
//! one run after another.

mod lead;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use subtle::ConstantTimeEq;

pub(crate) use lead::Lead;

use crate::clock::unix_us;
use crate::order;
use crate::progress::Progress;
use crate::report::Report;
use crate::wire::message::{ToAgent, ToCoordinator};
use crate::wire::{HELLO_TIMEOUT, LINE_BYTES_MAX, PROTOCOL, TURN, Wire, WireError};

/// A start that is told later than this is no start of the same run: clocks are wrong.
const START_WITHIN_MAX: Duration = Duration::from_secs(10);

/// Waits for coordinators and runs their scenarios' shares.
#[derive(Clone, Debug, clap::Args)]
pub struct Agent {
    /// Where coordinators find this agent. Beyond loopback a secret is demanded, and the connection is not encrypted.
    #[arg(long, default_value = "127.0.0.1:7700")]
    pub listen: SocketAddr,
    /// What coordinators must know; they take it from the same variable.
    #[arg(long = "agent-secret", env = "ROOMCAST_LOADTEST_SECRET", hide_env_values = true)]
    pub secret: Option<String>,
}

impl Agent {
    /// Serves until the process is killed. `run` runs a scenario by its command line (without the program's name) and returns when
    /// [`Progress::tell`] says that it must.
    ///
    /// # Errors
    /// When the address cannot be listened on, or lies beyond loopback though there is no secret.
    pub fn run(&self, run: impl Fn(&[String], Progress) -> anyhow::Result<Report> + Sync) -> anyhow::Result<ExitCode> {
        let listener = self.bind()?;
        eprintln!("waiting for a coordinator on {}", listener.local_addr()?);
        loop {
            if let Err(error) = self.serve_one(&listener, &run) {
                eprintln!("{error:#}");
            }
        }
    }

    /// Listens.
    ///
    /// # Errors
    /// When the address cannot be listened on, or lies beyond loopback though there is no secret.
    pub fn bind(&self) -> anyhow::Result<TcpListener> {
        let has_secret = self.secret.as_ref().is_some_and(|secret| !secret.is_empty());
        if !self.listen.ip().is_loopback() && !has_secret {
            bail!(
                "{} can be reached by others: set ROOMCAST_LOADTEST_SECRET, here and for the coordinator, or listen on 127.0.0.1",
                self.listen
            );
        }
        TcpListener::bind(self.listen).with_context(|| format!("{} cannot be listened on", self.listen))
    }

    /// One coordinator, from its first word to its last. The next ones wait in the operating system's queue, and give up by themselves.
    ///
    /// # Errors
    /// When the coordinator is none or goes away, or the scenario fails.
    pub fn serve_one(
        &self,
        listener: &TcpListener,
        run: &(impl Fn(&[String], Progress) -> anyhow::Result<Report> + Sync),
    ) -> anyhow::Result<()> {
        let (tcp, peer) = listener.accept().context("a connection could not be accepted")?;
        self.serve(tcp, run).with_context(|| format!("coordinator {peer}"))
    }

    fn serve(&self, tcp: TcpStream, run: &(impl Fn(&[String], Progress) -> anyhow::Result<Report> + Sync)) -> anyhow::Result<()> {
        let mut wire = Wire::new(tcp)?;
        let fail = |wire: &mut Wire, why: String| -> anyhow::Result<()> {
            // Whether it arrives or not, the run is over.
            let _ = wire.send(&ToCoordinator::Failed { why: why.clone() });
            bail!(why)
        };
        match wire.expect(HELLO_TIMEOUT)? {
            ToAgent::Hello { protocol, .. } if protocol != PROTOCOL => {
                return fail(
                    &mut wire,
                    format!("it speaks protocol {protocol}, this agent {PROTOCOL}: use the same version of roomcast-loadtest"),
                );
            }
            ToAgent::Hello { secret, .. } if !self.knows(secret.as_ref().map_or("", |secret| &secret.0)) => {
                return fail(&mut wire, "the secret is another; set ROOMCAST_LOADTEST_SECRET to the agents' own".to_owned());
            }
            ToAgent::Hello { .. } => wire.send(&ToCoordinator::Welcome)?,
            _ => return fail(&mut wire, "a coordinator says hello first".to_owned()),
        }
        wire.line_bytes_max = LINE_BYTES_MAX;
        let (mut words, token, clock_offset_us) = loop {
            match wire.expect(HELLO_TIMEOUT)? {
                ToAgent::Clock => wire.send(&ToCoordinator::Clock { unix_us: unix_us() })?,
                ToAgent::Job { words, token, clock_offset_us } => break (words, token, clock_offset_us),
                ToAgent::Stop { why } => bail!(why),
                _ => {}
            }
        };
        if let Err(error) = order::check(&words) {
            return fail(&mut wire, error.to_string());
        }
        // Inside this process only: a token on the command line of a process could be read by others.
        words.extend(token.map(|token| format!("--token={}", token.0)));
        let lead = Arc::new(Lead::new(clock_offset_us));
        let outcome = thread::scope(|scope| {
            let scenario = scope.spawn(|| run(&words, Progress::led(Arc::clone(&lead))));
            let talk = talk(&mut wire, &lead, &|| scenario.is_finished());
            if let Err(error) = &talk {
                lead.stop(&format!("the coordinator is gone: {error}"));
            }
            let outcome = scenario.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the scenario panicked; its agent's log says where")));
            talk.map(|()| outcome)
        })?;
        match outcome {
            Ok(report) => Ok(wire.send(&ToCoordinator::Report { report: Box::new(report) })?),
            Err(error) => fail(&mut wire, format!("{error:#}")),
        }
    }

    /// In a time that does not depend on where they differ.
    fn knows(&self, secret: &str) -> bool {
        self.secret.as_ref().is_none_or(|own| own.as_bytes().ct_eq(secret.as_bytes()).into())
    }
}

/// Carries messages both ways until the scenario is finished.
fn talk(wire: &mut Wire, lead: &Lead, is_finished: &dyn Fn() -> bool) -> Result<(), WireError> {
    let mut was_ready = false;
    while !is_finished() {
        match wire.receive(TURN)? {
            Some(ToAgent::Start { at_us }) => {
                let local_us = at_us.saturating_add_signed(lead.clock_offset_us().saturating_neg());
                lead.start(Duration::from_micros(local_us.saturating_sub(unix_us())).min(START_WITHIN_MAX));
            }
            Some(ToAgent::Published { count }) => lead.others_published(count),
            Some(ToAgent::Stop { why }) => lead.stop(&why),
            _ => {}
        }
        let news = lead.news();
        if news.ready && !was_ready {
            wire.send(&ToCoordinator::Ready)?;
            was_ready = true;
        }
        if let Some(status) = news.status {
            wire.send(&ToCoordinator::Status { status })?;
        }
        if let Some(count) = news.published {
            wire.send(&ToCoordinator::Published { count })?;
        }
        if wire.should_say() {
            wire.send(&ToCoordinator::Alive)?;
        }
    }
    if let Some(count) = lead.news().published {
        wire.send(&ToCoordinator::Published { count })?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
