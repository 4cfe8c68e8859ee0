//! ● From a target to rooms: the rule by which `/broadcast` and its kin address a publication.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::protocol::command::Address;
use crate::protocol::{Code, EventName, Fault, OrgId, RoomName, RoomSyntax, SessionId};

/// Most sessions that one publication may be addressed to.
pub(super) const SESSIONS_MAX: usize = 1_000;

/// Who shall get a publication. Exactly one of these ways is taken:
///
/// - `room`: that room, in short or long form.
/// - `user_id`: all sessions of one user of the org (room `user:<org>:<user>`).
/// - `session_ids`: these sessions of the org, and nobody else.
/// - `organization_id`, perhaps with `department_id` and `queue_name`: the room `<channel>:<org>[:<dept>[:<queue>]]`, where a queue
///   without a department is published into the department `_`. The channel is the one that the request names, else the part of the
///   event before its first colon (`kpi:update` → `kpi`; `alert:…` → `alerts`). Without a channel, events of `system` and those whose
///   first part is no channel go to `org:<org>`, which reaches every session of the org, as long as no department and no
///   queue is named.
/// - `all_organizations`: the same for every org that the broker knows; only with the scope `admin`.
///
/// Without `organization_id` the org is that of the credentials.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"organization_id": "acme", "department_id": "sales", "queue_name": "support"}))]
pub(super) struct Target {
    pub organization_id: Option<String>,
    pub department_id: Option<String>,
    pub queue_name: Option<String>,
    pub room: Option<String>,
    pub user_id: Option<String>,
    /// At most 1,000.
    #[schema(value_type = Vec<String>)]
    pub session_ids: Vec<SessionId>,
    pub all_organizations: bool,
}

/// One room, and perhaps only some of its sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Destination {
    pub room: RoomName,
    pub sessions: Vec<SessionId>,
}

impl Target {
    /// The org that is named; a room names one too.
    ///
    /// # Errors
    /// `INVALID_ROOM` for a malformed room or org.
    pub fn org(&self, syntax: &RoomSyntax) -> Result<Option<OrgId>, Fault> {
        match (&self.organization_id, &self.room) {
            (Some(org), _) => OrgId::parse(org).map(Some),
            (None, Some(room)) => syntax.room(room).map(|room| Some(room.org().clone())),
            (None, None) => Ok(None),
        }
    }

    /// Where in `org` the publication goes.
    ///
    /// # Errors
    /// `INVALID_MESSAGE` for a contradictory target, `INVALID_ROOM` for one that makes no room.
    pub fn destination(&self, org: &OrgId, event: &EventName, channel: Option<&str>, syntax: &RoomSyntax) -> Result<Destination, Fault> {
        self.check()?;
        let sessions = self.session_ids.clone();
        let room = if !sessions.is_empty() {
            RoomName::of_org(org)
        } else if let Some(user) = &self.user_id {
            RoomName::of_user(org, user)?
        } else if let Some(room) = &self.room {
            syntax.room(room)?
        } else {
            self.composed(org, event, channel, syntax)?
        };
        if room.org() != org {
            return Err(invalid("room and organization_id name different orgs"));
        }
        Ok(Destination { room, sessions })
    }

    fn check(&self) -> Result<(), Fault> {
        let below_org = self.department_id.is_some() || self.queue_name.is_some();
        let ways = [self.room.is_some(), self.user_id.is_some(), !self.session_ids.is_empty(), below_org];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return Err(invalid("the target must be one of room, user_id, session_ids, or department_id and queue_name"));
        }
        if self.all_organizations && (self.organization_id.is_some() || self.room.is_some() || self.user_id.is_some()) {
            return Err(invalid("all_organizations excludes a room, an organization_id and a user_id"));
        }
        if self.all_organizations && !self.session_ids.is_empty() {
            return Err(invalid("all_organizations excludes session_ids"));
        }
        if self.session_ids.len() > SESSIONS_MAX {
            return Err(invalid("at most 1000 session_ids are allowed"));
        }
        Ok(())
    }

    fn composed(&self, org: &OrgId, event: &EventName, channel: Option<&str>, syntax: &RoomSyntax) -> Result<RoomName, Fault> {
        let below_org = self.department_id.is_some() || self.queue_name.is_some();
        let channel = channel.or_else(|| channel_of(event, below_org, syntax));
        if channel.is_none() && !below_org {
            return Ok(RoomName::of_org(org));
        }
        let address = Address {
            room: None,
            channel,
            organization_id: Some(org.as_str()),
            department_id: self.department_id.as_deref(),
            queue_name: self.queue_name.as_deref(),
        };
        address.room(syntax, org)
    }
}

/// The channel that an event belongs to; news of the system are for the whole org unless a part of it is named.
fn channel_of<'a>(event: &'a EventName, below_org: bool, syntax: &RoomSyntax) -> Option<&'a str> {
    let (first, _) = event.as_str().split_once(':')?;
    let channel = if first == "alert" { "alerts" } else { first };
    let known = syntax.channels().any(|known| known == channel);
    (known && (channel != "system" || below_org)).then_some(channel)
}

fn invalid(message: &'static str) -> Fault {
    Fault::new(Code::InvalidMessage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax() -> RoomSyntax {
        RoomSyntax::new(4, ["kpi", "alerts", "system", "chat"])
    }

    fn room(target: &str, event: &str, channel: Option<&str>) -> Result<String, Code> {
        let target: Target = serde_json::from_str(target).unwrap();
        let org = OrgId::parse("acme").unwrap();
        let destination = target.destination(&org, &EventName::parse(event).unwrap(), channel, &syntax());
        destination.map(|destination| destination.room.to_string()).map_err(|fault| fault.code)
    }

    #[test]
    fn every_way_leads_to_its_room() {
        for (target, event, channel, expected) in [
            (r#"{"room":"chat:acme:x"}"#, "kpi:update", None, "chat:acme:x"),
            (r#"{"room":"chat:org:acme:dept:x"}"#, "kpi:update", None, "chat:acme:x"),
            (r#"{"room":"org:acme"}"#, "kpi:update", None, "org:acme"),
            (r#"{"organization_id":"acme","room":"chat:acme"}"#, "kpi:update", None, "chat:acme"),
            (r#"{"organization_id":"acme"}"#, "kpi:update", None, "kpi:acme"),
            ("{}", "kpi:update", None, "kpi:acme"),
            ("{}", "kpi:update", Some("chat"), "chat:acme"),
            ("{}", "alert:triggered", None, "alerts:acme"),
            ("{}", "system:maintenance", None, "org:acme"),
            ("{}", "system:maintenance", Some("system"), "system:acme"),
            (r#"{"department_id":"d"}"#, "system:maintenance", None, "system:acme:d"),
            ("{}", "order:new", None, "org:acme"),
            ("{}", "message", None, "org:acme"),
            (r#"{"department_id":"d"}"#, "kpi:update", None, "kpi:acme:d"),
            (r#"{"department_id":"d","queue_name":"q"}"#, "kpi:update", None, "kpi:acme:d:q"),
            (r#"{"queue_name":"q"}"#, "kpi:update", None, "kpi:acme:_:q"),
            (r#"{"user_id":"alice"}"#, "kpi:update", None, "user:acme:alice"),
            (r#"{"session_ids":["0193a1f2c0de7a5b8c3d4e5f60718293"]}"#, "kpi:update", None, "org:acme"),
            (r#"{"all_organizations":true}"#, "system:broadcast", None, "org:acme"),
        ] {
            assert_eq!(room(target, event, channel).as_deref(), Ok(expected), "{target} {event} {channel:?}");
        }
    }

    #[test]
    fn contradictions_and_what_makes_no_room_are_refused() {
        for (target, event, channel, code) in [
            (r#"{"room":"chat:other"}"#, "kpi:update", None, Code::InvalidMessage),
            (r#"{"room":"chat:acme","user_id":"a"}"#, "kpi:update", None, Code::InvalidMessage),
            (r#"{"room":"chat:acme","queue_name":"q"}"#, "kpi:update", None, Code::InvalidMessage),
            (r#"{"user_id":"a","department_id":"d"}"#, "kpi:update", None, Code::InvalidMessage),
            (r#"{"all_organizations":true,"organization_id":"acme"}"#, "kpi:update", None, Code::InvalidMessage),
            (r#"{"department_id":"d"}"#, "order:new", None, Code::InvalidMessage),
            (r#"{"room":"nope:acme"}"#, "kpi:update", None, Code::InvalidRoom),
            (r#"{"user_id":"a b"}"#, "kpi:update", None, Code::InvalidRoom),
            (r#"{"department_id":"*"}"#, "kpi:update", None, Code::InvalidRoom),
            ("{}", "kpi:update", Some("nope"), Code::InvalidRoom),
        ] {
            assert_eq!(room(target, event, channel), Err(code), "{target} {event} {channel:?}");
        }
        let many = Target { session_ids: vec![SessionId(uuid::Uuid::nil()); SESSIONS_MAX + 1], ..Target::default() };
        let event = EventName::parse("kpi:update").unwrap();
        assert!(many.destination(&OrgId::parse("acme").unwrap(), &event, None, &syntax()).is_err());
    }
}
