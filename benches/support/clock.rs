//! Times a benchmark: the shortest run tells what the code needs, the median what this machine made of it.

use std::time::{Duration, Instant};

use super::case::Case;

const RUNS_MIN: usize = 20;
const RUNS_MAX: usize = 10_000;
const LASTS: Duration = Duration::from_millis(500);

pub fn time(case: &Case) {
    let mut subject = (case.subject)();
    let (begun, mut runs) = (Instant::now(), Vec::new());
    while runs.len() < RUNS_MIN || (runs.len() < RUNS_MAX && begun.elapsed() < LASTS) {
        subject.reset();
        let run = Instant::now();
        subject.run();
        runs.push(run.elapsed());
    }
    runs.sort_unstable();
    let per_unit = |run: Duration| run.as_nanos() as f64 / case.units as f64;
    let (shortest, median) = (per_unit(runs[0]), per_unit(runs[runs.len() / 2]));
    println!("{:<32} {shortest:>12.3} ns, median {median:>12.3} ns per {}", case.name, case.unit);
}
