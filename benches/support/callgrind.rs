//! Counts instructions: runs this very program once per benchmark under callgrind.
//!
//! A process of its own for each, so that no benchmark changes what another finds in its caches and on its heap.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::case::Case;

/// The option by which this program is told to run the one benchmark that is named.
pub const RUN: &str = "--run";

/// The plainest `memcpy` and its like of the C library for x86-64, whatever the processor has: others would count differently, and the
/// string instructions, which some of them use, would count once per byte.
const PLAIN_COPIES: &str = "glibc.cpu.hwcaps=-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM";

/// Instructions of one run, by the benchmark's name.
pub type Counts = BTreeMap<&'static str, u64>;

/// # Errors
/// A sentence when callgrind is missing or a benchmark failed under it.
pub fn count(cases: &[Case]) -> Result<Counts, String> {
    let program = env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Counts, String> {
        let mut counts = Counts::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            counts.insert(case.name, count_one(&program, case.name)?);
        }
        Ok(counts)
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        let mut counts = Counts::new();
        for worker in workers {
            counts.extend(worker.join().map_err(|_| "a thread that runs callgrind panicked")??);
        }
        Ok(counts)
    })
}

fn count_one(program: &Path, name: &str) -> Result<u64, String> {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{}", name.replace('/', ".")));
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--toggle-collect=*counted_by_callgrind*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args([RUN, name])
        // The environment lies on the stack and would move everything on it.
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", PLAIN_COPIES)
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    if !run.status.success() {
        return Err(format!("{name} failed under callgrind:\n{}", String::from_utf8_lossy(&run.stderr)));
    }
    let text = fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:")).and_then(|total| total.trim().parse().ok());
    total.filter(|total| *total > 0).ok_or_else(|| format!("{name}: callgrind counted nothing"))
}
