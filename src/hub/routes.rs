//! Where a subscription is entered so that live publications find it: the router, or, with a filter, the sieve.
//!
//! Pure. The org's task lends both to whatever changes a session's subscriptions.

use super::router::{Router, Slot};
use super::sieve::Sieve;
use crate::protocol::{Filter, Pattern};

/// The ways of one org's publications, on loan.
pub(super) struct Routes<'a> {
    pub router: &'a mut Router,
    /// `None` while nobody has a filter.
    pub sieve: &'a mut Option<Box<Sieve>>,
}

impl Routes<'_> {
    /// Enters a subscription, or finds it entered. The answer is the same pattern and filter, where possible one for all that
    /// have them.
    pub fn enter(&mut self, pattern: &Pattern, filter: Option<&Filter>, slot: Slot) -> (Pattern, Option<Filter>) {
        let Some(filter) = filter else {
            return (self.router.subscribe(pattern, slot).unwrap_or_else(|| pattern.clone()), None);
        };
        match self.sieve.get_or_insert_default().subscribe(pattern, filter, slot) {
            Some((pattern, filter)) => (pattern, Some(filter)),
            None => (pattern.clone(), Some(filter.clone())),
        }
    }

    pub fn leave(&mut self, pattern: &Pattern, filter: Option<&Filter>, slot: Slot) {
        let Some(filter) = filter else { return self.router.unsubscribe(pattern, slot) };
        if let Some(sieve) = self.sieve {
            sieve.unsubscribe(pattern, filter, slot);
            if sieve.is_empty() {
                *self.sieve = None;
            }
        }
    }

    /// How many subscriptions are on exactly this pattern.
    pub fn members(&self, pattern: &Pattern) -> usize {
        self.router.members(pattern) + self.sieve.as_ref().map_or(0, |sieve| sieve.members(pattern))
    }

    /// Whether a filter is known, or one more may be.
    pub fn takes(&self, filter: &Filter, filters_max: usize) -> bool {
        self.sieve.as_ref().map_or(filters_max > 0, |sieve| sieve.filters() < filters_max || sieve.knows(filter))
    }

    /// How many of these filters would be new.
    pub fn new_filters<'f>(&self, filters: impl Iterator<Item = &'f Filter>) -> usize {
        let unknown = filters.filter(|filter| self.sieve.as_ref().is_none_or(|sieve| !sieve.knows(filter)));
        unknown.collect::<std::collections::HashSet<_>>().len()
    }
}
