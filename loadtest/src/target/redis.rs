//! A Redis server that the tool starts itself: without persistence, in a directory of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context;
use tempfile::TempDir;

use super::process::{Process, command};
use crate::resp::Connection;

/// A process of `redis-server`; killed when dropped.
pub struct Redis {
    _process: Process,
    pub address: SocketAddr,
    _directory: TempDir,
}

impl Redis {
    /// Starts it on a free port of loopback, on processor `cpu` if one is named, and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(cpu: Option<usize>) -> anyhow::Result<Self> {
        let directory = TempDir::new().context("there is no temporary directory")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("loopback has no free port")?;
        let address = listener.local_addr()?;
        drop(listener);
        let mut server = command("redis-server", cpu);
        server.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
        server.arg(directory.path());
        let process = Process::start("redis-server", server)?;
        process.becomes("answering", || Connection::open(address).ok()?.ask(&["PING"]).ok())?;
        Ok(Self { _process: process, address, _directory: directory })
    }
}
