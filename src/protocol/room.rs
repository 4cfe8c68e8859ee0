//! Rooms: the concrete addresses that publications are sent to, `channel:org[:dept[:queue]]`.
//!
//! A [`RoomName`] is only ever made by [`RoomSyntax`], so whoever holds one holds a checked, canonical address that carries
//! its [`OrgId`] with it. Isolation between orgs rests on that (README, "isolation").

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::code::{Code, Fault};

/// Longest segment of a room, in bytes.
pub const SEGMENT_BYTES_MAX: usize = 64;
/// Words of the long form `kpi:org:acme:dept:sales:queue:support`; they are never names.
const RESERVED: [&str; 3] = ["org", "dept", "queue"];
/// The channel of the rooms that stand for a whole org.
pub const ORG_CHANNEL: &str = "org";
/// Channels that every session is subscribed to by itself and that no wildcard reaches.
pub const SYSTEM_CHANNELS: [&str; 2] = [ORG_CHANNEL, "user"];
/// Stands for any rest at the end of a pattern.
pub(super) const REST: &str = "**";
/// Stands for "no department given" when a queue is addressed without one.
pub const NO_DEPARTMENT: &str = "_";

/// A tenant. Every room, grant, log entry and session belongs to exactly one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, JsonSchema)]
#[schemars(rename = "OrganizationId")]
pub struct OrgId(Arc<str>);

impl OrgId {
    /// Checks the text against the rules for segments (docs/protocol.md).
    ///
    /// # Errors
    /// `INVALID_ROOM` when it is empty, longer than 64 bytes, reserved, or has other characters than `[A-Za-z0-9_.@-]`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        check_segment(text)?;
        Ok(Self(Arc::from(text)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrgId({})", self.0)
    }
}

impl Serialize for OrgId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// One connected client, unique over the cluster and over time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SessionId(#[schemars(with = "String")] pub uuid::Uuid);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl std::str::FromStr for SessionId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        uuid::Uuid::parse_str(text).map(Self)
    }
}

/// A concrete address in canonical short form; always knows its org.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName {
    text: Arc<str>,
    org: OrgId,
}

impl RoomName {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    pub fn org(&self) -> &OrgId {
        &self.org
    }

    pub fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        self.text.split(':')
    }

    pub fn channel(&self) -> &str {
        self.segments().next().unwrap_or_default()
    }

    /// The room that every session of `org` is subscribed to by itself.
    pub fn of_org(org: &OrgId) -> Self {
        Self { text: format!("org:{org}").into(), org: org.clone() }
    }

    /// The room that every session of one user is subscribed to by itself.
    ///
    /// # Errors
    /// `INVALID_ROOM` when `user` is not a legal segment.
    pub fn of_user(org: &OrgId, user: &str) -> Result<Self, Fault> {
        check_segment(user)?;
        Ok(Self { text: format!("user:{org}:{user}").into(), org: org.clone() })
    }
}

impl JsonSchema for RoomName {
    fn schema_name() -> Cow<'static, str> {
        "Room".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A concrete address in canonical form: `kpi:acme:sales:support`.",
            "type": "string",
        })
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomName({})", self.text)
    }
}

impl Serialize for RoomName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// The configured part of the grammar: which channels exist and how deep rooms may be. Makes every room and pattern.
#[derive(Clone, Debug)]
pub struct RoomSyntax {
    pub(super) segments_max: usize,
    pub(super) channels: BTreeSet<Box<str>>,
}

impl RoomSyntax {
    /// `segments_max` counts channel and org too; the configuration allows 4 to 8.
    pub fn new<S: AsRef<str>>(segments_max: usize, channels: impl IntoIterator<Item = S>) -> Self {
        let channels = channels.into_iter().map(|channel| Box::from(channel.as_ref())).collect();
        Self { segments_max: segments_max.clamp(2, 8), channels }
    }

    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.channels.iter().map(AsRef::as_ref)
    }

    /// Parses the short or the long form into the canonical room.
    ///
    /// # Errors
    /// `INVALID_ROOM`, naming the offending segment.
    pub fn room(&self, text: &str) -> Result<RoomName, Fault> {
        let segments = self.expand(text, NO_DEPARTMENT)?;
        let mut canonical = String::with_capacity(text.len());
        for (index, segment) in segments.iter().enumerate() {
            if index > 0 {
                check_segment(segment)?;
                canonical.push(':');
            }
            canonical.push_str(segment);
        }
        self.check_channel(segments[0])?;
        check_system_depth(&segments)?;
        Ok(RoomName { text: canonical.into(), org: OrgId(Arc::from(segments[1])) })
    }

    /// Splits into segments; turns the long form into the short one, with `no_department` where a queue has no department.
    pub(super) fn expand<'a>(&self, text: &'a str, no_department: &'a str) -> Result<Vec<&'a str>, Fault> {
        // The long form names each of at most `segments_max` segments, so no legal text is longer than this.
        if text.len() > 2 * self.segments_max * (SEGMENT_BYTES_MAX + 1) {
            return Err(Fault::new(Code::InvalidRoom, "the room name is too long"));
        }
        let raw: Vec<&str> = text.split(':').collect();
        let segments = if raw.len() >= 3 && raw[1] == "org" { shorten(&raw, no_department)? } else { raw };
        if segments.len() < 2 {
            return Err(invalid(text, "it needs at least a channel and an org, as in kpi:acme"));
        }
        // Any rest may be none, so it is no segment of its own: `all:acme:sales:support` is read as `*:acme:sales:support:**`.
        let named = segments.len() - usize::from(segments.last() == Some(&REST));
        if named > self.segments_max {
            return Err(invalid(text, &format!("it has more than {} segments", self.segments_max)));
        }
        Ok(segments)
    }

    pub(super) fn check_channel(&self, channel: &str) -> Result<(), Fault> {
        if self.channels.contains(channel) || SYSTEM_CHANNELS.contains(&channel) {
            return Ok(());
        }
        Err(invalid(channel, "there is no such channel; the configuration lists them under rooms.channels"))
    }
}

/// `kpi:org:acme:dept:sales:queue:support` → `kpi:acme:sales:support`; segments after the named ones stay as they are.
fn shorten<'a>(raw: &[&'a str], no_department: &'a str) -> Result<Vec<&'a str>, Fault> {
    let mut short = vec![raw[0], raw[2]];
    let mut rest = &raw[3..];
    if let ["dept", dept, after @ ..] = rest {
        short.push(dept);
        rest = after;
    }
    if let ["queue", queue, after @ ..] = rest {
        if short.len() == 2 {
            short.push(no_department);
        }
        short.push(queue);
        rest = after;
    }
    if rest.len() == 1 && (rest[0] == "dept" || rest[0] == "queue") {
        return Err(invalid(&raw.join(":"), &format!("nothing follows {}", rest[0])));
    }
    short.extend_from_slice(rest);
    Ok(short)
}

/// `org:acme` ends after its org, `user:acme:alice` after its user: what lies below would be reached by nobody.
pub(super) fn check_system_depth(segments: &[&str]) -> Result<(), Fault> {
    match (segments[0], segments.len()) {
        ("org", 2) | ("user", 3) => Ok(()),
        ("org", _) => Err(invalid(&segments.join(":"), "the form is org:<org>")),
        ("user", _) => Err(invalid(&segments.join(":"), "the form is user:<org>:<user>")),
        _ => Ok(()),
    }
}

pub(super) fn check_segment(segment: &str) -> Result<(), Fault> {
    if segment.is_empty() {
        return Err(invalid(segment, "a segment is empty"));
    }
    if segment.len() > SEGMENT_BYTES_MAX {
        return Err(invalid(segment, "a segment is longer than 64 bytes"));
    }
    if RESERVED.contains(&segment) {
        return Err(invalid(segment, "org, dept and queue are reserved words"));
    }
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'@' | b'-');
    if !segment.bytes().all(legal) {
        return Err(invalid(segment, "a segment may hold only letters, digits and _ . @ -"));
    }
    Ok(())
}

pub(super) fn invalid(text: &str, why: &str) -> Fault {
    let shown: String = text.chars().take(SEGMENT_BYTES_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    Fault::new(Code::InvalidRoom, format!("{shown:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax() -> RoomSyntax {
        RoomSyntax::new(4, ["kpi", "chat"])
    }

    #[test]
    fn short_and_long_form_are_one_room() {
        let short = syntax().room("kpi:acme:sales:support").unwrap();
        let long = syntax().room("kpi:org:acme:dept:sales:queue:support").unwrap();
        assert_eq!(short, long);
        assert_eq!(short.org().as_str(), "acme");
        assert_eq!(syntax().room("kpi:org:acme:queue:support").unwrap().as_str(), "kpi:acme:_:support");
    }

    #[test]
    fn what_is_not_a_room_is_refused() {
        for bad in [
            "",
            "kpi",
            "kpi:",
            ":acme",
            "kpi::x",
            "nope:acme",
            "kpi:acme:a:b:c",
            "kpi:acme:*",
            "kpi:acme:**",
            "kpi:ac me",
            "kpi:acme:dept",
            "kpi:org",
            "kpi:org:acme:dept",
            "kpi:org:org",
            "kpi:acme:é",
            "org:acme:x",
            "user:acme",
            "user:acme:a:b",
            "all:acme",
        ] {
            assert_eq!(syntax().room(bad).unwrap_err().code, Code::InvalidRoom, "{bad:?}");
        }
        assert!(syntax().room(&format!("kpi:acme:{}", "x".repeat(65))).is_err());
        assert!(syntax().room(&"x:".repeat(5_000)).is_err());
    }
}
