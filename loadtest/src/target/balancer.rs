//! A load balancer in front of gateways that the tool started: haproxy, configured as the Compose file's is (deploy/haproxy.cfg), but for
//! addresses and names. So what a run proves, it proves of that file.

mod config;
mod stats;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use super::gateway::Gateway;
use super::process::{Process, command};
use config::Places;
pub use stats::Stats;

/// The configuration that is shipped.
const SHIPPED: &str = include_str!("../../../deploy/haproxy.cfg");
/// Where Debian has it, which is not in everybody's path.
const DEBIANS: &str = "/usr/sbin/haproxy";
/// How long it may take to tell its counters.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A process of haproxy; killed when dropped.
pub struct Balancer {
    process: Process,
    pub address: SocketAddr,
    socket: PathBuf,
    _directory: TempDir,
}

impl Balancer {
    /// Starts it in front of `gateways`, for `connections` at most, and waits until it has found all of them ready. `file` has another
    /// configuration than the shipped one, of the same form.
    ///
    /// # Errors
    /// When haproxy is not installed or does not start, or the file has another form.
    pub fn start(gateways: &[Gateway], connections: usize, file: Option<&Path>) -> anyhow::Result<Self> {
        let text = match file {
            Some(file) => fs::read_to_string(file).with_context(|| format!("--balancer-config {} cannot be read", file.display()))?,
            None => SHIPPED.to_owned(),
        };
        let directory = TempDir::new().context("there is no temporary directory")?;
        let (address, health, socket) = (free()?, free()?, directory.path().join("stats"));
        let nodes: Vec<_> = gateways.iter().map(|gateway| (gateway.address, gateway.internal)).collect();
        let placed = config::placed(&text, &Places { address, health, socket: &socket, connections, nodes: &nodes })?;
        let written = directory.path().join("haproxy.cfg");
        fs::write(&written, placed).context("the temporary directory cannot be written to")?;
        let mut haproxy = command(if Path::new(DEBIANS).exists() { DEBIANS } else { "haproxy" }, None);
        haproxy.arg("-db").arg("-f").arg(&written);
        let process = Process::start("haproxy", haproxy)?;
        let balancer = Self { process, address, socket, _directory: directory };
        let all = gateways.len();
        balancer.process.becomes("in front of all nodes", || balancer.stats().filter(|stats| stats.up() == all))?;
        Ok(balancer)
    }

    /// What it has counted; `None` while it does not answer.
    pub fn stats(&self) -> Option<Stats> {
        let mut socket = UnixStream::connect(&self.socket).ok()?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT)).ok()?;
        socket.write_all(b"show stat\n").ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).ok()?;
        Some(Stats::of(&answer))
    }
}

/// An address of loopback that was free a moment ago.
fn free() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("loopback has no free port")?;
    Ok(listener.local_addr()?)
}
