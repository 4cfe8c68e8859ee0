//! From a room to its subscribers: a trie over pattern steps, one per org.
//!
//! Pure. The org's task owns it and asks it for every publication; it knows slots (places in the org's session table), not
//! sessions. A slot may be visited more than once for one room; the caller's marks make that one delivery.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::protocol::pattern::{Pattern, Step, step_takes};
use crate::protocol::room::{ORG_CHANNEL, RoomName};

/// A session's place in its org's table.
pub type Slot = u32;

/// Most patterns of an org are rooms of one user each; so many slots need no room of their own.
const SLOTS_WITHIN: usize = 4;

/// All subscriptions of one org on this node.
#[derive(Debug, Default)]
pub struct Router {
    root: Node,
    subscriptions: usize,
    patterns: usize,
}

/// Most nodes have one child or one member at most, and an org has one node for each of its users, so what is empty takes no room.
#[derive(Debug, Default)]
struct Node {
    named: Option<Box<HashMap<Box<str>, Node>>>,
    any: Option<Box<Node>>,
    /// Of the pattern that ends here.
    exact: Option<Box<Members>>,
    /// Of the pattern that ends here and means everything below too.
    below: Option<Box<Members>>,
}

/// Who is subscribed to one pattern.
#[derive(Debug)]
struct Members {
    pattern: Pattern,
    /// In rising order: who comes has mostly the highest, so that it need only be put at the end, and a delivery goes through the sessions as
    /// they lie in memory. Leaving a room of 10,000 moves 20 KB on average, which is less than looking into an index twice.
    slots: SmallVec<[Slot; SLOTS_WITHIN]>,
}

impl Router {
    /// Adds a subscription; `None` when the slot already had it. The answer is the same pattern, one for all that have it.
    pub fn subscribe(&mut self, pattern: &Pattern, slot: Slot) -> Option<Pattern> {
        let mut node = &mut self.root;
        for (_, step) in routed(pattern) {
            node = match step {
                Step::Any => node.any.get_or_insert_default(),
                Step::Name(name) => {
                    let named = node.named.get_or_insert_default();
                    if !named.contains_key(name) {
                        named.insert(name.into(), Node::default());
                    }
                    named.get_mut(name).expect("the key was just seen")
                }
            };
        }
        let members = node.place(pattern.reaches_below());
        self.patterns += usize::from(members.is_none());
        let members = members.get_or_insert_with(|| Box::new(Members::of(pattern)));
        members.insert(slot).then(|| {
            self.subscriptions += 1;
            members.pattern.clone()
        })
    }

    /// Removes a subscription and whatever part of the trie nobody needs any more.
    pub fn unsubscribe(&mut self, pattern: &Pattern, slot: Slot) {
        let steps: Vec<Step<'_>> = routed(pattern).map(|(_, step)| step).collect();
        if self.root.remove(&steps, pattern, slot) {
            self.subscriptions -= 1;
            self.patterns -= usize::from(self.members(pattern) == 0);
        }
    }

    /// How many sessions have exactly this pattern.
    pub fn members(&self, pattern: &Pattern) -> usize {
        let mut node = &self.root;
        for (_, step) in routed(pattern) {
            let next = match step {
                Step::Any => node.any.as_deref(),
                Step::Name(name) => node.child(name),
            };
            match next {
                Some(next) => node = next,
                None => return 0,
            }
        }
        let members = if pattern.reaches_below() { &node.below } else { &node.exact };
        members.as_ref().map_or(0, |members| members.slots.len())
    }

    /// Visits every slot that a publication into `room` reaches; with `cascade` also those subscribed below the room.
    pub fn visit(&self, room: &RoomName, cascade: bool, visit: &mut impl FnMut(Slot)) {
        let mut segments = room.segments();
        let channel = segments.next().unwrap_or_default();
        segments.next();
        visit_members(&self.root.below, visit);
        if cascade && channel == ORG_CHANNEL {
            // The org room with cascade is above every channel: it reaches every session of the org.
            return self.root.visit_all(visit);
        }
        if let Some(node) = self.root.child(channel) {
            node.walk(segments.clone(), cascade, visit);
        }
        if let Some(node) = self.root.any.as_deref()
            && step_takes(0, Step::Any, channel)
        {
            node.walk(segments, cascade, visit);
        }
    }

    pub fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// Different patterns with a subscription.
    pub fn patterns(&self) -> usize {
        self.patterns
    }
}

/// The steps that tell rooms of one org apart: all but the org itself.
fn routed(pattern: &Pattern) -> impl Iterator<Item = (usize, Step<'_>)> {
    pattern.steps().enumerate().filter(|(depth, _)| *depth != 1)
}

impl Node {
    fn child(&self, name: &str) -> Option<&Self> {
        self.named.as_ref()?.get(name)
    }

    fn place(&mut self, below: bool) -> &mut Option<Box<Members>> {
        if below { &mut self.below } else { &mut self.exact }
    }

    /// `segments` are those below this node.
    fn walk<'a>(&self, mut segments: impl Iterator<Item = &'a str> + Clone, cascade: bool, visit: &mut impl FnMut(Slot)) {
        visit_members(&self.below, visit);
        match segments.next() {
            Some(segment) => {
                if let Some(node) = self.child(segment) {
                    node.walk(segments.clone(), cascade, visit);
                }
                if let Some(node) = self.any.as_deref() {
                    node.walk(segments, cascade, visit);
                }
            }
            None if cascade => {
                visit_members(&self.exact, visit);
                self.visit_below(visit);
            }
            None => visit_members(&self.exact, visit),
        }
    }

    fn visit_below(&self, visit: &mut impl FnMut(Slot)) {
        let named = self.named.iter().flat_map(|named| named.values());
        for node in named.chain(self.any.as_deref()) {
            node.visit_all(visit);
        }
    }

    fn visit_all(&self, visit: &mut impl FnMut(Slot)) {
        visit_members(&self.exact, visit);
        visit_members(&self.below, visit);
        self.visit_below(visit);
    }

    fn remove(&mut self, steps: &[Step<'_>], pattern: &Pattern, slot: Slot) -> bool {
        let Some((step, rest)) = steps.split_first() else { return self.remove_member(pattern.reaches_below(), slot) };
        match step {
            Step::Any => {
                let Some(node) = self.any.as_deref_mut() else { return false };
                let removed = node.remove(rest, pattern, slot);
                if node.is_empty() {
                    self.any = None;
                }
                removed
            }
            Step::Name(name) => {
                let Some(named) = &mut self.named else { return false };
                let Some(node) = named.get_mut(*name) else { return false };
                let removed = node.remove(rest, pattern, slot);
                if node.is_empty() {
                    named.remove(*name);
                }
                if named.is_empty() {
                    self.named = None;
                }
                removed
            }
        }
    }

    fn remove_member(&mut self, below: bool, slot: Slot) -> bool {
        let place = self.place(below);
        let removed = place.as_mut().is_some_and(|members| members.remove(slot));
        if place.as_ref().is_some_and(|members| members.slots.is_empty()) {
            *place = None;
        }
        removed
    }

    fn is_empty(&self) -> bool {
        self.named.is_none() && self.any.is_none() && self.exact.is_none() && self.below.is_none()
    }
}

fn visit_members(members: &Option<Box<Members>>, visit: &mut impl FnMut(Slot)) {
    if let Some(members) = members {
        members.slots.iter().copied().for_each(visit);
    }
}

impl Members {
    fn of(pattern: &Pattern) -> Self {
        Self { pattern: pattern.clone(), slots: SmallVec::new() }
    }

    fn insert(&mut self, slot: Slot) -> bool {
        let place = self.slots.binary_search(&slot);
        place.map_err(|place| self.slots.insert(place, slot)).is_err()
    }

    fn remove(&mut self, slot: Slot) -> bool {
        let place = self.slots.binary_search(&slot);
        place.map(|place| self.slots.remove(place)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::RoomSyntax;

    fn syntax() -> RoomSyntax {
        RoomSyntax::new(5, ["kpi", "chat"])
    }

    fn any_pattern() -> impl Strategy<Value = Pattern> {
        let channel = prop_oneof![Just("kpi"), Just("chat"), Just("*")];
        let below = prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("*")], 0..=3);
        let ordinary = (channel, below, any::<bool>()).prop_map(|(channel, below, rest)| {
            let mut text = format!("{channel}:acme");
            for segment in &below {
                text = format!("{text}:{segment}");
            }
            if rest && below.len() < 3 {
                text.push_str(":**");
            }
            syntax().pattern(&text).unwrap()
        });
        let system = prop_oneof![Just("org:acme"), Just("user:acme:alice"), Just("user:acme:bob")];
        prop_oneof![8 => ordinary, 1 => system.prop_map(|text| syntax().pattern(text).unwrap())]
    }

    fn any_room() -> impl Strategy<Value = RoomName> {
        let below = prop::collection::vec(prop_oneof![Just("a"), Just("b")], 0..=3);
        let ordinary = (prop_oneof![Just("kpi"), Just("chat")], below).prop_map(|(channel, below)| {
            let text = below.iter().fold(format!("{channel}:acme"), |text, segment| format!("{text}:{segment}"));
            syntax().room(&text).unwrap()
        });
        let system = prop_oneof![Just("org:acme"), Just("user:acme:alice")];
        prop_oneof![8 => ordinary, 1 => system.prop_map(|text| syntax().room(text).unwrap())]
    }

    fn naive(subscriptions: &BTreeSet<(Pattern, Slot)>, room: &RoomName, cascade: bool) -> BTreeSet<Slot> {
        let everyone = cascade && room.channel() == "org";
        let reached = |pattern: &Pattern| everyone || pattern.matches(room) || (cascade && pattern.matches_at_or_below(room));
        subscriptions.iter().filter(|(pattern, _)| reached(pattern)).map(|(_, slot)| *slot).collect()
    }

    proptest! {
        #[test]
        fn reaches_whom_the_naive_model_reaches(
            steps in prop::collection::vec((any::<bool>(), any_pattern(), 0u32..6), 0..60),
            rooms in prop::collection::vec((any_room(), any::<bool>()), 1..8),
        ) {
            let (mut router, mut model) = (Router::default(), BTreeSet::new());
            for (subscribe, pattern, slot) in steps {
                if subscribe {
                    prop_assert_eq!(router.subscribe(&pattern, slot).is_some(), model.insert((pattern, slot)));
                } else {
                    router.unsubscribe(&pattern, slot);
                    model.remove(&(pattern, slot));
                }
            }
            prop_assert_eq!(router.subscriptions(), model.len());
            prop_assert_eq!(router.patterns(), model.iter().map(|(pattern, _)| pattern).collect::<BTreeSet<_>>().len());
            for (room, cascade) in rooms {
                let mut reached = BTreeSet::new();
                router.visit(&room, cascade, &mut |slot| { reached.insert(slot); });
                prop_assert_eq!(reached, naive(&model, &room, cascade), "{} cascade={}", room, cascade);
            }
            for (pattern, slot) in &model {
                router.unsubscribe(pattern, *slot);
            }
            prop_assert!(router.root.is_empty());
        }

        #[test]
        fn large_rooms_keep_their_members_straight(steps in prop::collection::vec((any::<bool>(), 0u32..200), 0..600)) {
            let (mut members, mut model) = (Members::of(&syntax().pattern("kpi:acme").unwrap()), BTreeSet::new());
            for slot in 0..100 { members.insert(slot); model.insert(slot); }
            for (insert, slot) in steps {
                if insert { prop_assert_eq!(members.insert(slot), model.insert(slot)); }
                else { prop_assert_eq!(members.remove(slot), model.remove(&slot)); }
            }
            prop_assert!(members.slots.iter().eq(&model));
        }
    }
}
