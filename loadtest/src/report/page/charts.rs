//! Curves: latencies by percentile, and what went on over the time of the run.

use std::fmt;

use super::plot::{Line, Plot};
use super::scale::Scale;
use super::text::Text;
use crate::report::number::{amount, count, ms};
use crate::report::{Latency, Report, Series};

/// Lines of one drawing; more could not be told apart.
const LINES_MAX: usize = 6;
/// How many times the lowest median the longest may take before a linear axis would flatten everything else.
const LINEAR_MAX: f64 = 30.0;
/// The wide drawing, and those that stand side by side.
const WIDE: (f64, f64) = (940.0, 340.0);
const HALF: (f64, f64) = (460.0, 210.0);

/// Writes the section on latencies.
pub(super) struct Percentiles<'a>(pub &'a Report);

impl fmt::Display for Percentiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured: Vec<&Latency> = self.0.latencies.iter().filter(|latency| latency.count > 0).collect();
        if measured.is_empty() {
            return Ok(());
        }
        f.write_str(
            r#"<section class="card"><h2>Latency by percentile</h2><p class="note">Read it from the right: at 99.9 %, one of 1,000 "#,
        )?;
        f.write_str("took longer. Each further nine takes as much room as the one before; a line ends at its longest value.</p>")?;
        let drawn = &measured[..measured.len().min(LINES_MAX)];
        let most_count = drawn.iter().map(|latency| latency.count).max().unwrap_or(1).max(10) as f64;
        let all_ms = || drawn.iter().flat_map(|latency| curve(latency)).map(|(_, ms)| ms);
        let (least, most) = (all_ms().fold(f64::INFINITY, f64::min).max(0.001), all_ms().fold(0.0, f64::max));
        let median = drawn.iter().map(|latency| latency.at(0.5)).min().unwrap_or(1).max(1) as f64 / 1_000.0;
        let (y, y_title) = if most > median * LINEAR_MAX {
            (Scale::Log { least: floor_of(least), most: ceiling_of(most) }, "latency, ms (logarithmic)")
        } else {
            (Scale::up_to(most), "latency, ms")
        };
        let mut colour = 0;
        let lines = drawn.iter().map(|latency| {
            let class = class(latency.stage.contains("floor"), &mut colour);
            let marks = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)];
            let marks = marks.into_iter().filter_map(|(name, at)| latency.told(at).map(|us| (name, at, us)));
            let marks =
                marks.map(|(name, at, us)| (end(latency, at), us as f64 / 1_000.0, format!("{}: {name} {} ms", latency.stage, ms(us))));
            Line { name: &latency.stage, class, points: curve(latency), marks: marks.collect() }
        });
        let (width, height) = WIDE;
        let (x, lines) = (Scale::Quantile { count: most_count }, lines.collect::<Vec<_>>());
        let plot = Plot { width, height, x, y, x_title: "share of receipts that were at least as quick", y_title, lines };
        legend(&plot.lines, measured.len() - drawn.len(), f)?;
        write!(f, "{plot}")?;
        table(&measured, f)?;
        f.write_str("</section>")
    }
}

/// The quantile at which a drawing shows it: the longest of n values stands where one of n is left.
fn end(latency: &Latency, at: f64) -> f64 {
    at.min(1.0 - 1.0 / latency.count.max(1) as f64)
}

fn curve(latency: &Latency) -> Vec<(f64, f64)> {
    latency.quantiles.iter().map(|(at, us)| (end(latency, *at), *us as f64 / 1_000.0)).collect()
}

fn floor_of(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [5.0, 2.0, 1.0].map(|digit| digit * power).into_iter().find(|mark| *mark <= value).unwrap_or(power)
}

fn ceiling_of(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|mark| *mark >= value).unwrap_or(power * 10.0)
}

fn table(latencies: &[&Latency], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("<table><thead><tr><th>milliseconds</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>p99.99</th>")?;
    f.write_str("<th>longest</th><th>mean</th><th>count</th></tr></thead><tbody>")?;
    for latency in latencies {
        write!(f, "<tr><th>{}</th>", Text(&latency.stage))?;
        for at in [0.5, 0.9, 0.99, 0.999, 0.9999] {
            write!(f, "<td>{}</td>", latency.told(at).map_or_else(|| "–".to_owned(), ms))?;
        }
        let mean = amount(latency.mean_us / 1_000.0);
        write!(f, "<td>{}</td><td>{mean}</td><td>{}</td></tr>", ms(latency.max_us), count(latency.count))?;
    }
    f.write_str("</tbody></table>")
}

/// Colours in order, one for all floors.
fn class(floor: bool, colour: &mut usize) -> String {
    if floor {
        return "of-floor".to_owned();
    }
    *colour += 1;
    format!("c{}", (*colour - 1) % LINES_MAX)
}

fn legend(lines: &[Line<'_>], left_out: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if lines.iter().all(|line| line.name.is_empty()) {
        return Ok(());
    }
    f.write_str(r#"<ul class="legend">"#)?;
    for line in lines {
        let class = &line.class;
        write!(
            f,
            r#"<li><svg viewBox="0 0 26 8" aria-hidden="true"><line class="line {class}" x2="26" y1="4" y2="4"/></svg>{}</li>"#,
            Text(line.name)
        )?;
    }
    if left_out > 0 {
        write!(f, "<li>{left_out} more are not drawn</li>")?;
    }
    f.write_str("</ul>")
}

/// Writes one drawing for each thing that was watched, with one line for each node.
pub(super) struct OverTime<'a>(pub &'a Report);

impl fmt::Display for OverTime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut groups: Vec<Vec<&Series>> = Vec::new();
        for series in self.0.series.iter().filter(|series| series.points.len() > 1) {
            let same = |group: &&mut Vec<&Series>| group.iter().all(|other| (&other.title, &other.unit) == (&series.title, &series.unit));
            match groups.iter_mut().find(same) {
                Some(group) => group.push(series),
                None => groups.push(vec![series]),
            }
        }
        if groups.is_empty() {
            return Ok(());
        }
        f.write_str(r#"<section class="card"><h2>Over the run</h2><div class="halves">"#)?;
        groups.iter().try_for_each(|group| over_time(group, f))?;
        f.write_str("</div></section>")
    }
}

fn over_time(group: &[&Series], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let drawn = &group[..group.len().min(LINES_MAX)];
    let points = || drawn.iter().flat_map(|series| &series.points).filter(|(x, y)| x.is_finite() && y.is_finite());
    let y_title = group.first().map_or_else(String::new, |series| match series.unit.as_str() {
        "" => series.title.clone(),
        unit => format!("{}, {unit}", series.title),
    });
    let mut colour = 0;
    let lines = drawn.iter().map(|series| Line {
        name: &series.node,
        class: format!("thin {}", class(false, &mut colour)),
        points: series.points.clone(),
        marks: Vec::new(),
    });
    let (width, height) = HALF;
    let (x, y) = (Scale::up_to(points().map(|(x, _)| *x).fold(0.0, f64::max)), Scale::up_to(points().map(|(_, y)| *y).fold(0.0, f64::max)));
    let plot = Plot { width, height, x, y, x_title: "time, s", y_title: &y_title, lines: lines.collect() };
    write!(f, "<figure>{plot}")?;
    legend(&plot.lines, group.len() - drawn.len(), f)?;
    f.write_str("</figure>")
}
