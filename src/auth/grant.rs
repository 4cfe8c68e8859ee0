//! Grants: the proof that a principal may have what it asks for. The only maker of [`Grant`]s.
//!
//! The session asks here for every subscribe and publish; the hub takes a [`Grant`], never a string, so nothing that was not
//! checked here can reach a room (README, "isolation"). Pure; a list of rights that cannot be read is refused, never widened.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::principal::Principal;
use crate::protocol::presence::UserId;
use crate::protocol::{Code, Fault, Filter, OrgId, Pattern, RoomName, RoomSyntax};

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

/// The rights that a filter can bound: what is read passes it or does not.
const FILTERED: u8 = 1 << Right::Subscribe as u8 | 1 << Right::History as u8;
/// Between pattern and filter in the compact form of a grant; no pattern holds a space.
const WHERE: &str = " where ";

/// A pattern that its principal may subscribe to, perhaps only as far as a filter lets through. Cannot be made outside this file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pattern: Pattern,
    /// What the token lets through; nobody but a new token can change it.
    enforced: Option<Filter>,
    /// What the client wants of it.
    asked: Option<Filter>,
}

/// A pattern of whose past its principal may read what the filter lets through. Cannot be made outside this file.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HistoryGrant {
    pattern: Pattern,
    enforced: Option<Filter>,
}

impl HistoryGrant {
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub fn org(&self) -> &OrgId {
        self.pattern.org()
    }

    /// What passes the client's own filter and the token's.
    pub fn filter(&self, asked: Option<&Filter>) -> Option<Filter> {
        both(self.enforced.as_ref(), asked)
    }
}

impl Grant {
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Narrowed by what the client itself wants.
    #[must_use]
    pub fn filtered(mut self, asked: Option<Filter>) -> Self {
        self.asked = asked;
        self
    }

    /// The client's own filter, by which it names the subscription.
    pub fn asked(&self) -> Option<&Filter> {
        self.asked.as_ref()
    }

    /// What passes the client's own filter and the token's.
    pub fn filter(&self) -> Option<Filter> {
        both(self.enforced.as_ref(), self.asked.as_ref())
    }

    pub fn org(&self) -> &OrgId {
        self.pattern.org()
    }

    pub fn into_pattern(self) -> Pattern {
        self.pattern
    }
}

fn both(one: Option<&Filter>, other: Option<&Filter>) -> Option<Filter> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or(other).cloned(),
    }
}

/// A room in which its principal may be present, and watch who is. Cannot be made outside this file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresenceGrant {
    room: RoomName,
    user: UserId,
}

impl PresenceGrant {
    pub fn room(&self) -> &RoomName {
        &self.room
    }

    /// As whom: nobody is present as somebody else.
    pub fn user(&self) -> &UserId {
        &self.user
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
    filter: Option<Filter>,
}

/// How much of a pattern a principal has a right on.
enum Held {
    Nothing,
    /// What one of these lets through.
    Through(Filter),
    All,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spelled {
    pattern: String,
    rights: Vec<Right>,
    #[serde(default)]
    filter: Option<String>,
}

impl GrantList {
    /// Subscribe to everything of one's own org: what a token without grants has.
    pub const OWN_ORG: Self = Self { rules: None };

    /// Reads the grants claim, `[{"pattern":"kpi:acme:**","rights":["subscribe"],"filter":"a = 1"}]` or `["publish:chat:acme"]`,
    /// and adds those that roles bring, in the compact form. Without a claim the default stands, and an empty list grants nothing.
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
            rules.push(Rule { pattern: Pattern::of_org(org), rights: Right::Subscribe.bit(), filter: None });
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
        let default = || vec![Rule { pattern: Pattern::of_org(own), rights: Right::Subscribe.bit(), filter: None }];
        self.rules.as_ref().map_or_else(default, |rules| rules.to_vec())
    }

    fn any(&self, own: &OrgId, right: Right, suffices: impl Fn(&Pattern) -> bool) -> bool {
        match &self.rules {
            None => right == Right::Subscribe && suffices(&Pattern::of_org(own)),
            Some(rules) => rules.iter().any(|rule| rule.filter.is_none() && rule.gives(right) && suffices(&rule.pattern)),
        }
    }

    /// What several grants give of the same pattern adds up.
    fn held(&self, own: &OrgId, right: Right, pattern: &Pattern) -> Held {
        if self.any(own, right, |granted| granted.covers(pattern)) {
            return Held::All;
        }
        let rules = self.rules.iter().flat_map(|rules| rules.iter());
        let covering = rules.filter(|rule| rule.gives(right) && rule.pattern.covers(pattern));
        let filters = covering.filter_map(|rule| rule.filter.clone());
        filters.reduce(|one, other| one.or(&other)).map_or(Held::Nothing, Held::Through)
    }
}

impl Rule {
    fn read(entry: &Value, index: usize, org: &OrgId, syntax: &RoomSyntax) -> Result<Self, GrantError> {
        if let Value::String(text) = entry {
            return Self::compact(text, index, org, syntax);
        }
        let spelled = Spelled::deserialize(entry).map_err(|error| GrantError::Malformed { index, why: error.to_string() })?;
        let rights = spelled.rights.iter().fold(0, |bits, right| bits | right.bit());
        Self::checked(&spelled.pattern, rights, spelled.filter.as_deref(), index, org, syntax)
    }

    fn gives(&self, right: Right) -> bool {
        self.rights & right.bit() != 0
    }

    /// `subscribe:kpi:acme:**`: the right, then the pattern, and perhaps a filter, as in `subscribe:kpi:acme:** where a = 1`.
    fn compact(text: &str, index: usize, org: &OrgId, syntax: &RoomSyntax) -> Result<Self, GrantError> {
        let (text, filter) = text.split_once(WHERE).map_or((text, None), |(text, filter)| (text, Some(filter)));
        let (right, pattern) = text.split_once(':').unwrap_or((text, ""));
        let Some(right) = Right::parse(right) else {
            let why = "it must begin with subscribe:, publish:, presence: or history:".to_owned();
            return Err(GrantError::Malformed { index, why });
        };
        Self::checked(pattern, right.bit(), filter, index, org, syntax)
    }

    fn checked(text: &str, rights: u8, filter: Option<&str>, index: usize, org: &OrgId, syntax: &RoomSyntax) -> Result<Self, GrantError> {
        let malformed = |why: String| GrantError::Malformed { index, why };
        let pattern = syntax.pattern_for(org, text).map_err(|fault| malformed(fault.message.into_owned()))?;
        if pattern.org() != org {
            return Err(GrantError::ForeignOrg { index });
        }
        let filter = filter.map(Filter::parse).transpose().map_err(|error| malformed(error.to_string()))?;
        if filter.is_some() && rights & !FILTERED != 0 {
            // To pass over it would give more than was meant.
            return Err(malformed("a filter bounds only the rights subscribe and history".to_owned()));
        }
        Ok(Self { pattern, rights, filter })
    }
}

impl Principal {
    /// Turns a wish into a grant: one's own org and user rooms always, others as the token says.
    ///
    /// # Errors
    /// `UNAUTHORIZED`, naming the pattern.
    pub fn grant_subscribe(&self, pattern: Pattern) -> Result<Grant, Fault> {
        let enforced = if self.owns(&pattern) { None } else { self.enforced(Right::Subscribe, &pattern)? };
        Ok(Grant { pattern, enforced, asked: None })
    }

    /// The same wish of the same client, by what is granted now.
    ///
    /// # Errors
    /// As [`Principal::grant_subscribe`].
    pub fn grant_again(&self, earlier: &Grant) -> Result<Grant, Fault> {
        Ok(self.grant_subscribe(earlier.pattern.clone())?.filtered(earlier.asked.clone()))
    }

    /// # Errors
    /// `UNAUTHORIZED`, naming the pattern; for one's own rooms too, unless their past is granted.
    pub fn grant_history(&self, pattern: Pattern) -> Result<HistoryGrant, Fault> {
        let enforced = self.enforced(Right::History, &pattern)?;
        Ok(HistoryGrant { pattern, enforced })
    }

    fn enforced(&self, right: Right, pattern: &Pattern) -> Result<Option<Filter>, Fault> {
        match self.grants().held(self.org(), right, pattern) {
            _ if pattern.org() != self.org() => Err(refusal(right, pattern.as_str())),
            Held::Nothing => Err(refusal(right, pattern.as_str())),
            Held::Through(filter) => Ok(Some(filter)),
            Held::All => Ok(None),
        }
    }

    /// Everything that the grants allow to subscribe to, without what another of them covers.
    pub fn subscribable(&self) -> Vec<Grant> {
        let rules = self.grants().rules(self.org()).into_iter();
        let patterns = rules.filter(|rule| rule.gives(Right::Subscribe)).map(|rule| rule.pattern);
        widest(patterns.filter_map(|pattern| self.grant_subscribe(pattern).ok()))
    }

    /// What the grants allow to subscribe to in these channels; those that there are not are passed over.
    pub fn subscribable_in(&self, channels: &[&str], syntax: &RoomSyntax) -> Vec<Grant> {
        let mut patterns = Vec::new();
        for grant in self.subscribable() {
            let (first, rest) = grant.pattern.as_str().split_once(':').unwrap_or_default();
            let meant = channels.iter().filter(|channel| first == "*" || first == **channel);
            patterns.extend(meant.filter_map(|channel| syntax.pattern_for(self.org(), &format!("{channel}:{rest}")).ok()));
        }
        widest(patterns.into_iter().filter_map(|pattern| self.grant_subscribe(pattern).ok()))
    }

    /// The grants as texts, such as `subscribe:kpi:acme`.
    pub fn permissions(&self) -> Vec<String> {
        let rules = self.grants().rules(self.org());
        let spelled = rules.iter().flat_map(|rule| {
            let given = Right::ALL.into_iter().filter(|right| rule.rights & right.bit() != 0);
            let filter = rule.filter.as_ref().map_or(String::new(), |filter| format!("{WHERE}{}", filter.as_str()));
            given.map(move |right| format!("{}:{}{filter}", right.as_str(), rule.pattern))
        });
        spelled.collect()
    }

    /// Turns a wish into a grant of presence, which no token has by default: not even that one is there goes without saying.
    ///
    /// # Errors
    /// `UNAUTHORIZED`, naming the room; always for another org's.
    pub fn grant_presence(&self, room: RoomName) -> Result<PresenceGrant, Fault> {
        if self.is_granted(Right::Presence, &room) {
            return Ok(PresenceGrant { user: UserId::parse(self.sub())?, room });
        }
        Err(refusal(Right::Presence, room.as_str()))
    }

    /// The two rooms that every session is subscribed to by itself: its org's and its user's.
    pub fn own_rooms(&self) -> [Grant; 2] {
        let org_room = RoomName::of_org(self.org());
        let own = |room| Grant { pattern: Pattern::of_room(room), enforced: None, asked: None };
        [own(&org_room), own(self.user_room())]
    }

    /// Whether one grant gives the right on every room of the pattern, without a filter.
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
        if self.is_granted(Right::Publish, room) { Ok(()) } else { Err(refusal(Right::Publish, room.as_str())) }
    }

    /// Whether a grant gives the right on the room of one's own org.
    fn is_granted(&self, right: Right, room: &RoomName) -> bool {
        room.org() == self.org() && self.grants().any(self.org(), right, |granted| granted.matches(room))
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
fn widest(grants: impl Iterator<Item = Grant>) -> Vec<Grant> {
    let gives_all_of =
        |one: &Grant, other: &Grant| one.pattern.covers(&other.pattern) && (one.enforced.is_none() || one.enforced == other.enforced);
    let mut kept: Vec<Grant> = Vec::new();
    for grant in grants {
        if !kept.iter().any(|other| gives_all_of(other, &grant)) {
            kept.retain(|other| !gives_all_of(&grant, other));
            kept.push(grant);
        }
    }
    kept
}

fn refusal(right: Right, target: &str) -> Fault {
    Fault::new(Code::Unauthorized, format!("the token does not grant {} on {target}", right.as_str()))
}

#[cfg(test)]
mod tests;
