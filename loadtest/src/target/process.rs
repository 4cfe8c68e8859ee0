//! Processes that the tool starts: on a processor if one is named, what they say kept for those who ask why, killed when dropped.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use crate::usage::Usage;

/// How long a process may take to say that it is there.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// The last lines that are shown when it did not start.
const LINES_SHOWN: usize = 10;
/// Lines that may wait to be looked at.
const LINES_WAITING_MAX: usize = 64;

/// A child of the tool.
pub struct Process {
    child: Child,
    name: String,
    lines: Receiver<String>,
    last: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// A command that runs `program`, on processor `cpu` if one is named.
pub fn command(program: impl AsRef<OsStr>, cpu: Option<usize>) -> Command {
    match cpu {
        Some(cpu) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &cpu.to_string()]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

impl Process {
    /// Starts `command`, whose standard error is read to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let errors = child.stderr.take().context("standard error is piped")?;
        let (told, lines) = sync_channel(LINES_WAITING_MAX);
        let last = Arc::<Mutex<VecDeque<String>>>::default();
        let reader = std::thread::spawn({
            let last = Arc::clone(&last);
            move || listen(BufReader::new(errors), &told, &last)
        });
        Ok(Self { child, name: name.to_owned(), lines, last, reader: Some(reader) })
    }

    /// Waits until it says a line in which `find` finds what it looks for.
    ///
    /// # Errors
    /// When it ends before that or takes too long; with its last lines.
    pub fn says<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = find(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} did not start within {START_TIMEOUT:?}; it said:\n{}", self.name, self.last_words())
                }
                Err(RecvTimeoutError::Disconnected) => bail!("{} ended at once; it said:\n{}", self.name, self.last_words()),
            }
        }
    }

    fn last_words(&self) -> String {
        Vec::from(self.last.lock().clone()).join("\n")
    }

    /// Asks `answer` again and again until it is something.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn becomes<T>(&self, what: &str, mut answer: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(found) = answer() {
                return Ok(found);
            }
            // Between two questions; a wake-up too early asks earlier.
            std::thread::park_timeout(Duration::from_millis(20));
        }
        bail!("{} is not {what} after {START_TIMEOUT:?}; it said:\n{}", self.name, self.last_words())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process has a number")?, signal).with_context(|| format!("{} cannot be sent a signal", self.name))
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When it ended otherwise than well, and was not killed.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        let Some(status) = self.child.try_wait()? else { return Ok(false) };
        let killed = status.signal() == Some(Signal::KILL.as_raw());
        ensure!(status.success() || killed, "{} ended with {status}; it said:\n{}", self.name, self.last_words());
        Ok(true)
    }

    /// What it costs.
    pub fn usage(&self) -> Usage {
        Usage::of_process(self.child.id())
    }
}

/// Keeps the pipe from filling up, which would stop the process.
fn listen(lines: impl BufRead, told: &SyncSender<String>, last: &Mutex<VecDeque<String>>) {
    for line in lines.lines().map_while(Result::ok) {
        let mut last = last.lock();
        if last.len() == LINES_SHOWN {
            last.pop_front();
        }
        last.push_back(line.clone());
        drop(last);
        // Nobody looks any more once the process has started.
        let _ = told.try_send(line);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
