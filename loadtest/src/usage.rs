//! What processes and threads cost, from proc(5), and on which processor they run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

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
