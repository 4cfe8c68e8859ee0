//! Where a value stands on an axis, and which values the axis names. Pure.

use crate::report::number::amount;

/// Marks that an axis has, about.
const TICKS: f64 = 5.0;

/// An axis.
#[derive(Clone, Copy)]
pub(crate) enum Scale {
    /// From 0: lengths and heights are proportional to values.
    Linear { most: f64 },
    /// Powers of ten at equal distances; both ends above 0.
    Log { least: f64, most: f64 },
    /// Quantiles by 1/(1-q), so that each further nine takes as much room as the one before; up to one of `count` values.
    Quantile { count: f64 },
}

impl Scale {
    /// A linear one that ends on a mark at or above `most`.
    pub fn up_to(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = step(most);
        Self::Linear { most: (most / step).ceil() * step }
    }

    /// 0 at the beginning of the axis, 1 at its end.
    pub fn place(self, value: f64) -> f64 {
        let share = match self {
            Self::Linear { most } => value / most,
            Self::Log { least, most } => (value.max(least) / least).log10() / (most / least).log10(),
            Self::Quantile { count } => {
                let rest = (1.0 - value).max(1.0 / count);
                -rest.log10() / count.log10()
            }
        };
        share.clamp(0.0, 1.0)
    }

    /// The values that the axis names, and their names.
    pub fn ticks(self) -> Vec<(f64, String)> {
        match self {
            Self::Linear { most } => {
                let step = step(most);
                let number = (most / step).round() as u32;
                (0..=number).map(|n| f64::from(n) * step).map(|value| (value, short(value))).collect()
            }
            Self::Log { least, most } => {
                let powers = least.log10().floor() as i32..=most.log10().ceil() as i32;
                let values = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
                let inside: Vec<f64> = values.filter(|value| *value >= least * 0.999 && *value <= most * 1.001).collect();
                inside.into_iter().map(|value| (value, short(value))).collect()
            }
            Self::Quantile { count } => {
                let nines = (1..=count.log10().floor() as i32).map(|nines| {
                    let decimals = usize::try_from(nines - 2).unwrap_or(0);
                    (1.0 - 10f64.powi(-nines), format!("{:.decimals$} %", 100.0 - 100.0 * 10f64.powi(-nines)))
                });
                [(0.0, "0 %".to_owned()), (0.5, "50 %".to_owned())].into_iter().chain(nines).collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten.
fn step(most: f64) -> f64 {
    let power = 10f64.powf((most / TICKS).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| most / step <= TICKS + 0.01).unwrap_or(power)
}

/// Axes have little room: 325,000 is 325k.
fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", amount(value / 1e6)),
        1e4.. => format!("{}k", amount(value / 1e3)),
        // Beyond the digits that amounts have.
        _ if value > 0.0 && value < 1e-3 => format!("{value:.0e}"),
        _ => {
            let text = amount(value);
            if text.contains('.') { text.trim_end_matches('0').to_owned() } else { text }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scale: Scale) -> Vec<String> {
        scale.ticks().into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn linear_axes_begin_at_zero_and_end_on_a_mark() {
        assert_eq!(names(Scale::up_to(334_000.0)), ["0", "100k", "200k", "300k", "400k"]);
        assert_eq!(names(Scale::up_to(0.42)), ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(Scale::up_to(334.0).place(200.0), 0.5);
        assert_eq!(names(Scale::up_to(0.0)).first().map(String::as_str), Some("0"));
    }

    #[test]
    fn each_nine_takes_the_same_room() {
        let scale = Scale::Quantile { count: 10_000.0 };
        assert_eq!(names(scale), ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
        let places = [0.0, 0.9, 0.99, 0.999, 1.0].map(|at| (scale.place(at) * 1_000.0).round());
        assert_eq!(places, [0.0, 250.0, 500.0, 750.0, 1_000.0]);
    }

    #[test]
    fn log_axes_name_what_lies_inside() {
        assert_eq!(names(Scale::Log { least: 0.1, most: 20.0 }), ["0.1", "0.2", "0.5", "1", "2", "5", "10", "20"]);
        assert_eq!(Scale::Log { least: 1.0, most: 100.0 }.place(10.0), 0.5);
        assert_eq!(names(Scale::Log { least: 2e-5, most: 1e-4 }), ["2e-5", "5e-5", "1e-4"]);
    }
}
