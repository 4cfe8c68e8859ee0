//! What one member is to get of one strand next. Pure.

/// The place of a member in a strand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Due {
    pub strand: u32,
    /// The lowest number that may come.
    pub next: u64,
    /// How many numbers after `next` may be missing before the first that comes: of what was published while the subscription was being
    /// made nobody can say whether it belongs to it, and what lies inside a gap was admitted.
    pub slack: u64,
}

/// What a number tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Judgement {
    InOrder,
    /// So many before it did not come.
    Skipped(u64),
    /// Something as late or later has come already.
    Behind,
}

impl Due {
    /// From `next` on, exactly.
    pub fn from(strand: u32, next: u64) -> Self {
        Self { strand, next, slack: 0 }
    }

    pub fn take(&mut self, n: u64) -> Judgement {
        if n < self.next {
            return Judgement::Behind;
        }
        let latest = self.next.saturating_add(self.slack);
        self.next = n + 1;
        self.slack = 0;
        match n.saturating_sub(latest) {
            0 => Judgement::InOrder,
            skipped => Judgement::Skipped(skipped),
        }
    }

    /// A loss was admitted: whatever comes next, nothing before it is held against the server.
    pub fn excuse(&mut self) {
        self.slack = u64::MAX;
    }

    /// How many of the numbers below `given` are still to come.
    pub fn missing(&self, given: u64) -> u64 {
        given.saturating_sub(self.next.saturating_add(self.slack))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_from_the_first_one_due() {
        let mut due = Due::from(0, 0);
        assert_eq!(
            [0, 1, 3, 3, 4].map(|n| due.take(n)),
            [Judgement::InOrder, Judgement::InOrder, Judgement::Skipped(1), Judgement::Behind, Judgement::InOrder,]
        );
        assert_eq!(due.missing(7), 2);
    }

    #[test]
    fn a_subscription_begins_where_it_was_made_and_not_later() {
        let begun = Due { strand: 0, next: 10, slack: 5 };
        for (first, judgement) in [(9, Judgement::Behind), (10, Judgement::InOrder), (15, Judgement::InOrder), (16, Judgement::Skipped(1))]
        {
            assert_eq!(begun.clone().take(first), judgement, "{first}");
        }
        assert_eq!((begun.missing(15), begun.missing(16)), (0, 1));
    }

    #[test]
    fn what_was_admitted_is_not_held_against_anybody() {
        let mut due = Due::from(0, 5);
        due.excuse();
        assert_eq!(due.missing(100), 0);
        assert_eq!((due.take(50), due.take(52)), (Judgement::InOrder, Judgement::Skipped(1)));
    }
}
