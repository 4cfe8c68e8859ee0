//! Gateways that the tool starts itself, on a processor of their own, and what processes and threads cost, from proc(5).

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// Lines in which a starting gateway has to say where it is.
const LINES_MAX: usize = 50;

/// A gateway on the embedded broker, in development mode; killed when dropped.
pub struct Host {
    process: Child,
    pub address: SocketAddr,
    /// Allows everything in the org `demo`.
    pub token: String,
}

impl Host {
    /// Starts `binary`, on processor `cpu` if one is named, with limits out of the way and `settings` (names without `ROOMCAST_`).
    ///
    /// # Errors
    /// When it does not start, or does not say where it is.
    pub fn start(binary: &Path, cpu: Option<usize>, settings: &[(String, String)]) -> anyhow::Result<Self> {
        const ROOM_FOR_LOAD: [(&str, &str); 7] = [
            ("LIMITS__CONNECTIONS_PER_NODE_MAX", "1000000"),
            ("LIMITS__CONNECTIONS_PER_ORG_MAX", "0"),
            ("LIMITS__MEMBERS_PER_ROOM_MAX", "1000000"),
            ("LIMITS__COMMANDS_PER_S", "10000000"),
            ("LIMITS__COMMANDS_BURST", "10000000"),
            ("SERVER__CONNECTIONS_PER_ADDRESS_MAX", "0"),
            ("INTERNAL__LISTEN", "127.0.0.1:0"),
        ];
        let mut command = match cpu {
            Some(cpu) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &cpu.to_string()]).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command.args(["serve", "--dev", "--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.envs(ROOM_FOR_LOAD.map(|(name, value)| (format!("ROOMCAST_{name}"), value)));
        command.envs(settings.iter().map(|(name, value)| (format!("ROOMCAST_{name}"), value)));
        let mut process = command.spawn().with_context(|| format!("{} cannot be started", binary.display()))?;
        let (mut address, mut token) = (None, None);
        let output = process.stdout.take().context("the output is piped")?;
        for line in BufReader::new(output).lines().take(LINES_MAX) {
            let line = line.context("the gateway says nothing readable")?;
            let mut words = line.split_whitespace();
            match words.next() {
                Some("Connect") => address = words.next().and_then(|url| url.strip_prefix("ws://")?.split('/').next()?.parse().ok()),
                Some("Token") => token = words.next().map(str::to_owned),
                _ => {}
            }
            if let (Some(address), Some(token)) = (address, &token) {
                return Ok(Self { process, address, token: token.clone() });
            }
        }
        let _ = process.kill();
        let _ = process.wait();
        bail!("{} did not say where it serves; try it by hand: {} serve --dev", binary.display(), binary.display())
    }

    /// What it costs.
    pub fn usage(&self) -> Usage {
        Usage::of_process(self.process.id())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whose processor time is counted.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The folder in proc(5).
    of: PathBuf,
    whole_process: bool,
}

impl Usage {
    /// A process with all its threads.
    pub fn of_process(id: u32) -> Self {
        Self { of: PathBuf::from(format!("/proc/{id}")), whole_process: true }
    }

    /// The thread that calls this, and no other.
    ///
    /// # Errors
    /// Where there is no proc file system.
    pub fn of_this_thread() -> std::io::Result<Self> {
        Ok(Self { of: Path::new("/proc").join(fs::read_link("/proc/thread-self")?), whole_process: false })
    }

    /// Processor time so far, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        if !self.whole_process {
            return schedstat(&self.of);
        }
        let threads = fs::read_dir(self.of.join("task")).into_iter().flatten().flatten();
        threads.map(|thread| schedstat(&thread.path())).sum()
    }

    /// Resident memory that no file backs, in bytes: what the process itself asked for.
    pub fn anonymous_bytes(&self) -> u64 {
        let status = fs::read_to_string(self.of.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kilobytes.unwrap_or_default() << 10
    }

    /// Keeps the thread or process on one processor from now on.
    ///
    /// # Errors
    /// When `taskset` is not there or does not do it.
    pub fn pin(&self, cpu: usize) -> anyhow::Result<()> {
        let id = self.of.file_name().and_then(|name| name.to_str()).context("proc folders are named by numbers")?;
        let output = Command::new("taskset").args(["-p", "-c", &cpu.to_string(), id]).output().context("taskset is not installed")?;
        if output.status.success() { Ok(()) } else { bail!("taskset: {}", String::from_utf8_lossy(&output.stderr).trim()) }
    }
}

/// The first field: time on the processor, in nanoseconds.
fn schedstat(of: &Path) -> u64 {
    let text = fs::read_to_string(of.join("schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or_default()
}
