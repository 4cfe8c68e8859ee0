//! `benches/recorded.json`: the counts that were accepted last, and the table that holds the present ones against them.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::callgrind::Counts;
use super::case::Case;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/recorded.json");
/// A run that is dearer by more than this fails, in percent.
const WORSE_MAX: f64 = 20.0;
/// Differences below this mean nothing, in percent: hash maps are seeded at random, so their collisions differ between runs.
const NOISE: f64 = 1.0;

#[derive(Serialize, Deserialize)]
struct Record {
    date: String,
    rustc: String,
    cases: BTreeMap<String, Recorded>,
}

#[derive(Serialize, Deserialize)]
struct Recorded {
    /// Of one run, which is `units` of `unit`.
    instructions: u64,
    units: u64,
    unit: String,
}

impl Recorded {
    fn per_unit(&self) -> f64 {
        self.instructions as f64 / self.units as f64
    }
}

/// # Errors
/// A sentence when the file cannot be written.
pub fn write(cases: &[Case], counts: &Counts) -> Result<(), String> {
    let recorded = |case: &Case| Recorded { instructions: counts[case.name], units: case.units, unit: case.unit.to_owned() };
    let record = Record {
        date: time::OffsetDateTime::now_utc().date().to_string(),
        rustc: rustc(),
        cases: cases.iter().map(|case| (case.name.to_owned(), recorded(case))).collect(),
    };
    let text = serde_json::to_string_pretty(&record).map_err(|error| error.to_string())?;
    fs::write(PATH, text + "\n").map_err(|error| format!("{PATH}: {error}"))?;
    println!("{} benchmarks recorded in benches/recorded.json", cases.len());
    Ok(())
}

/// Prints a line for each benchmark.
///
/// # Errors
/// A sentence that names what became dearer by more than [`WORSE_MAX`].
pub fn compare(cases: &[Case], counts: &Counts) -> Result<(), String> {
    let record = fs::read_to_string(PATH).map_err(|error| error.to_string());
    let record: Record = record
        .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()))
        .map_err(|why| format!("{PATH}: {why}; `make bench-record` writes it"))?;
    println!("Instructions per unit, recorded on {} with {}.", record.date, record.rustc);
    if record.rustc != rustc() {
        println!("This is {}: some of what follows is the compiler's doing.", rustc());
    }
    println!("\n{:<32} {:<12} {:>14} {:>14} {:>9}", "benchmark", "unit", "now", "recorded", "change");
    let mut worse = Vec::new();
    for case in cases {
        let now = counts[case.name] as f64 / case.units as f64;
        let before = record.cases.get(case.name).map(Recorded::per_unit);
        let change = before.map(|before| (now / before - 1.0) * 100.0);
        if change.is_some_and(|change| change > WORSE_MAX) {
            worse.push(case.name);
        }
        let before = before.map_or("-".to_owned(), figure);
        println!("{:<32} {:<12} {:>14} {before:>14} {:>9}", case.name, case.unit, figure(now), told(change));
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(format!("dearer by more than {WORSE_MAX} %: {}; `make bench-record` accepts it", worse.join(", ")))
}

fn figure(instructions: f64) -> String {
    if instructions < 10.0 { format!("{instructions:.2}") } else { format!("{instructions:.1}") }
}

fn told(change: Option<f64>) -> String {
    match change {
        None => "new".to_owned(),
        Some(change) if change.abs() < NOISE => "=".to_owned(),
        Some(change) => format!("{change:+.1} %"),
    }
}

fn rustc() -> String {
    let version = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("--version").output();
    version.map_or("an unknown rustc".to_owned(), |version| String::from_utf8_lossy(&version.stdout).trim().to_owned())
}
