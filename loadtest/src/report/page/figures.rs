//! What was measured: figures with a floor as bars beside it, all others as plain numbers.

use std::fmt;

use super::text::Text;
use crate::report::number::{amount, times};
use crate::report::{Better, Figure, Report};

/// The drawing's own units; the page stretches it to the room that there is.
const WIDTH: f64 = 1_000.0;
/// Runs that are drawn as marks.
const MARKS_MAX: usize = 50;

/// Writes the section.
pub(super) struct Figures<'a>(pub &'a Report);

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (beside, alone): (Vec<_>, Vec<_>) = self.0.figures.iter().partition(|figure| figure.floor.is_some());
        let has_floors = !beside.is_empty();
        if has_floors {
            f.write_str(r#"<section class="card"><h2>Beside the floor</h2><p class="note">A floor is the least that has to be done, "#)?;
            f.write_str("measured in the same run; the line below its bar says what that was. Bars begin at 0, each pair on ")?;
            f.write_str("its own scale; marks are single runs, the number is their median.</p>")?;
            beside.into_iter().try_for_each(|figure| row(figure, f))?;
            f.write_str("</section>")?;
        }
        if !alone.is_empty() {
            let heading = if has_floors { "Measured besides" } else { "Measured" };
            write!(f, r#"<section class="card"><h2>{heading}</h2><dl class="tiles inner">"#)?;
            for figure in alone {
                let (title, unit, value) = (Text(&figure.title), Text(&figure.unit), amount(figure.value));
                write!(f, r#"<div><dt>{title}</dt><dd>{value} <span>{unit}</span></dd>"#)?;
                if let Some((least, most)) = figure.spread() {
                    write!(f, r#"<dd class="spread">{} to {} in {} runs</dd>"#, amount(least), amount(most), figure.runs.len())?;
                }
                f.write_str("</div>")?;
            }
            f.write_str("</dl></section>")?;
        }
        Ok(())
    }
}

fn row(figure: &Figure, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let floor = figure.floor.unwrap_or_default();
    let (title, unit) = (Text(&figure.title), Text(&figure.unit));
    let better = match figure.better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
    };
    write!(f, r#"<div class="figure"><div class="name"><b>{title}</b><span>{better}</span></div><div class="bars">"#)?;
    let most = figure.runs.iter().copied().chain([figure.value, floor]).fold(0.0, f64::max);
    let wide = |value: f64| if most > 0.0 { (value / most).clamp(0.0, 1.0) * WIDTH } else { 0.0 };
    bar(&format!("{} {}", amount(figure.value), Text(&figure.unit)), "value", wide(figure.value), &figure.runs, &wide, f)?;
    bar(&format!("{} {unit}", amount(floor)), "floor", wide(floor), &[], &wide, f)?;
    let ratio = figure.ratio().map_or_else(String::new, times);
    let spread = figure
        .spread()
        .map_or_else(|| "one run".to_owned(), |(least, most)| format!("{} runs: {} to {}", figure.runs.len(), amount(least), amount(most)));
    write!(f, r#"</div><div class="ratio"><b>{ratio}</b><span>the floor</span></div>"#)?;
    write!(f, r#"<p class="under"><code>{}</code> · floor: {} · {spread}</p></div>"#, Text(&figure.name), Text(&figure.floor_title))
}

/// `text` is escaped already.
fn bar(text: &str, class: &str, wide: f64, runs: &[f64], place: &dyn Fn(f64) -> f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // Runs are marked below the bar, where its colour does not hide them.
    let high = if class == "value" { 26 } else { 20 };
    write!(f, r#"<div class="bar {class}"><svg viewBox="0 0 {WIDTH} {high}" preserveAspectRatio="none" aria-hidden="true">"#)?;
    write!(f, r#"<rect width="{wide:.1}" height="20"/>"#)?;
    if runs.len() > 1 {
        for run in runs.iter().take(MARKS_MAX) {
            write!(f, r#"<rect class="run" x="{:.1}" y="21" width="2" height="5"/>"#, (place(*run) - 1.0).clamp(0.0, WIDTH - 2.0))?;
        }
    }
    write!(f, "</svg><span>{text}</span></div>")
}
