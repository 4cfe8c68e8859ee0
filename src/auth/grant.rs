//! Grants: the proof that a principal may have what it asks for. The only maker of [`Grant`]s.
//!
//! The session asks here for every subscribe and publish; the hub takes a [`Grant`], never a string, so nothing that was not
//! checked here can reach a room (README, "isolation"). Pure; a list of rights that cannot be read is refused, never widened.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::principal::Principal;
use crate::protocol::{Code, Fault, OrgId, Pattern, RoomName, RoomSyntax};

/// Most grants that one token may carry, its roles' included.
pub const GRANTS_MAX: usize = 256;

/// What may be done with the rooms of a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    Subscribe,
    Publish,
    Presence,
    History,
}

impl Right {
    pub const ALL: [Self; 4] = [Self::Subscribe, Self::Publish, Self::Presence, Self::History];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Presence => "presence",
            Self::History => "history",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == text)
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A pattern that its principal may subscribe to. Cannot be made outside this file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pattern: Pattern,
}

impl Grant {
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub fn org(&self) -> &OrgId {
        self.pattern.org()
    }

    pub fn into_pattern(self) -> Pattern {
        self.pattern
    }
}

/// Why a grants claim was refused. `index` counts from 0 within its list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GrantError {
    #[error("grants must be a list of {{\"pattern\", \"rights\"}} or of texts such as \"subscribe:kpi:acme\"")]
    NotAList,
    #[error("there are more than {GRANTS_MAX} grants")]
    TooMany,
    #[error("grant {index}: {why}")]
    Malformed { index: usize, why: String },
    #[error("grant {index} is for another org than the token's")]
    ForeignOrg { index: usize },
}

/// What a principal is granted; the default for one's own org takes no memory, a listed one is shared by clones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GrantList {
    /// `None` is the default: subscribe to everything of one's own org.
    rules: Option<Arc<[Rule]>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Rule {
    pattern: Pattern,
    rights: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    pattern: String,
    rights: Vec<Right>,
}

impl GrantList {
    /// Subscribe to everything of one's own org: what a token without grants has.
    pub const OWN_ORG: Self = Self { rules: None };

    /// Reads the grants claim, `[{"pattern":"kpi:acme:**","rights":["subscribe"]}]` or `["publish:chat:acme"]`, and adds
    /// those that roles bring, in the compact form. Without a claim the default stands, and an empty list grants nothing.
    ///
    /// # Errors
    /// [`GrantError`] for the first one that is malformed or belongs to another org than `org`.
    pub fn read(claim: Option<&Value>, added: &[String], org: &OrgId, syntax: &RoomSyntax) -> Result<Self, GrantError> {
        let listed = match claim {
            None if added.is_empty() => return Ok(Self::OWN_ORG),
            None => &[],
            Some(Value::Array(listed)) => listed.as_slice(),
            Some(_) => return Err(GrantError::NotAList),
        };
        if listed.len() + added.len() > GRANTS_MAX {
            return Err(GrantError::TooMany);
        }
        let mut rules = Vec::with_capacity(listed.len() + added.len() + 1);
        if claim.is_none() {
            rules.push(Rule { pattern: Pattern::of_org(org), rights: Right::Subscribe.bit() });
        }
        for (index, entry) in listed.iter().enumerate() {
            rules.push(Rule::read(entry, index, org, syntax)?);
        }
        for (index, text) in added.iter().enumerate() {
            rules.push(Rule::compact(text, index, org, syntax)?);
        }
        Ok(Self { rules: Some(rules.into()) })
    }

    fn rules(&self, own: &OrgId) -> Vec<Rule> {
        let default = || vec![Rule { pattern: Pattern::of_org(own), rights: Right::Subscribe.bit() }];
        self.rules.as_ref().map_or_else(default, |rules| rules.to_vec())
    }

    fn any(&self, own: &OrgId, right: Right, suffices: impl Fn(&Pattern) -> bool) -> bool {
        match &self.rules {
            None => right == Right::Subscribe && suffices(&Pattern::of_org(own)),
            Some(rules) => rules.iter().any(|rule| rule.rights & right.bit() != 0 && suffices(&rule.pattern)),
        }
    }
}

impl Rule {
    fn read(entry: &Value, index: usize, org: &OrgId, syntax: &RoomSyntax) -> Result<Self, GrantError> {
        if let Value::String(text) = entry {
            return Self::compact(text, index, org, syntax);
        }
        let spelled = Spelled::deserialize(entry).map_err(|error| GrantError::Malformed { index, why: error.to_string() })?;
        let rights = spelled.rights.iter().fold(0, |bits, right| bits | right.bit());
        Self::checked(&spelled.pattern, rights, index, org, syntax)
    }

    /// `subscribe:kpi:acme:**`: the right, then the pattern.
    fn compact(text: &str, index: usize, org: &OrgId, syntax: &RoomSyntax) -> Result<Self, GrantError> {
        let (right, pattern) = text.split_once(':').unwrap_or((text, ""));
        let Some(right) = Right::parse(right) else {
            let why = "it must begin with subscribe:, publish:, presence: or history:".to_owned();
            return Err(GrantError::Malformed { index, why });
        };
        Self::checked(pattern, right.bit(), index, org, syntax)
    }

    fn checked(text: &str, rights: u8, index: usize, org: &OrgId, syntax: &RoomSyntax) -> Result<Self, GrantError> {
        let pattern = syntax.pattern_for(org, text).map_err(|fault| GrantError::Malformed { index, why: fault.message.into_owned() })?;
        if pattern.org() != org {
            return Err(GrantError::ForeignOrg { index });
        }
        Ok(Self { pattern, rights })
    }
}

impl Principal {
    /// Turns a wish into a grant: one's own org and user rooms always, others as the token says.
    ///
    /// # Errors
    /// `UNAUTHORIZED`, naming the pattern.
    pub fn grant_subscribe(&self, pattern: Pattern) -> Result<Grant, Fault> {
        if !self.owns(&pattern) {
            self.may(Right::Subscribe, &pattern)?;
        }
        Ok(Grant { pattern })
    }

    /// Everything that the grants allow to subscribe to, without what another of them covers.
    pub fn subscribable(&self) -> Vec<Grant> {
        let rules = self.grants().rules(self.org()).into_iter();
        widest(rules.filter(|rule| rule.rights & Right::Subscribe.bit() != 0).map(|rule| rule.pattern).collect())
    }

    /// What the grants allow to subscribe to in these channels; those that there are not are passed over.
    pub fn subscribable_in(&self, channels: &[&str], syntax: &RoomSyntax) -> Vec<Grant> {
        let mut patterns = Vec::new();
        for grant in self.subscribable() {
            let (first, rest) = grant.pattern.as_str().split_once(':').unwrap_or_default();
            let meant = channels.iter().filter(|channel| first == "*" || first == **channel);
            patterns.extend(meant.filter_map(|channel| syntax.pattern_for(self.org(), &format!("{channel}:{rest}")).ok()));
        }
        widest(patterns)
    }

    /// The grants as texts, such as `subscribe:kpi:acme`.
    pub fn permissions(&self) -> Vec<String> {
        let rules = self.grants().rules(self.org());
        let spelled = rules.iter().flat_map(|rule| {
            let given = Right::ALL.into_iter().filter(|right| rule.rights & right.bit() != 0);
            given.map(|right| format!("{}:{}", right.as_str(), rule.pattern))
        });
        spelled.collect()
    }

    /// The two rooms that every session is subscribed to by itself: its org's and its user's.
    pub fn own_rooms(&self) -> [Grant; 2] {
        let org_room = RoomName::of_org(self.org());
        [Grant { pattern: Pattern::of_room(&org_room) }, Grant { pattern: Pattern::of_room(self.user_room()) }]
    }

    /// Whether one grant gives the right on every room of the pattern.
    ///
    /// # Errors
    /// `UNAUTHORIZED`, naming the pattern; always for another org's.
    pub fn may(&self, right: Right, pattern: &Pattern) -> Result<(), Fault> {
        let own = pattern.org() == self.org();
        if own && self.grants().any(self.org(), right, |granted| granted.covers(pattern)) {
            return Ok(());
        }
        Err(refusal(right, pattern.as_str()))
    }

    /// Whether a publication may go into the room, without cascade.
    ///
    /// # Errors
    /// `UNAUTHORIZED`, naming the room; always for another org's.
    pub fn may_publish(&self, room: &RoomName) -> Result<(), Fault> {
        let own = room.org() == self.org();
        if own && self.grants().any(self.org(), Right::Publish, |granted| granted.matches(room)) {
            return Ok(());
        }
        Err(refusal(Right::Publish, room.as_str()))
    }

    /// Whether what stands in this very room may be read.
    ///
    /// # Errors
    /// `UNAUTHORIZED`, naming the room; always for another org's.
    pub fn may_read(&self, room: &RoomName) -> Result<(), Fault> {
        let own = room.org() == self.org();
        if own && self.grants().any(self.org(), Right::Subscribe, |granted| granted.matches(room)) {
            return Ok(());
        }
        Err(refusal(Right::Subscribe, room.as_str()))
    }

    /// Whether a publication may go into the room and, by cascade, into all below it. Into `org:<org>` that means into every
    /// session of the org, which no wildcard grants.
    ///
    /// # Errors
    /// `UNAUTHORIZED`, naming the room.
    pub fn may_cascade(&self, room: &RoomName) -> Result<(), Fault> {
        self.may(Right::Publish, &Pattern::of_room(room))
    }

    fn owns(&self, pattern: &Pattern) -> bool {
        let of_org = || pattern.as_str().strip_prefix("org:") == Some(self.org().as_str());
        pattern.as_str() == self.user_room().as_str() || of_org()
    }
}

/// Grants on the patterns without those that others cover: what both reach needs one subscription.
fn widest(patterns: Vec<Pattern>) -> Vec<Grant> {
    let mut kept: Vec<Pattern> = Vec::new();
    for pattern in patterns {
        if !kept.iter().any(|other| other.covers(&pattern)) {
            kept.retain(|other| !pattern.covers(other));
            kept.push(pattern);
        }
    }
    kept.into_iter().map(|pattern| Grant { pattern }).collect()
}

fn refusal(right: Right, target: &str) -> Fault {
    Fault::new(Code::Unauthorized, format!("the token does not grant {} on {target}", right.as_str()))
}

#[cfg(test)]
mod tests;
