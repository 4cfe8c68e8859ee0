//! Reports as files.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::Report;

/// The longest file that is read: far more than any report, and no trouble for memory.
const FILE_BYTES_MAX: u64 = 64 << 20;

impl Report {
    /// Reads what a scenario wrote with --json.
    ///
    /// # Errors
    /// When the file cannot be read, or is no report.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let length = fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?.len();
        anyhow::ensure!(length <= FILE_BYTES_MAX, "{} has {length} bytes; no report is longer than {FILE_BYTES_MAX}", path.display());
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no report; write one with --json FILE", path.display()))
    }

    /// As JSON, to be read again and by others.
    ///
    /// # Errors
    /// When a number in it is none: JSON has no word for that.
    pub fn to_json(&self) -> anyhow::Result<String> {
        serde_json::to_string_pretty(self).context("the report cannot be written as JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn what_is_written_is_read_again() {
        let report = sample();
        assert!(serde_json::from_str::<Report>(&report.to_json().unwrap()).unwrap() == report, "to the last digit");
    }

    #[test]
    fn what_is_no_report_is_named() {
        let text = format!("{:#}", Report::read(Path::new("/nonexistent/report.json")).unwrap_err());
        assert!(text.contains("/nonexistent/report.json"), "{text}");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let text = format!("{:#}", Report::read(&source).unwrap_err());
        assert!(text.contains("Cargo.toml is no report"), "{text}");
    }

    #[test]
    fn older_and_newer_reports_are_read() {
        let report: Report = serde_json::from_str(r#"{"scenario":"fanout","figures":[{"name":"x"}],"of_the_future":1}"#).unwrap();
        assert_eq!((report.scenario.as_str(), report.figures[0].name.as_str()), ("fanout", "x"));
    }
}
