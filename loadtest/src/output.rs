//! Where a scenario's report goes, and what the process ends with: options for every scenario, and the one function that ends a run.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use crate::report::Report;
use crate::report::page::Page;
use crate::report::table::Table;
use crate::threshold::Threshold;

/// The ledger is not clean, or a threshold is broken.
const FAILED: u8 = 1;
/// Nothing can be said: a threshold names what was not measured, or a file cannot be written. The same as for wrong options.
const UNSAID: u8 = 2;

/// Options that every scenario has.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Writes the report as JSON; - writes it to standard output, and the table to standard error.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the report as one HTML page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Fails the run (exit code 1) under a condition, as 'cpu_us_per_delivery.ratio > 1.1', 'p99_ms > 50' or
    /// 'p99.9_ms(publish -> log) > 20'; may be repeated.
    #[arg(long = "fail-if", value_name = "CONDITION")]
    pub fail_if: Vec<Threshold>,
    /// Shows no progress.
    #[arg(long)]
    pub quiet: bool,
}

impl Output {
    /// Finds thresholds on what a scenario does not measure, before a run is spent on them; `figures` are the names of those that it may.
    ///
    /// # Errors
    /// The first of them, with the name that may have been meant.
    pub fn check_figures(&self, figures: &[&str]) -> anyhow::Result<()> {
        self.fail_if.iter().try_for_each(|threshold| threshold.check(figures).with_context(|| format!("--fail-if '{threshold}'")))
    }

    /// Finds files that cannot be written, before a run is spent on them.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> anyhow::Result<()> {
        for file in [&self.json, &self.html].into_iter().flatten().filter(|file| !is_standard(file)) {
            let opened = OpenOptions::new().append(true).create(true).open(file);
            opened.with_context(|| format!("{} cannot be written", file.display()))?;
        }
        Ok(())
    }
}

/// Writes and prints the report, and judges it: 0 when the ledger is clean and no threshold broken, 1 when not, 2 when that cannot be said.
pub fn finish(report: &Report, options: &Output) -> ExitCode {
    let mut code = if report.is_clean() { 0 } else { FAILED };
    let table = Table(report);
    if options.json.as_deref().is_some_and(is_standard) {
        eprint!("{table}");
    } else {
        print!("{table}");
    }
    for threshold in &options.fail_if {
        match threshold.judge(report) {
            Ok((_, false)) => {}
            Ok((number, true)) => {
                eprintln!("FAILED: {threshold}: it is {number}");
                code = code.max(FAILED);
            }
            Err(error) => {
                eprintln!("--fail-if '{threshold}': {error}");
                code = UNSAID;
            }
        }
    }
    if let Err(error) = write(report, options) {
        eprintln!("{error:#}");
        code = UNSAID;
    }
    ExitCode::from(code)
}

fn write(report: &Report, options: &Output) -> anyhow::Result<()> {
    if let Some(file) = &options.json {
        let json = report.to_json()?;
        if is_standard(file) {
            println!("{json}");
        } else {
            fs::write(file, json).with_context(|| format!("{} cannot be written", file.display()))?;
        }
    }
    if let Some(file) = &options.html {
        fs::write(file, Page(report).to_string()).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

fn is_standard(file: &Path) -> bool {
    file.as_os_str() == "-"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn ends(report: &Report, conditions: &[&str]) -> String {
        let fail_if = conditions.iter().map(|condition| condition.parse().unwrap()).collect();
        format!("{:?}", finish(report, &Output { fail_if, ..Output::default() }))
    }

    fn code(code: u8) -> String {
        format!("{:?}", ExitCode::from(code))
    }

    #[test]
    fn exit_codes_tell_what_happened() {
        let clean = sample();
        let mut lossy = sample();
        lossy.ledger.lost = 1;
        assert_eq!(ends(&clean, &["p99_ms > 50"]), code(0));
        assert_eq!(ends(&clean, &["p99_ms > 50", "cpu_us_per_delivery > 1"]), code(1));
        assert_eq!(ends(&lossy, &[]), code(1));
        assert_eq!(ends(&clean, &["colour > 1"]), code(2), "a slip must not look like success");
        assert_eq!(ends(&lossy, &["colour > 1"]), code(2));
    }

    #[test]
    fn files_that_cannot_be_written_are_found_before_the_run() {
        let output = Output { html: Some(PathBuf::from("/nonexistent/report.html")), ..Output::default() };
        assert!(output.check().unwrap_err().to_string().contains("/nonexistent/report.html"));
        assert_eq!(format!("{:?}", finish(&sample(), &output)), code(2));
        let slip = Output { fail_if: vec!["cpu_us > 1".parse().unwrap()], ..Output::default() };
        assert!(format!("{:#}", slip.check_figures(&["cpu_us_per_delivery"]).unwrap_err()).contains("cpu_us_per_delivery"));
    }
}
