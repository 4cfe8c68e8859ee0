//! Two runs, or two sets of runs, beside each other: what changed by how many percent, how far single runs lie apart, and whether it got
//! worse beyond a tolerance.

mod change;
mod side;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use crate::report::grid::Grid;
use crate::report::number::amount;
use crate::report::plain;
use change::{Change, Direction};
use side::Side;

/// Compares reports that scenarios wrote with --json. The exit code is 1 when something got worse beyond the tolerance, or when the later
/// runs' ledger is not clean.
#[derive(Clone, Debug, clap::Args)]
pub struct Compare {
    /// Reports of before; several of them, separated by commas, count as more runs of the same.
    #[arg(value_delimiter = ',', num_args = 1, required = true)]
    pub before: Vec<PathBuf>,
    /// Reports of after.
    #[arg(value_delimiter = ',', num_args = 1, required = true)]
    pub after: Vec<PathBuf>,
    /// What is taken for noise, in percent: 5% or 5.
    #[arg(long, default_value = "5%")]
    pub tolerance: Percent,
    /// Judges only these, as cpu_us_per_delivery, cpu_us_per_delivery.ratio or 'p99_ms(publish -> log)'; all others are shown. Without it
    /// everything is judged but the longest of many values and quantiles from 99.9 % on, which are mostly chance.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
}

/// A share in percent, written with or without its sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percent(pub f64);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().trim_end_matches('%').trim_end().parse().ok();
        let number = number.filter(|percent: &f64| percent.is_finite() && *percent >= 0.0);
        number.map(Self).ok_or_else(|| format!("`{text}` is no percentage; write 5% or 2.5%"))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Compare {
    /// Reads the reports, prints the comparison and tells the exit code.
    ///
    /// # Errors
    /// When a file cannot be read or is no report, when the sides have nothing in common, or when `only` names what neither has.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let comparison = self.comparison(Side::read(&self.before)?, Side::read(&self.after)?)?;
        print!("{comparison}");
        Ok(if comparison.is_worse() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn comparison(&self, before: Side, after: Side) -> anyhow::Result<Comparison> {
        let changes = change::changes(&before, &after);
        anyhow::ensure!(!changes.is_empty(), "the reports have no figure and no latency in common; are they of the same scenario?");
        for name in &self.only {
            let known = || changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>().join(", ");
            anyhow::ensure!(
                changes.iter().any(|change| plain(&change.name) == plain(name)),
                "--only {name}: the reports compare by {}",
                known()
            );
        }
        Ok(Comparison { before, after, changes, tolerance: self.tolerance.0, only: self.only.clone() })
    }
}

/// What came of it.
struct Comparison {
    before: Side,
    after: Side,
    changes: Vec<Change>,
    tolerance: f64,
    only: Vec<String>,
}

impl Comparison {
    fn judges(&self, change: &Change) -> bool {
        if self.only.is_empty() { change.counts } else { self.only.iter().any(|name| plain(name) == plain(&change.name)) }
    }

    fn is_worse(&self) -> bool {
        let worse = |change: &Change| self.judges(change) && change.direction(self.tolerance) == Direction::Worse;
        !self.after.is_clean() || self.changes.iter().any(worse)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, after, tolerance, .. } = self;
        writeln!(f, "before: {before}\nafter:  {after}")?;
        for (name, [then, now]) in before.differences(after) {
            writeln!(f, "  different: {name} was {then}, is {now}")?;
        }
        let mut grid = Grid::new(["", "before", "runs", "after", "runs", "unit", "change", ""]);
        for change in &self.changes {
            let mut verdict = change.direction(*tolerance).word().to_owned();
            if change.overlaps() {
                verdict.push_str(", runs overlap");
            }
            if !self.judges(change) {
                verdict.push_str(", not judged");
            }
            let spread = |ends: Option<(f64, f64)>| ends.map_or_else(String::new, |(from, to)| format!("{}–{}", amount(from), amount(to)));
            let [then, now] = [&change.before, &change.after];
            let percent = change.percent().map_or_else(|| "–".to_owned(), |percent| format!("{percent:+.1} %"));
            let (value, was) = (amount(now.value), amount(then.value));
            grid.row([change.title.clone(), was, spread(then.spread), value, spread(now.spread), change.unit.clone(), percent, verdict]);
        }
        write!(f, "\n{grid}\n")?;
        if !after.is_clean() {
            return writeln!(f, "WORSE: the later ledger is not clean: {}", after.faults());
        }
        let worse: Vec<&str> = self
            .changes
            .iter()
            .filter(|it| self.judges(it) && it.direction(*tolerance) == Direction::Worse)
            .map(|it| it.title.as_str())
            .collect();
        match worse.is_empty() {
            true => writeln!(f, "NOT WORSE beyond {tolerance} %"),
            false => writeln!(f, "WORSE beyond {tolerance} %: {}", worse.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;
    use crate::report::{Counts, Report};

    fn compare(change: impl FnOnce(&mut Report), only: &[&str]) -> anyhow::Result<Comparison> {
        let mut after = sample();
        change(&mut after);
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        let options = Compare { before: Vec::new(), after: Vec::new(), tolerance: Percent(5.0), only };
        options.comparison(Side::of(vec![sample()]), Side::of(vec![after]))
    }

    #[test]
    fn the_same_is_not_worse() {
        let same = compare(|_| {}, &[]).unwrap();
        assert!(!same.is_worse());
        assert!(same.to_string().contains("NOT WORSE beyond 5 %"), "{same}");
    }

    #[test]
    fn what_got_worse_beyond_the_tolerance_is_named() {
        let worse = compare(|after| after.figures[0].value *= 1.1, &[]).unwrap();
        assert!(worse.is_worse());
        assert!(worse.to_string().contains("WORSE beyond 5 %: server CPU per delivery"), "{worse}");
        assert!(!compare(|after| after.figures[0].value *= 1.04, &[]).unwrap().is_worse());
        assert!(compare(|after| after.figures[2].value *= 0.9, &[]).unwrap().is_worse(), "fewer deliveries per second are worse");
        assert!(!compare(|after| after.figures[2].value *= 1.2, &[]).unwrap().is_worse());
    }

    #[test]
    fn only_what_is_named_is_judged() {
        let worse = |after: &mut Report| after.figures[0].value *= 2.0;
        assert!(!compare(worse, &["deliveries_per_s"]).unwrap().is_worse());
        assert!(compare(worse, &["cpu_us_per_delivery"]).unwrap().is_worse());
        assert!(compare(worse, &["colour"]).is_err(), "unknown names are refused");
    }

    #[test]
    fn a_ledger_that_is_not_clean_is_worse_whatever_the_figures_say() {
        let worse = compare(|after| after.ledger = Counts { lost: 1, ..after.ledger }, &[]).unwrap();
        assert!(worse.is_worse() && worse.to_string().contains("WORSE: the later ledger is not clean: 1 lost"), "{worse}");
    }

    #[test]
    fn different_options_are_told() {
        let text = compare(|after| drop(after.options.insert("subscribers".to_owned(), "2000".to_owned())), &[]).unwrap().to_string();
        assert!(text.contains("different: subscribers was 1000, is 2000"), "{text}");
    }

    #[test]
    fn tolerances_are_percentages() {
        assert_eq!(["5%", "2.5", " 0 % "].map(|text| text.parse::<Percent>().unwrap().0), [5.0, 2.5, 0.0]);
        assert!(["-1%", "many", "NaN"].iter().all(|text| text.parse::<Percent>().is_err()));
    }
}
