//! `render`: a report of some time ago as a page or a table.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::report::Report;
use crate::report::page::Page;
use crate::report::table::Table;

/// Shows a report that a scenario wrote with --json: as a table, or as a page with --html.
#[derive(Clone, Debug, clap::Args)]
pub struct Render {
    pub report: PathBuf,
    /// Writes one page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

impl Render {
    /// Prints or writes it.
    ///
    /// # Errors
    /// When the file is no report, or the page cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let report = Report::read(&self.report)?;
        match &self.html {
            Some(file) => fs::write(file, Page(&report).to_string()).with_context(|| format!("{} cannot be written", file.display()))?,
            None => print!("{}", Table(&report)),
        }
        Ok(ExitCode::SUCCESS)
    }
}
