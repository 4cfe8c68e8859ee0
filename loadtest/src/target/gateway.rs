//! A gateway that the tool starts itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::process::{Process, command};
use crate::usage::Usage;

/// How long one probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Limits that would get into the way of load.
const ROOM_FOR_LOAD: [(&str, &str); 9] = [
    ("LIMITS__CONNECTIONS_PER_NODE_MAX", "1000000"),
    ("LIMITS__CONNECTIONS_PER_ORG_MAX", "0"),
    ("LIMITS__MEMBERS_PER_ROOM_MAX", "1000000"),
    ("LIMITS__COMMANDS_PER_S", "10000000"),
    ("LIMITS__COMMANDS_BURST", "10000000"),
    ("SERVER__CONNECTIONS_MAX", "1000000"),
    ("SERVER__CONNECTIONS_PER_ADDRESS_MAX", "0"),
    ("API__REQUESTS_PER_S", "0"),
    ("TELEMETRY__LOG__FORMAT", "json"),
];

/// A process of the gateway, on free ports of loopback; killed when dropped.
pub struct Gateway {
    process: Process,
    pub address: SocketAddr,
    pub internal: SocketAddr,
    cpu: Option<usize>,
    settings: Vec<(String, String)>,
}

impl Gateway {
    /// Starts `binary`, on processor `cpu` if one is named, with limits out of the way and `settings` (names without `ROOMCAST_`), and
    /// waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, or does not say where it is.
    pub fn start(binary: &Path, cpu: Option<usize>, settings: &[(String, String)]) -> anyhow::Result<Self> {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at((nowhere, nowhere), binary, cpu, settings)
    }

    /// The same where another one was, once that has ended, with its settings.
    ///
    /// # Errors
    /// When it does not start.
    pub fn replace(&mut self, binary: &Path) -> anyhow::Result<()> {
        *self = Self::start_at((self.address, self.internal), binary, self.cpu, &self.settings)?;
        Ok(())
    }

    fn start_at(
        (address, internal): (SocketAddr, SocketAddr),
        binary: &Path,
        cpu: Option<usize>,
        settings: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let mut gateway = command(binary, cpu);
        gateway.args(["serve", "--listen", &address.to_string()]);
        // What this process inherits is meant for others.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ROOMCAST_")) {
            gateway.env_remove(name);
        }
        gateway.envs(ROOM_FOR_LOAD.map(|(name, value)| (format!("ROOMCAST_{name}"), value)));
        gateway.env("ROOMCAST_INTERNAL__LISTEN", internal.to_string());
        gateway.envs(settings.iter().map(|(name, value)| (format!("ROOMCAST_{name}"), value)));
        let mut process = Process::start(&binary.display().to_string(), gateway)?;
        let (address, internal) = process.says(serving)?;
        process.becomes("ready", || probe(internal, "/readyz").filter(|answer| answer.contains("\"ready\"")))?;
        Ok(Self { process, address, internal, cpu, settings: settings.to_vec() })
    }

    /// Asks it to drain and to go (SIGTERM).
    ///
    /// # Errors
    /// When it has gone already.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::TERM)
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When it has gone already.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.process.signal(Signal::KILL)
    }

    /// Whether it has gone.
    ///
    /// # Errors
    /// When it went by itself and not well.
    pub fn has_gone(&mut self) -> anyhow::Result<bool> {
        self.process.has_ended()
    }

    pub fn usage(&self) -> Usage {
        self.process.usage()
    }

    /// What it counts, as Prometheus text.
    pub fn metrics(&self) -> Option<String> {
        probe(self.internal, "/metrics")
    }
}

/// The addresses in the log's line that tells them.
fn serving(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line["fields"][name].as_str().or(line[name].as_str());
    (field("message")? == "serving").then_some(())?;
    Some((field("address")?.parse().ok()?, field("internal")?.parse().ok()?))
}

/// What a path of the internal port answers, head and body.
fn probe(internal: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&internal, PROBE_TIMEOUT).ok()?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_the_addresses_is_found() {
        let line = r#"{"fields":{"message":"serving","address":"127.0.0.1:1","internal":"127.0.0.1:2"}}"#;
        assert_eq!(serving(line).map(|(address, internal)| (address.port(), internal.port())), Some((1, 2)));
        assert_eq!(serving(r#"{"fields":{"message":"draining"}}"#), None);
        assert_eq!(serving("no JSON"), None);
    }
}
