//! The configuration of authentication, and what can be wrong with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jsonwebtoken::Algorithm;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scope::Scope;
use super::secret::Secret;
use super::{api_key, jwks};

/// Most keys and API keys that the configuration may list, each.
pub const KEYS_MAX: usize = 64;
/// Widest leeway for clocks that differ.
pub const LEEWAY_MAX_S: u64 = 60;

/// Whose tokens are good, and how they are read.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Secret of tokens signed with HS256, at least 32 bytes.
    pub secret: Option<Secret>,
    /// Whether `secret` is the base64 of the bytes rather than the bytes themselves.
    pub secret_base64: bool,
    /// Further keys, each for exactly one algorithm.
    pub keys: Vec<KeyConfig>,
    /// Keys fetched from an identity provider.
    pub jwks: jwks::Config,
    /// Issuers (`iss`) whose tokens are good; with none listed `iss` is not looked at. Required with `jwks.url`.
    pub issuers: Vec<String>,
    /// Audiences (`aud`) of which a token must name one; with none listed `aud` is not looked at. List one wherever the
    /// issuer also makes tokens for other applications.
    pub audiences: Vec<String>,
    /// Seconds by which clocks may differ, at most 60.
    pub leeway_s: u64,
    /// Longest time that a token may still be valid for, in seconds; 0 means no limit.
    pub token_lifetime_max_s: u64,
    /// Where in a token the claims stand.
    pub claims: ClaimNames,
    /// What scopes in tokens begin with.
    pub scope_prefix: String,
    /// What the roles of a token bring, by role.
    pub roles: BTreeMap<String, RoleRights>,
    /// Keys for REST that are no tokens.
    pub api_keys: Vec<api_key::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secret: None,
            secret_base64: false,
            keys: Vec::new(),
            jwks: jwks::Config::default(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway_s: 5,
            token_lifetime_max_s: 86_400,
            claims: ClaimNames::default(),
            scope_prefix: "roomcast:".into(),
            roles: BTreeMap::new(),
            api_keys: Vec::new(),
        }
    }
}

impl Config {
    /// For a node that nobody configured: a random secret of its own, good until it stops.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn development() -> Result<Self, rand::rand_core::OsError> {
        Ok(Self { secret: Some(Secret::generate()?), ..Self::default() })
    }

    /// Whether any token could ever be verified; a node on a public address must not start without.
    pub fn has_keys(&self) -> bool {
        self.secret.is_some() || !self.keys.is_empty() || self.jwks.url.is_some()
    }

    /// All listed keys, the single secret first.
    pub(super) fn all_keys(&self) -> impl Iterator<Item = KeyConfig> + '_ {
        let single =
            self.secret.clone().map(|secret| KeyConfig { secret: Some(secret), secret_base64: self.secret_base64, ..KeyConfig::default() });
        single.into_iter().chain(self.keys.iter().cloned())
    }
}

/// One key: either a secret or a public key, as its algorithm needs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeyConfig {
    /// The `kid` of its tokens; without one it is tried for every token of its algorithm.
    pub id: Option<String>,
    /// HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA; no other is taken for this key.
    #[schemars(with = "String")]
    pub algorithm: Algorithm,
    /// The secret of an HS algorithm, at least 32 bytes.
    pub secret: Option<Secret>,
    /// Whether the secret is the base64 of the bytes rather than the bytes themselves.
    pub secret_base64: bool,
    /// A file that holds the secret; line ends after it are ignored.
    pub secret_file: Option<PathBuf>,
    /// The public key of the other algorithms, as PEM.
    pub public_key: Option<String>,
    /// A file that holds the public key as PEM.
    pub public_key_file: Option<PathBuf>,
}

impl Default for KeyConfig {
    fn default() -> Self {
        Self {
            id: None,
            algorithm: Algorithm::HS256,
            secret: None,
            secret_base64: false,
            secret_file: None,
            public_key: None,
            public_key_file: None,
        }
    }
}

/// Names of claims; a dot leads into an object, as in `realm_access.roles`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// The user; must be usable as a segment of a room.
    pub user: String,
    /// The org.
    pub org: String,
    /// The grants.
    pub grants: String,
    /// The scopes: words in one text, or a list.
    pub scopes: String,
    /// The roles: a list, or words in one text.
    pub roles: String,
    /// Quotas of the org, within `quotas.ceiling`: an object such as `{"publications_per_s": 100}`. Empty: none is looked at.
    pub quotas: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            user: "sub".into(),
            org: "org".into(),
            grants: "grants".into(),
            scopes: "scope".into(),
            roles: "roles".into(),
            quotas: String::new(),
        }
    }
}

/// What a role brings.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoleRights {
    /// Grants such as `publish:chat:{org}:**`, perhaps with a filter, as in `subscribe:chat:{org}:** where agent = '{user}'`;
    /// `{org}` and `{user}` stand for the token's.
    pub grants: Vec<String>,
    /// Scopes for REST.
    pub scopes: Vec<Scope>,
}

/// Why a node does not start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFault {
    #[error("{setting}: {why}")]
    Invalid { setting: String, why: String },
    #[error("{setting}: {path} cannot be read: {source}")]
    Unreadable { setting: String, path: PathBuf, source: std::io::Error },
}

impl ConfigFault {
    pub(super) fn invalid(setting: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { setting: setting.into(), why: why.into() }
    }
}

pub(super) fn read_file(setting: &str, path: &Path) -> Result<String, ConfigFault> {
    let unreadable = |source| ConfigFault::Unreadable { setting: setting.into(), path: path.into(), source };
    std::fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_survive_a_file_and_unknown_keys_do_not() {
        let text = toml::to_string(&Config::default()).unwrap();
        let read: Config = toml::from_str(&text).unwrap();
        assert_eq!(toml::to_string(&read).unwrap(), text);
        assert!(toml::from_str::<Config>("leeway = 5").is_err());
        assert!(toml::from_str::<Config>("[[keys]]\nalgorithm = \"none\"").is_err());
        assert!(toml::from_str::<Config>("[[api_keys]]\nid = \"a\"\nscopes = [\"root\"]").is_err());
    }

    #[test]
    fn no_dump_of_the_configuration_shows_a_secret() {
        let text = "secret = \"hunter2\"\n[[keys]]\nalgorithm = \"ES256\"\nsecret = \"hunter2\"";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.keys[0].algorithm, Algorithm::ES256);
        assert!(!format!("{config:?}{}", toml::to_string(&config).unwrap()).contains("hunter2"));
        let schema = serde_json::to_string(&schemars::schema_for!(Config)).unwrap();
        assert!(schema.contains("token_lifetime_max_s"));
    }
}
