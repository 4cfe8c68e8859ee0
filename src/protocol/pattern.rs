//! Patterns: what a subscription or a grant reaches.
//!
//! `*` stands for exactly one segment, a final `**` for any rest (none included). A room used as a pattern means the room and
//! everything below it. The org is always concrete: no pattern can name the rooms of two orgs (README, "isolation").

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::code::Fault;
use super::room::{ORG_CHANNEL, OrgId, REST, RoomName, RoomSyntax, SYSTEM_CHANNELS, check_segment, check_system_depth, invalid};

const ONE: &str = "*";

/// A checked pattern in canonical text: `kpi:acme`, `kpi:acme:*:support`, `*:acme:**`. One pointer wide, because sessions keep theirs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
#[schemars(description = "A pattern in canonical form: `kpi:acme`, `kpi:acme:*:support`, `*:acme:**`.")]
pub struct Pattern(#[schemars(with = "String")] Arc<Checked>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Checked {
    /// A room's own text where it is one.
    text: Arc<str>,
    org: OrgId,
    rest: bool,
    /// Whether it is a room's text, and so stands for no more than the room and what lies below.
    plain: bool,
}

/// One step of a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step<'a> {
    Name(&'a str),
    Any,
}

impl Pattern {
    fn new(text: impl Into<Arc<str>>, org: OrgId, rest: bool) -> Self {
        let text = text.into();
        let plain = rest && !text.contains('*');
        Self(Arc::new(Checked { text, org, rest, plain }))
    }

    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    pub fn org(&self) -> &OrgId {
        &self.0.org
    }

    /// Whether everything below the last step is meant too.
    pub fn reaches_below(&self) -> bool {
        self.0.rest
    }

    /// The steps from the channel down, without a final `**`.
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> + Clone {
        let named = self.as_str().strip_suffix(":**").unwrap_or(self.as_str());
        named.split(':').map(|segment| if segment == ONE { Step::Any } else { Step::Name(segment) })
    }

    /// The room itself and everything below it.
    pub fn of_room(room: &RoomName) -> Self {
        Self::new(room.shared_text(), room.org().clone(), true)
    }

    /// Everything that any channel of `org` carries: the widest grant there is.
    pub fn of_org(org: &OrgId) -> Self {
        Self::new(format!("*:{org}:**"), org.clone(), true)
    }

    /// Whether a publication into `room` reaches a subscription on this pattern, cascade aside.
    pub fn matches(&self, room: &RoomName) -> bool {
        if self.0.plain { self.matches_text(room) } else { self.matches_steps(room) }
    }

    /// Most patterns are rooms, and this is asked for each entry of a replay.
    fn matches_text(&self, room: &RoomName) -> bool {
        room.as_str().strip_prefix(self.as_str()).is_some_and(|below| below.is_empty() || below.starts_with(':'))
    }

    fn matches_steps(&self, room: &RoomName) -> bool {
        let mut segments = room.segments();
        for (depth, step) in self.steps().enumerate() {
            match segments.next() {
                Some(segment) if step_takes(depth, step, segment) => {}
                _ => return false,
            }
        }
        self.0.rest || segments.next().is_none()
    }

    /// Whether a publication into `room` reaches a subscription on this pattern. With `cascade` it reaches what lies below the room too,
    /// and everything of the org where the room is the org's own.
    pub fn is_reached_by(&self, room: &RoomName, cascade: bool) -> bool {
        if !cascade {
            return self.matches(room);
        }
        let is_above_all = room.channel() == ORG_CHANNEL && self.org() == room.org();
        is_above_all || self.matches_at_or_below(room)
    }

    /// Whether some room at or below `room` would match.
    pub fn matches_at_or_below(&self, room: &RoomName) -> bool {
        let mut steps = self.steps().enumerate();
        for segment in room.segments() {
            match steps.next() {
                Some((depth, step)) if step_takes(depth, step, segment) => {}
                Some(_) => return false,
                None => return self.0.rest,
            }
        }
        true
    }

    /// Whether every room that `other` can match is matched by this one too: a grant covers a subscription.
    pub fn covers(&self, other: &Pattern) -> bool {
        if self.org() != other.org() {
            return false;
        }
        let mut theirs = other.steps();
        for (depth, ours) in self.steps().enumerate() {
            let covered = match (ours, theirs.next()) {
                (_, None) | (Step::Name(_), Some(Step::Any)) => false,
                (Step::Any, Some(Step::Any)) => true,
                (ours, Some(Step::Name(name))) => step_takes(depth, ours, name),
            };
            if !covered {
                return false;
            }
        }
        self.0.rest || (theirs.next().is_none() && !other.0.rest)
    }
}

/// Wildcards do not reach the system channels: a grant on every channel must not open other users' own rooms.
pub(crate) fn step_takes(depth: usize, step: Step<'_>, segment: &str) -> bool {
    match step {
        Step::Name(name) => name == segment,
        Step::Any => depth > 0 || !SYSTEM_CHANNELS.contains(&segment),
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.as_str())
    }
}

impl Serialize for Pattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl RoomSyntax {
    /// Parses a room or a pattern, in short or long form, into its canonical pattern; `all` as channel means `*`.
    ///
    /// # Errors
    /// `INVALID_ROOM`, naming the offending segment.
    pub fn pattern(&self, text: &str) -> Result<Pattern, Fault> {
        self.read_pattern(text, OrgId::parse)
    }

    /// As [`RoomSyntax::pattern`], for whoever most likely means their own org: its name is then kept once.
    ///
    /// # Errors
    /// As there; another org is no error here.
    pub fn pattern_for(&self, own: &OrgId, text: &str) -> Result<Pattern, Fault> {
        self.read_pattern(text, |org| if org == own.as_str() { Ok(own.clone()) } else { OrgId::parse(org) })
    }

    fn read_pattern(&self, text: &str, org: impl FnOnce(&str) -> Result<OrgId, Fault>) -> Result<Pattern, Fault> {
        let mut segments = self.expand(text, ONE)?;
        let mut rest = segments.last() == Some(&REST);
        if rest {
            segments.pop();
        }
        if segments.len() < 2 {
            return Err(invalid(text, "a pattern names its org, as in *:acme:**"));
        }
        // `all` stands for every channel, so that `all:acme` reaches below as `kpi:acme` does for one.
        let every_channel = segments[0] == "all";
        if every_channel {
            segments[0] = ONE;
        }
        if segments[0] != ONE {
            self.check_channel(segments[0])?;
            check_system_depth(&segments)?;
        }
        for (index, segment) in segments.iter().enumerate().skip(1) {
            if *segment == ONE && index == 1 {
                return Err(invalid(text, "the org cannot be a wildcard"));
            }
            if *segment == ONE && segments[0] != ONE && SYSTEM_CHANNELS.contains(&segments[0]) {
                return Err(invalid(text, "the org and user channels take no wildcards"));
            }
            if *segment != ONE {
                check_segment(segment)?;
            }
        }
        let org = org(segments[1])?;
        let plain = !segments.contains(&ONE);
        rest |= every_channel && !segments[1..].contains(&ONE);
        let mut canonical = segments.join(":");
        if rest && !plain {
            canonical.push_str(":**");
        }
        rest |= plain;
        Ok(Pattern::new(canonical, org, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn syntax() -> RoomSyntax {
        RoomSyntax::new(4, ["kpi", "chat"])
    }

    fn matches(pattern: &str, room: &str) -> bool {
        syntax().pattern(pattern).unwrap().matches(&syntax().room(room).unwrap())
    }

    #[test]
    fn a_room_means_itself_and_what_lies_below() {
        assert!(matches("kpi:acme", "kpi:acme"));
        assert!(matches("kpi:acme", "kpi:acme:sales:support"));
        assert!(!matches("kpi:acme:sales", "kpi:acme"));
        assert!(!matches("kpi:acme", "kpi:other"));
        assert!(!matches("kpi:acme", "chat:acme"));
    }

    #[test]
    fn wildcards_stand_for_one_segment_or_any_rest() {
        assert!(matches("kpi:acme:*:support", "kpi:acme:sales:support"));
        assert!(!matches("kpi:acme:*:support", "kpi:acme:sales"));
        assert!(matches("kpi:acme:*", "kpi:acme:sales"));
        assert!(!matches("kpi:acme:*", "kpi:acme:sales:support"));
        assert!(matches("kpi:acme:*:**", "kpi:acme:sales:support"));
        assert!(!matches("kpi:acme:*:**", "kpi:acme"));
        assert!(matches("*:acme:**", "chat:acme"));
        assert!(matches("all:acme:**", "chat:acme"));
        assert!(matches("all:acme", "chat:acme:sales"));
        assert!(!matches("*:acme", "chat:acme:sales"));
    }

    #[test]
    fn no_wildcard_opens_another_users_room() {
        assert!(!matches("*:acme:**", "user:acme:alice"));
        assert!(!matches("*:acme:**", "org:acme"));
        assert!(matches("user:acme:alice", "user:acme:alice"));
        let wide = syntax().pattern("*:acme:**").unwrap();
        assert!(!wide.covers(&syntax().pattern("user:acme:alice").unwrap()));
    }

    #[test]
    fn a_queue_without_a_department_means_any_department() {
        assert_eq!(syntax().pattern("kpi:org:acme:queue:support").unwrap().as_str(), "kpi:acme:*:support");
    }

    #[test]
    fn equal_meaning_is_equal_text() {
        assert_eq!(syntax().pattern("kpi:acme:**").unwrap(), syntax().pattern("kpi:acme").unwrap());
    }

    #[test]
    fn the_canonical_text_of_a_pattern_of_full_depth_is_read_again() {
        let pattern = syntax().pattern("all:acme:sales:support").unwrap();
        assert_eq!((pattern.as_str(), syntax().pattern(pattern.as_str())), ("*:acme:sales:support:**", Ok(pattern.clone())));
        assert!(syntax().pattern("kpi:acme:a:b:c:**").is_err());
        assert!(syntax().room("kpi:acme:a:b:**").is_err());
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in
            ["*", "**", "kpi:*", "kpi:**", "*:*:x", "kpi:acme:**:x", "user:acme:*", "user:acme", "org:acme:*", "kpi:acme:a*", "nope:acme"]
        {
            assert!(syntax().pattern(bad).is_err(), "{bad:?}");
        }
    }

    fn segment() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just("*")]
    }

    prop_compose! {
        fn any_pattern()(channel in prop_oneof![Just("kpi"), Just("chat"), Just("*")], below in prop::collection::vec(segment(), 0..=2),
                         rest: bool) -> Pattern {
            let mut text = format!("{channel}:acme");
            for segment in below { text = format!("{text}:{segment}"); }
            if rest && text.matches(':').count() < 3 { text.push_str(":**"); }
            syntax().pattern(&text).unwrap()
        }
    }

    prop_compose! {
        fn any_room()(channel in prop_oneof![Just("kpi"), Just("chat")], below in prop::collection::vec(prop_oneof![Just("a"), Just("b")], 0..=2))
                     -> RoomName {
            let mut text = format!("{channel}:acme");
            for segment in below { text = format!("{text}:{segment}"); }
            syntax().room(&text).unwrap()
        }
    }

    proptest! {
        #[test]
        fn what_a_covered_pattern_matches_the_covering_one_matches(wide in any_pattern(), narrow in any_pattern(), room in any_room()) {
            if wide.covers(&narrow) && narrow.matches(&room) {
                prop_assert!(wide.matches(&room));
            }
        }

        #[test]
        fn a_rooms_text_says_what_its_steps_say(pattern in "kpi:acme(:(a|ab|b)){0,2}", room in "kpi:acme(:(a|ab|b|bb)){0,2}") {
            let (pattern, room) = (syntax().pattern(&pattern).unwrap(), syntax().room(&room).unwrap());
            prop_assert_eq!(pattern.matches_text(&room), pattern.matches_steps(&room));
        }

        #[test]
        fn any_text_is_judged_without_panic(text in ".{0,80}") {
            let _ = syntax().pattern(&text);
            let _ = syntax().room(&text);
        }
    }
}
