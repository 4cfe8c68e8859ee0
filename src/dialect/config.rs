//! Which dialects a node speaks, and who may come without a token.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::Dialect;
use crate::auth::{GrantList, Principal};
use crate::protocol::{OrgId, RoomSyntax};

/// Settings of the section `dialects`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Dialects that are spoken, each on its path and with `?token=`: `command-center` (/ws/command-center), `api-v2` (/api/v2/ws), `chat`
    /// (/ws/chat), `channels` (/ws/channels). None by default.
    pub enabled: Vec<Name>,
    /// Clients of dialects that bring no token.
    pub anonymous: Anonymous,
}

/// Who a client without a token is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Anonymous {
    /// The org that they are in; empty: they are refused.
    pub organization_id: String,
    /// The user that they are.
    pub user_id: String,
    /// What they may do, such as `subscribe:activity:public`; nothing by default.
    pub grants: Vec<String>,
}

impl Default for Anonymous {
    fn default() -> Self {
        Self { organization_id: String::new(), user_id: "anonymous".to_owned(), grants: Vec::new() }
    }
}

/// The name of a dialect.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(pub String);

impl JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DialectName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": super::ALL.iter().map(|dialect| dialect.name).collect::<Vec<_>>() })
    }
}

impl Config {
    pub fn dialects(&self) -> impl Iterator<Item = &'static Dialect> {
        self.enabled.iter().filter_map(|name| Dialect::named(&name.0))
    }

    /// The events that the enabled dialects bring.
    pub fn events(&self) -> impl Iterator<Item = &'static str> {
        self.dialects().flat_map(|dialect| dialect.events.iter().copied())
    }

    /// Whoever comes without a token, if they may.
    ///
    /// # Errors
    /// What is wrong with the settings, for people.
    pub fn guest(&self, syntax: &RoomSyntax) -> Result<Option<Guest>, String> {
        let Anonymous { organization_id, user_id, grants } = &self.anonymous;
        if organization_id.is_empty() {
            return if grants.is_empty() { Ok(None) } else { Err("grants need dialects.anonymous.organization_id".to_owned()) };
        }
        let org = OrgId::parse(organization_id).map_err(|fault| fault.message.into_owned())?;
        let nothing = serde_json::Value::Array(Vec::new());
        let grants = GrantList::read(Some(&nothing), grants, &org, syntax).map_err(|error| error.to_string())?;
        let principal = Principal::new(user_id, &org, NEVER_S).map_err(|fault| fault.message.into_owned())?;
        Ok(Some(Guest { principal: principal.with_grants(grants) }))
    }
}

/// The end of the year 9999: guests have no token that could expire.
const NEVER_S: u64 = 253_402_300_799;

/// Whoever comes without a token, where the configuration lets them in.
#[derive(Clone, Debug)]
pub struct Guest {
    principal: Principal,
}

impl Guest {
    /// One who came now, so that a revocation of the guests' user ends those that are there and not those to come.
    pub fn arriving(&self, now_s: u64) -> Principal {
        self.principal.clone().with_token(Some(now_s), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax() -> RoomSyntax {
        RoomSyntax::new(4, ["activity", "chat"])
    }

    fn guest(toml: &str) -> Result<Option<Guest>, String> {
        toml::from_str::<Config>(toml).unwrap().guest(&syntax())
    }

    #[test]
    fn nobody_comes_without_a_token_unless_configured() {
        assert!(guest("").unwrap().is_none());
        let toml = "[anonymous]\norganization_id = \"public\"\ngrants = [\"subscribe:activity:public\"]";
        let principal = guest(toml).unwrap().unwrap().arriving(7);
        assert_eq!((principal.sub(), principal.org().as_str(), principal.issued_at_s()), ("anonymous", "public", Some(7)));
        assert!(principal.grant_subscribe(syntax().pattern("activity:public:sales").unwrap()).is_ok());
        assert!(principal.grant_subscribe(syntax().pattern("chat:public").unwrap()).is_err(), "no default grant for guests");
    }

    #[test]
    fn what_cannot_be_granted_is_a_fault() {
        for toml in [
            "[anonymous]\ngrants = [\"subscribe:activity:public\"]",
            "[anonymous]\norganization_id = \"a:b\"",
            "[anonymous]\norganization_id = \"public\"\nuser_id = \"a b\"",
            "[anonymous]\norganization_id = \"public\"\ngrants = [\"subscribe:activity:other\"]",
            "[anonymous]\norganization_id = \"public\"\ngrants = [\"everything\"]",
        ] {
            assert!(guest(toml).is_err(), "{toml}");
        }
    }

    #[test]
    fn every_dialect_can_be_enabled_by_its_name() {
        let config: Config = toml::from_str("enabled = [\"command-center\", \"api-v2\", \"chat\", \"channels\"]").unwrap();
        assert_eq!(config.dialects().map(Dialect::index).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }
}
