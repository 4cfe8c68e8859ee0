//! Figures as they are gathered: one value per run, of the gateway and of the floor, and medians in the end. Pure.

use crate::report::{Better, Figure};

/// What a figure is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    pub better: Better,
}

/// A figure that is the better the lower it is.
pub const fn lower(name: &'static str, title: &'static str, unit: &'static str) -> Kind {
    Kind { name, title, unit, better: Better::Lower }
}

/// A figure that is the better the higher it is.
pub const fn higher(name: &'static str, title: &'static str, unit: &'static str) -> Kind {
    Kind { name, title, unit, better: Better::Higher }
}

/// Figures in the order in which they first came.
#[derive(Default)]
pub struct Figures(Vec<(Figure, Vec<f64>)>);

impl Figures {
    /// One run's value.
    pub fn add(&mut self, kind: Kind, value: f64) {
        self.row(kind).0.runs.push(value);
    }

    /// The same of the floor called `title`.
    pub fn add_floor(&mut self, kind: Kind, title: &str, value: f64) {
        let (figure, floors) = self.row(kind);
        title.clone_into(&mut figure.floor_title);
        floors.push(value);
    }

    fn row(&mut self, kind: Kind) -> &mut (Figure, Vec<f64>) {
        let index = self.0.iter().position(|(figure, _)| figure.name == kind.name).unwrap_or_else(|| {
            let (name, title, unit) = (kind.name.to_owned(), kind.title.to_owned(), kind.unit.to_owned());
            self.0.push((Figure { name, title, unit, better: kind.better, ..Figure::default() }, Vec::new()));
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// Medians beside what they are the medians of.
    pub fn into_figures(self) -> Vec<Figure> {
        let figure = |(figure, floors): (Figure, Vec<f64>)| Figure {
            value: median(&figure.runs).unwrap_or_default(),
            floor: median(&floors),
            ..figure
        };
        self.0.into_iter().map(figure).collect()
    }
}

/// The middle value, or the mean of the middle two; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[values.len() / 2 - 1], upper) })
}

/// By how much `points` rise per unit of their first coordinate: the line of least squares. 0 where there is no telling.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (mean_x, mean_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (mut product, mut square) = (0.0, 0.0);
    for (x, y) in points {
        product += (x - mean_x) * (y - mean_y);
        square += (x - mean_x) * (x - mean_x);
    }
    if square > 0.0 { product / square } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_their_order_and_tell_medians() {
        const COST: Kind = lower("cost", "cost", "µs");
        let mut figures = Figures::default();
        for value in [9.0, 1.0, 5.0] {
            figures.add(COST, value);
            figures.add_floor(COST, "bare", value - 1.0);
            figures.add(higher("rate", "rate", "1/s"), value);
        }
        let figures = figures.into_figures();
        assert_eq!((figures[0].value, figures[0].floor, figures[0].ratio()), (5.0, Some(4.0), Some(1.25)));
        assert_eq!((figures[1].name.as_str(), figures[1].floor), ("rate", None));
        assert_eq!((median(&[1.0, 2.0]), median(&[])), (Some(1.5), None));
    }

    #[test]
    fn a_slope_is_the_rise_per_unit() {
        assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-9);
        assert!(slope(&[(1.0, 1.0)]).abs() < 1e-9);
    }
}
