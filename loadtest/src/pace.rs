//! How publications follow each other. Pure.

use std::time::Duration;

/// When the next publication may follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// So many at once, whenever everybody has all former ones.
    Burst(u64),
    /// As soon as fewer than so many are under way to anybody.
    Window(u64),
    /// As soon as fewer than so many wait for their acknowledgement.
    Unanswered(u64),
    /// So many per second, whatever is under way.
    Rate(u32),
}

impl Pace {
    /// How many more may follow, `elapsed` after the first: so many are published, everybody has so many of them, and so many are
    /// answered.
    pub fn more(self, published: u64, complete: u64, answered: u64, elapsed: Duration) -> u64 {
        match self {
            Self::Burst(size) => {
                if complete < published {
                    0
                } else {
                    size
                }
            }
            Self::Window(size) => (complete + size).saturating_sub(published),
            Self::Unanswered(size) => (answered + size).saturating_sub(published),
            Self::Rate(rate) => ((elapsed.as_secs_f64() * f64::from(rate)) as u64 + 1).saturating_sub(published),
        }
    }

    /// The same where the publisher has no members of its own whose receipts could be waited for: acknowledgements are.
    pub fn unheard(self) -> Self {
        match self {
            Self::Burst(size) | Self::Window(size) => Self::Unanswered(size),
            Self::Unanswered(_) | Self::Rate(_) => self,
        }
    }

    /// How long after the first publication `number` is due; `None` where it is as soon as it may.
    pub fn due(self, number: u64) -> Option<Duration> {
        match self {
            Self::Rate(rate) => Some(Duration::from_nanos(number * 1_000_000_000 / u64::from(rate.max(1)))),
            Self::Burst(_) | Self::Window(_) | Self::Unanswered(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_wait_for_everybody_and_windows_for_somebody() {
        assert_eq!(
            [(0, 0), (8, 7), (8, 8)].map(|(published, complete)| Pace::Burst(8).more(published, complete, 0, Duration::ZERO)),
            [8, 0, 8]
        );
        assert_eq!(
            [(0, 0), (8, 7), (8, 8)].map(|(published, complete)| Pace::Window(8).more(published, complete, 0, Duration::ZERO)),
            [8, 7, 8]
        );
        assert_eq!(Pace::Unanswered(2).more(5, 0, 4, Duration::ZERO), 1);
    }

    #[test]
    fn a_rate_does_not_wait_for_anybody() {
        let pace = Pace::Rate(1_000);
        assert_eq!(pace.more(0, 0, 0, Duration::ZERO), 1);
        assert_eq!(pace.more(1, 0, 0, Duration::from_micros(999)), 0);
        assert_eq!(pace.more(1, 0, 0, Duration::from_millis(5)), 5);
        assert_eq!(pace.due(5), Some(Duration::from_millis(5)));
    }
}
