//! The coordinator's side of the connection to one agent; a thread each.

use std::net::{TcpStream, ToSocketAddrs};

use anyhow::{Context, bail};

use super::offset::Offset;
use super::round::Round;
use crate::report::{AgentUse, Report};
use crate::wire::message::{Secret, ToAgent, ToCoordinator};
use crate::wire::{HELLO_TIMEOUT, LINE_BYTES_MAX, PROTOCOL, TURN, Wire};

/// One agent and its share.
pub(super) struct Link<'a> {
    pub number: usize,
    pub address: &'a str,
    pub words: Vec<String>,
    pub token: Option<&'a str>,
    pub secret: Option<&'a str>,
    pub round: &'a Round,
}

impl Link<'_> {
    /// The agent's report; `None` when the run failed, for which the round has the reason.
    pub fn run(self) -> Option<(AgentUse, Report)> {
        let outcome = self.lead();
        let part = match outcome {
            Ok(part) => part,
            Err(error) => {
                self.round.fail(&format!("agent {}: {error:#}", self.address));
                None
            }
        };
        self.round.end();
        part
    }

    fn lead(&self) -> anyhow::Result<Option<(AgentUse, Report)>> {
        let mut wire = self.connect()?;
        let offset = Offset::measured(&mut wire).context("its clock cannot be asked")?;
        let token = self.token.map(|token| Secret(token.to_owned()));
        wire.send(&ToAgent::Job { words: self.words.clone(), token, clock_offset_us: offset.us })?;
        let (mut is_started, mut knows_count) = (false, false);
        loop {
            match wire.receive(TURN).context("it is gone")? {
                Some(ToCoordinator::Ready) => self.round.ready(self.number),
                Some(ToCoordinator::Status { status }) => self.round.tell(self.number, status),
                Some(ToCoordinator::Published { count }) => self.round.published(self.number, count),
                Some(ToCoordinator::Failed { why }) => bail!(why),
                Some(ToCoordinator::Report { report }) => {
                    let agent = AgentUse { address: self.address.to_owned(), clock_error_us: offset.error_us, ..AgentUse::default() };
                    return Ok(Some((agent, *report)));
                }
                Some(ToCoordinator::Welcome | ToCoordinator::Clock { .. } | ToCoordinator::Alive) | None => {}
            }
            if let Some(why) = self.round.failure() {
                // It stops by itself if this does not reach it.
                let _ = wire.send(&ToAgent::Stop { why });
                return Ok(None);
            }
            if let Some(at_us) = self.round.start_at_us().filter(|_| !is_started) {
                wire.send(&ToAgent::Start { at_us })?;
                is_started = true;
            }
            if let Some(count) = self.round.published_elsewhere(self.number).filter(|_| !knows_count) {
                wire.send(&ToAgent::Published { count })?;
                knows_count = true;
            }
            if wire.should_say() {
                wire.send(&ToAgent::Alive)?;
            }
        }
    }

    fn connect(&self) -> anyhow::Result<Wire> {
        let addresses = self.address.to_socket_addrs().with_context(|| "its address cannot be found; write host:port")?;
        let mut last = None;
        for address in addresses {
            match TcpStream::connect_timeout(&address, HELLO_TIMEOUT) {
                Ok(tcp) => {
                    let mut wire = Wire::new(tcp)?;
                    wire.line_bytes_max = LINE_BYTES_MAX;
                    wire.send(&ToAgent::Hello { protocol: PROTOCOL, secret: self.secret.map(|secret| Secret(secret.to_owned())) })?;
                    return match wire.expect(HELLO_TIMEOUT).context("it does not answer; is another coordinator using it?")? {
                        ToCoordinator::Welcome => Ok(wire),
                        ToCoordinator::Failed { why } => bail!(why),
                        _ => bail!("it does not answer a hello as agents do"),
                    };
                }
                Err(error) => last = Some(error),
            }
        }
        let error = last.context("its address cannot be found")?;
        Err(error).context("it cannot be reached; start it with: roomcast-loadtest agent --listen HOST:PORT")
    }
}
