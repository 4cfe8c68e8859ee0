//! Lines over an axis, as inline SVG: percentile curves and what happens over time. Colours and dashes are classes of the style sheet, so
//! that lines differ in either scheme, and on paper without colours.

use std::fmt;

use super::scale::Scale;
use super::text::Text;

/// Room for the names of the vertical axis, for those of the other one with its title, and around the rest, in units of the drawing.
const LEFT: f64 = 58.0;
const BOTTOM: f64 = 40.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 24.0;
/// Points that a line is drawn with; of more, the least and the most of each stretch stand for it.
const POINTS_MAX: usize = 800;

/// One line, in the units of the axes.
pub(crate) struct Line<'a> {
    pub name: &'a str,
    /// Of the style sheet: colour and dash.
    pub class: String,
    /// Each drawn in one go, with nothing between them.
    pub pieces: Vec<Vec<(f64, f64)>>,
    /// Points that are marked and say what they are when pointed at.
    pub marks: Vec<(f64, f64, String)>,
}

/// A drawing.
pub(crate) struct Plot<'a> {
    pub width: f64,
    pub height: f64,
    pub x: Scale,
    pub y: Scale,
    pub x_title: &'a str,
    pub y_title: &'a str,
    pub lines: Vec<Line<'a>>,
}

impl Plot<'_> {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let (wide, high) = (self.width - LEFT - RIGHT, self.height - TOP - BOTTOM);
        (LEFT + self.x.place(x) * wide, self.height - BOTTOM - self.y.place(y) * high)
    }

    fn axes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (right, bottom) = (self.width - RIGHT, self.height - BOTTOM);
        for (value, name) in self.y.ticks() {
            let y = self.at(0.0, value).1;
            write!(f, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#)?;
            write!(f, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#, LEFT - 8.0, y + 4.0, Text(&name))?;
        }
        for (value, name) in self.x.ticks() {
            let x = self.at(value, 0.0).0;
            write!(f, r#"<line class="tick" x1="{x:.1}" x2="{x:.1}" y1="{bottom}" y2="{:.1}"/>"#, bottom + 5.0)?;
            write!(f, r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#, bottom + 18.0, Text(&name))?;
        }
        write!(f, r#"<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>"#)?;
        write!(f, r#"<text class="title" x="4" y="12">{}</text>"#, Text(self.y_title))?;
        write!(f, r#"<text class="title" x="{right}" y="{:.1}" text-anchor="end">{}</text>"#, self.height - 4.0, Text(self.x_title))
    }
}

impl fmt::Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, .. } = self;
        let names: Vec<&str> = self.lines.iter().map(|line| line.name).filter(|name| !name.is_empty()).collect();
        let label = format!("{} by {}: {}", self.y_title, self.x_title, names.join("; "));
        write!(f, r#"<svg class="plot" viewBox="0 0 {width} {height}" role="img" aria-label="{}">"#, Text(&label))?;
        self.axes(f)?;
        for line in &self.lines {
            for piece in &line.pieces {
                write!(f, r#"<polyline class="line {}" points=""#, line.class)?;
                for (x, y) in thinned(piece) {
                    let (x, y) = self.at(x, y);
                    write!(f, "{x:.1},{y:.1} ")?;
                }
                f.write_str(r#""/>"#)?;
            }
            for (x, y, name) in &line.marks {
                let (x, y) = self.at(*x, *y);
                write!(f, r#"<circle class="mark {}" cx="{x:.1}" cy="{y:.1}" r="3.5"><title>{}</title></circle>"#, line.class, Text(name))?;
            }
        }
        f.write_str("</svg>")
    }
}

/// As many points as a drawing can show, without hiding a peak or a dip.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite());
    let points: Vec<(f64, f64)> = finite.collect();
    if points.len() <= POINTS_MAX {
        return points;
    }
    let stretch = points.len().div_ceil(POINTS_MAX / 2);
    let ends = points.chunks(stretch).flat_map(|chunk| {
        let least = chunk.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
        let most = chunk.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
        if least.0 <= most.0 { [least, most] } else { [most, least] }
    });
    ends.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_peaks_and_dips() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n), 5.0)).collect();
        points[41_234].1 = 900.0;
        points[77_777].1 = 0.0;
        let thin = thinned(&points);
        assert!(thin.len() <= POINTS_MAX);
        assert!(thin.contains(&(41_234.0, 900.0)) && thin.contains(&(77_777.0, 0.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn names_are_escaped() {
        let line = Line { name: "<script>", class: "c0".to_owned(), pieces: vec![vec![(0.0, 1.0)]], marks: Vec::new() };
        let (x, y) = (Scale::up_to(1.0), Scale::up_to(1.0));
        let plot = Plot { width: 100.0, height: 100.0, x, y, x_title: "time, s", y_title: "B", lines: vec![line] };
        assert!(!plot.to_string().contains("<script>"));
    }
}
