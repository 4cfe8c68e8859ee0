//! One side of a comparison: a report, or several that count as more runs of the same.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::report::number::count;
use crate::report::{Counts, Report};

/// Reports of the same.
pub(super) struct Side {
    pub reports: Vec<Report>,
    ledger: Counts,
}

impl Side {
    pub fn of(reports: Vec<Report>) -> Self {
        let mut ledger = Counts::default();
        reports.iter().for_each(|report| ledger.add(&report.ledger));
        Self { reports, ledger }
    }

    /// # Errors
    /// When a file cannot be read or is no report.
    pub fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        Ok(Self::of(paths.iter().map(|path| Report::read(path)).collect::<Result<_, _>>()?))
    }

    pub fn is_clean(&self) -> bool {
        self.ledger.is_clean()
    }

    /// What was not clean, in words.
    pub fn faults(&self) -> String {
        let faults = self.ledger.faults().into_iter().filter(|(_, number)| *number > 0);
        faults.map(|(what, number)| format!("{} {what}", count(number))).collect::<Vec<_>>().join(", ")
    }

    /// Options and facts of the machine that are not the same on the other side: reasons for a change that the server has no part in.
    pub fn differences(&self, other: &Self) -> Vec<(String, [String; 2])> {
        let (then, now) = (self.setting(), other.setting());
        let names: std::collections::BTreeSet<&String> = then.keys().chain(now.keys()).collect();
        let text = |side: &BTreeMap<String, String>, name: &String| side.get(name).cloned().unwrap_or_else(|| "absent".to_owned());
        let different = names.into_iter().filter(|name| then.get(*name) != now.get(*name));
        different.map(|name| (name.clone(), [text(&then, name), text(&now, name)])).collect()
    }

    fn setting(&self) -> BTreeMap<String, String> {
        let Some(first) = self.reports.first() else { return BTreeMap::new() };
        let machine = &first.machine;
        let facts = [
            ("scenario", first.scenario.clone()),
            ("processor", machine.processor.clone()),
            ("cores", machine.cores.to_string()),
            ("kernel", machine.kernel.clone()),
        ];
        first.options.clone().into_iter().chain(facts.map(|(name, value)| (name.to_owned(), value))).collect()
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.reports.first() else { return f.write_str("nothing") };
        write!(f, "{} of {}", first.scenario, first.began())?;
        if self.reports.len() > 1 {
            write!(f, " and {} more", self.reports.len() - 1)?;
        }
        Ok(())
    }
}
