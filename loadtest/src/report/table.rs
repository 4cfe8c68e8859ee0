//! A report for the terminal: one table after another, the verdict last, where people look first when the run has ended.

use std::fmt;

use super::grid::Grid;
use super::number::{amount, count, mib, ms, times};
use super::{Counts, QUANTILES, Report};

/// Redis commands that are told one by one; the rest is rare.
const COMMANDS_MAX: usize = 8;
/// Characters of one line of options.
const LINE_CHARS: usize = 110;

/// Writes the report as text.
pub struct Table<'a>(pub &'a Report);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        writeln!(f, "{}  {}  {:.1} s", plain(&report.scenario), plain(&report.began()), report.elapsed_s)?;
        let options = report.options.iter().map(|(name, value)| format!("{}={}", plain(name), plain(value)));
        for line in lines(options) {
            writeln!(f, "  {line}")?;
        }
        for part in [figures(report), latencies(report), nodes(report), agents(report)].into_iter().flatten() {
            write!(f, "\n{part}")?;
        }
        if let Some(redis) = &report.redis {
            writeln!(f, "\nRedis: {} s of CPU, {} MiB", amount(redis.cpu_s), mib(redis.memory_bytes))?;
            let mut commands: Vec<_> = redis.commands.iter().collect();
            commands.sort_by(|a, b| b.1.cmp(a.1));
            let texts = commands.iter().take(COMMANDS_MAX).map(|(name, calls)| format!("{} {}", plain(name), count(**calls)));
            for line in lines(texts) {
                writeln!(f, "  {line}")?;
            }
        }
        if !report.remarks.is_empty() {
            writeln!(f)?;
            report.remarks.iter().try_for_each(|remark| writeln!(f, "{}", plain(remark)))?;
        }
        writeln!(f, "\n{}", Verdict(&report.ledger))
    }
}

fn figures(report: &Report) -> Option<Grid> {
    let mut grid = Grid::new(["figure", "median", "floor", "× floor", "runs", "unit", "floor is"]);
    for figure in &report.figures {
        grid.row([
            plain(&figure.title),
            amount(figure.value),
            figure.floor.map_or_else(String::new, amount),
            figure.ratio().map_or_else(String::new, times),
            figure.spread().map_or_else(String::new, |(least, most)| format!("{} to {}", amount(least), amount(most))),
            plain(&figure.unit),
            if figure.floor.is_some() { plain(&figure.floor_title) } else { String::new() },
        ]);
    }
    (!report.figures.is_empty()).then_some(grid)
}

fn latencies(report: &Report) -> Option<Grid> {
    let [q50, q90, q99, q999] = QUANTILES.map(|(name, _)| name);
    let mut grid = Grid::new(["latency, ms", q50, q90, q99, q999, "max", "mean", "count"]);
    for latency in &report.latencies {
        let [p50, p90, p99, p999] = QUANTILES.map(|(_, at)| latency.told(at).map_or_else(|| "–".to_owned(), ms));
        grid.row([plain(&latency.stage), p50, p90, p99, p999, ms(latency.max_us), amount(latency.mean_us / 1_000.0), count(latency.count)]);
    }
    (!report.latencies.is_empty()).then_some(grid)
}

fn nodes(report: &Report) -> Option<Grid> {
    let mut grid = Grid::new(["node", "connections", "deliveries", "CPU s", "memory MiB"]);
    for node in &report.nodes {
        grid.row([
            plain(&node.address),
            count(node.connections),
            count(node.deliveries),
            node.cpu_s.map_or_else(|| "–".to_owned(), amount),
            node.memory_bytes_max.map_or_else(|| "–".to_owned(), mib),
        ]);
    }
    (!report.nodes.is_empty()).then_some(grid)
}

fn agents(report: &Report) -> Option<Grid> {
    let mut grid = Grid::new(["agent", "received", "lost", "clock ±ms", "cores"]);
    for agent in &report.agents {
        let Counts { received, lost, .. } = agent.ledger;
        grid.row([plain(&agent.address), count(received), count(lost), ms(agent.clock_error_us), agent.machine.cores.to_string()]);
    }
    (!report.agents.is_empty()).then_some(grid)
}

/// The ledger in a sentence.
pub(super) struct Verdict<'a>(pub &'a Counts);

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { published, received, .. } = *self.0;
        let faults = self.0.faults().into_iter().filter(|(_, number)| *number > 0);
        let faults: Vec<String> = faults.map(|(what, number)| format!("{} {what}", count(number))).collect();
        let numbers = format!("{} publications, {} receipts", count(published), count(received));
        match faults.is_empty() {
            true if published == 0 && received == 0 => write!(f, "CLEAN: nothing was published, no connection ended"),
            true if received == 0 => write!(f, "CLEAN, but nothing was received: {numbers}"),
            true => write!(f, "CLEAN: {numbers}; none lost, repeated, out of order or in a wrong room, no connection ended"),
            false => write!(f, "FAILED: {}; {numbers}", faults.join(", ")),
        }
    }
}

/// Without what a terminal would obey: reports come from files, and options may hold anything.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Words on as few lines as hold them.
fn lines(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() + 2 <= LINE_CHARS => line.push_str(&format!("  {word}")),
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn a_clean_run_says_so_last() {
        let text = Table(&sample()).to_string();
        assert!(text.trim_end().lines().last().unwrap().starts_with("CLEAN: 20,000 publications, 20,000,000 receipts"), "{text}");
        let row = text.lines().find(|line| line.starts_with("server CPU per delivery")).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[4..7], ["4.52", "4.41", "1.02×"], "{row}");
    }

    #[test]
    fn a_failed_run_says_why() {
        let mut report = sample();
        report.ledger.lost = 3;
        report.ledger.gaps = 1_200;
        let text = Table(&report).to_string();
        assert!(text.contains("FAILED: 3 lost, 1,200 told as gaps; "), "{text}");
    }

    #[test]
    fn nothing_received_is_no_praise() {
        let ledger = Counts { published: 1, ..Counts::default() };
        let text = Table(&Report { ledger, ..Report::default() }).to_string();
        assert!(text.contains("CLEAN, but nothing was received"), "{text}");
        assert!(Table(&Report::default()).to_string().contains("nothing was published"), "quiet sessions are no failure");
    }

    #[test]
    fn texts_cannot_command_the_terminal() {
        let mut report = sample();
        report.options.insert("room".to_owned(), "\u{1b}[2J".to_owned());
        let text = Table(&report).to_string();
        assert!(!text.contains('\u{1b}'));
    }
}
