//! Subscriptions with a filter: from a publication to the sessions whose filter it passes.
//!
//! Pure. The org's task owns one beside its router, which knows nothing of filters, so that they cost nothing to those who have
//! none. Sessions with the same pattern and filter are a group; the sieve's own router leads from a room to groups, and each
//! distinct filter is asked once per publication, however many groups and sessions have it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::router::{Router, Slot};
use super::shelf::Shelf;
use crate::protocol::filter::Document;
use crate::protocol::{Filter, Pattern, Publication};

/// A group's place, which stands for a slot in the router.
type Place = u32;

/// All subscriptions with a filter of one org on this node.
#[derive(Default)]
pub struct Sieve {
    router: Router,
    groups: Shelf<Group>,
    places: HashMap<(Pattern, Filter), Place>,
    filters: HashMap<Filter, Known>,
    /// By the number of the filter.
    verdicts: Vec<Verdict>,
    /// Numbers that no filter has any more.
    free: Vec<u32>,
    /// Sessions by pattern, whatever their filter.
    members: HashMap<Pattern, usize>,
    /// Counts publications.
    round: u64,
}

/// Sessions that subscribed to the same pattern with the same filter.
struct Group {
    pattern: Pattern,
    filter: Filter,
    number: u32,
    /// In rising order, as in the router.
    slots: Vec<Slot>,
}

/// A filter that some group has.
struct Known {
    number: u32,
    groups: u32,
}

/// What a filter said of the publication of a round.
#[derive(Clone, Copy, Default)]
struct Verdict {
    round: u64,
    passes: bool,
}

impl Sieve {
    /// Adds a subscription. The answer is the same pattern and filter, one for all that have them.
    pub fn subscribe(&mut self, pattern: &Pattern, filter: &Filter, slot: Slot) -> Option<(Pattern, Filter)> {
        let place = match self.places.get(&(pattern.clone(), filter.clone())) {
            Some(place) => *place,
            None => self.found(pattern, filter)?,
        };
        let group = self.groups.get_mut(place)?;
        if let Err(at) = group.slots.binary_search(&slot) {
            group.slots.insert(at, slot);
            *self.members.entry(group.pattern.clone()).or_default() += 1;
        }
        Some((group.pattern.clone(), group.filter.clone()))
    }

    fn found(&mut self, pattern: &Pattern, filter: &Filter) -> Option<Place> {
        let (filter, number) = match self.filters.get_key_value(filter) {
            Some((same, known)) => (same.clone(), known.number),
            None => (filter.clone(), self.free.pop().unwrap_or(self.filters.len() as u32)),
        };
        let place = self.groups.insert(Group { pattern: pattern.clone(), filter: filter.clone(), number, slots: Vec::new() })?;
        let verdicts_needed = number as usize + 1;
        if self.verdicts.len() < verdicts_needed {
            self.verdicts.resize(verdicts_needed, Verdict::default());
        }
        // Another filter had this number.
        self.verdicts[number as usize] = Verdict::default();
        self.filters.entry(filter.clone()).or_insert(Known { number, groups: 0 }).groups += 1;
        self.router.subscribe(pattern, place);
        self.places.insert((pattern.clone(), filter), place);
        Some(place)
    }

    /// Removes a subscription and whatever nobody needs any more.
    pub fn unsubscribe(&mut self, pattern: &Pattern, filter: &Filter, slot: Slot) {
        let key = (pattern.clone(), filter.clone());
        let Some(place) = self.places.get(&key).copied() else { return };
        let Some(group) = self.groups.get_mut(place) else { return };
        let Ok(at) = group.slots.binary_search(&slot) else { return };
        group.slots.remove(at);
        let is_empty = group.slots.is_empty();
        if let Some(members) = self.members.get_mut(pattern) {
            *members -= 1;
            if *members == 0 {
                self.members.remove(pattern);
            }
        }
        if !is_empty {
            return;
        }
        self.places.remove(&key);
        self.groups.remove(place);
        self.router.unsubscribe(pattern, place);
        if let Some(known) = self.filters.get_mut(filter) {
            known.groups -= 1;
            if known.groups == 0 {
                self.free.push(known.number);
                self.filters.remove(filter);
            }
        }
    }

    /// Visits every slot that the publication reaches by a subscription whose filter it passes.
    pub fn visit(&mut self, publication: &Arc<Publication>, visit: &mut impl FnMut(Slot)) {
        self.round += 1;
        let document = OnceCell::new();
        let Self { router, groups, verdicts, round, .. } = self;
        router.visit(&publication.room, publication.cascade, &mut |place| {
            let Some(group) = groups.get(place) else { return };
            let verdict = &mut verdicts[group.number as usize];
            if verdict.round != *round {
                let passes = group.filter.passes(document.get_or_init(|| Document::of(publication)));
                *verdict = Verdict { round: *round, passes };
            }
            if verdict.passes {
                group.slots.iter().for_each(|slot| visit(*slot));
            }
        });
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub fn knows(&self, filter: &Filter) -> bool {
        self.filters.contains_key(filter)
    }

    /// Different filters.
    pub fn filters(&self) -> usize {
        self.filters.len()
    }

    /// Different patterns with a subscription.
    pub fn patterns(&self) -> usize {
        self.members.len()
    }

    /// How many subscriptions are on exactly this pattern.
    pub fn members(&self, pattern: &Pattern) -> usize {
        self.members.get(pattern).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{EventName, NewPublication, RoomSyntax};

    const PATTERNS: [&str; 5] = ["kpi:acme", "kpi:acme:a", "kpi:acme:*:q", "*:acme:**", "kpi:acme:a:q"];
    const ROOMS: [&str; 5] = ["kpi:acme", "kpi:acme:a", "kpi:acme:a:q", "chat:acme", "org:acme"];
    const FILTERS: [&str; 4] = ["n = 1", "n > 1", "not n = 1", "m exists"];

    proptest! {
        #[test]
        fn it_reaches_whom_the_naive_model_reaches(
            steps in prop::collection::vec((any::<bool>(), 0usize..5, 0usize..4, 0u32..5), 0..60),
            publications in prop::collection::vec((0usize..5, any::<bool>(), 0u8..4), 1..8),
        ) {
            let syntax = RoomSyntax::new(4, ["kpi", "chat"]);
            let (mut sieve, mut model) = (Sieve::default(), BTreeSet::new());
            for (subscribes, pattern, filter, slot) in steps {
                let (named, filter_read) = (syntax.pattern(PATTERNS[pattern]).unwrap(), Filter::parse(FILTERS[filter]).unwrap());
                if subscribes {
                    let shared = sieve.subscribe(&named, &filter_read, slot).unwrap();
                    prop_assert_eq!(shared, (named, filter_read));
                    model.insert((pattern, filter, slot));
                } else {
                    sieve.unsubscribe(&named, &filter_read, slot);
                    model.remove(&(pattern, filter, slot));
                }
            }
            prop_assert_eq!(sieve.filters(), model.iter().map(|(_, filter, _)| filter).collect::<BTreeSet<_>>().len());
            prop_assert_eq!(sieve.patterns(), model.iter().map(|(pattern, ..)| pattern).collect::<BTreeSet<_>>().len());
            for (index, text) in PATTERNS.iter().enumerate() {
                let members = model.iter().filter(|(pattern, ..)| *pattern == index).count();
                prop_assert_eq!(sieve.members(&syntax.pattern(text).unwrap()), members);
            }
            for (room, cascade, number) in publications {
                let mut new = NewPublication::new(
                    syntax.room(ROOMS[room]).unwrap(),
                    EventName::parse("kpi:update").unwrap(),
                    Bytes::from(format!(r#"{{"n":{number}}}"#)),
                );
                new.cascade = cascade;
                let publication = Arc::new(new.placed(None, 1));
                let document = Document::of(&publication);
                let reached = |(pattern, filter, _): &&(usize, usize, u32)| {
                    syntax.pattern(PATTERNS[*pattern]).unwrap().is_reached_by(&publication.room, cascade)
                        && Filter::parse(FILTERS[*filter]).unwrap().passes(&document)
                };
                let naive: BTreeSet<Slot> = model.iter().filter(reached).map(|(.., slot)| *slot).collect();
                let mut visited = BTreeSet::new();
                sieve.visit(&publication, &mut |slot| { visited.insert(slot); });
                prop_assert_eq!(visited, naive);
            }
            for (pattern, filter, slot) in model {
                sieve.unsubscribe(&syntax.pattern(PATTERNS[pattern]).unwrap(), &Filter::parse(FILTERS[filter]).unwrap(), slot);
            }
            prop_assert!(sieve.is_empty() && sieve.filters() == 0 && sieve.patterns() == 0 && sieve.router.patterns() == 0);
        }
    }
}
