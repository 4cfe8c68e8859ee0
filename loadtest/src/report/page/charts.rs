//! Curves: latencies by percentile, and what went on over the time of the run.

use std::fmt;

use super::plot::{Line, Plot};
use super::scale::Scale;
use super::text::Text;
use crate::report::number::{amount, count, ms};
use crate::report::{Latency, QUANTILES, Report, Series};

/// Colours that can be told apart, and lines of one drawing.
const COLOURS: usize = 6;
const LINES_MAX: usize = 12;
/// What is quicker than the first stage by so much is left to the table; and how many times the lowest median the longest may take before a
/// linear axis would flatten everything else.
const LINEAR_MAX: f64 = 30.0;
/// How many times the usual step is a pause.
const PAUSE: f64 = 6.0;
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
        let mut colours = Colours::default();
        let median = measured.first().map_or(0, |first| first.at(0.5)) as f64;
        let comparable = measured.iter().filter(|latency| !latency.is_coarse() && latency.at(0.5) as f64 * LINEAR_MAX >= median);
        let classes = comparable.filter_map(|latency| Some((*latency, colours.class(&latency.stage)?))).take(LINES_MAX);
        let (drawn, classes): (Vec<&Latency>, Vec<String>) = classes.unzip();
        let most_count = drawn.iter().map(|latency| latency.count).max().unwrap_or(1).max(10) as f64;
        let all_ms = || drawn.iter().flat_map(|latency| curve(latency)).map(|(_, ms)| ms);
        let (least, most) = (all_ms().fold(f64::INFINITY, f64::min).max(0.001), all_ms().fold(0.0, f64::max));
        let median = drawn.iter().map(|latency| latency.at(0.5)).min().unwrap_or(1).max(1) as f64 / 1_000.0;
        let (y, y_title) = if most > median * LINEAR_MAX {
            (Scale::Log { least: floor_of(least), most: ceiling_of(most) }, "latency, ms (logarithmic)")
        } else {
            (Scale::up_to(most), "latency, ms")
        };
        let lines = drawn.iter().zip(classes).map(|(latency, class)| {
            let marks = QUANTILES.into_iter().chain([("longest", 1.0)]).filter_map(|(name, at)| latency.told(at).map(|us| (name, at, us)));
            let marks =
                marks.map(|(name, at, us)| (end(latency, at), us as f64 / 1_000.0, format!("{}: {name} {} ms", latency.stage, ms(us))));
            Line { name: &latency.stage, class, pieces: vec![curve(latency)], marks: marks.collect() }
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
    let columns = QUANTILES.into_iter().chain([("p99.99", 0.9999)]);
    f.write_str("<table><thead><tr><th>milliseconds</th>")?;
    columns.clone().try_for_each(|(name, _)| write!(f, "<th>{name}</th>"))?;
    f.write_str("<th>longest</th><th>mean</th><th>count</th></tr></thead><tbody>")?;
    for latency in latencies {
        write!(f, "<tr><th>{}</th>", Text(&latency.stage))?;
        for (_, at) in columns.clone() {
            write!(f, "<td>{}</td>", latency.told(at).map_or_else(|| "–".to_owned(), ms))?;
        }
        let mean = amount(latency.mean_us / 1_000.0);
        write!(f, "<td>{}</td><td>{mean}</td><td>{}</td></tr>", ms(latency.max_us), count(latency.count))?;
    }
    f.write_str("</tbody></table>")
}

/// Which stage has which colour; its floor has the same, and dots.
#[derive(Default)]
struct Colours(Vec<String>);

impl Colours {
    /// The classes of a line; `None` when there is no colour left.
    fn class(&mut self, stage: &str) -> Option<String> {
        let base = stage.split(',').next().unwrap_or(stage);
        if base == "floor" {
            return Some("of-floor".to_owned());
        }
        let index = self.0.iter().position(|known| known == base).or_else(|| {
            (self.0.len() < COLOURS).then(|| self.0.push(base.to_owned()))?;
            Some(self.0.len() - 1)
        })?;
        Some(if stage.contains("floor") { format!("c{index} of-floor") } else { format!("c{index}") })
    }
}

/// A series without its pauses: nothing was measured there, and a line would say that something was.
fn pieces(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let mut steps: Vec<f64> = points.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    steps.sort_unstable_by(f64::total_cmp);
    let usual = steps.get(steps.len() / 2).copied().unwrap_or(0.0);
    points.chunk_by(|a, b| b.0 - a.0 <= usual * PAUSE).map(<[_]>::to_vec).collect()
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
        write!(f, "<li>{left_out} more in numbers only</li>")?;
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
    let drawn = &group[..group.len().min(COLOURS)];
    let points = || drawn.iter().flat_map(|series| &series.points).filter(|(x, y)| x.is_finite() && y.is_finite());
    let y_title = group.first().map_or_else(String::new, |series| match series.unit.as_str() {
        "" => series.title.clone(),
        unit => format!("{}, {unit}", series.title),
    });
    let lines = drawn.iter().enumerate().map(|(colour, series)| Line {
        name: &series.node,
        class: format!("thin c{colour}"),
        pieces: pieces(&series.points),
        marks: Vec::new(),
    });
    let (width, height) = HALF;
    let (x, y) = (Scale::up_to(points().map(|(x, _)| *x).fold(0.0, f64::max)), Scale::up_to(points().map(|(_, y)| *y).fold(0.0, f64::max)));
    let plot = Plot { width, height, x, y, x_title: "time, s", y_title: &y_title, lines: lines.collect() };
    write!(f, "<figure>{plot}")?;
    legend(&plot.lines, group.len() - drawn.len(), f)?;
    f.write_str("</figure>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_over_a_pause() {
        let points: Vec<(f64, f64)> = [0.0, 1.0, 2.0, 3.0, 30.0, 31.0, 32.5].map(|x| (x, 1.0)).to_vec();
        assert_eq!(pieces(&points).iter().map(Vec::len).collect::<Vec<_>>(), [4, 3]);
        assert_eq!(pieces(&[]).len(), 0);
    }

    #[test]
    fn floors_have_the_colour_of_their_stage() {
        let mut colours = Colours::default();
        let classes =
            ["publish → socket", "publish → log", "publish → socket, floor", "floor, one write each"].map(|stage| colours.class(stage));
        assert_eq!(classes.map(Option::unwrap), ["c0", "c1", "c0 of-floor", "of-floor"]);
        let left = (0..10).filter_map(|n| colours.class(&n.to_string())).count();
        assert_eq!(left, COLOURS - 2);
    }
}
