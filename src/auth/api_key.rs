//! Who calls REST: the holder of an API key or of a service token.
//!
//! The api asks [`Authenticator`] with a request's headers and then the [`Caller`] for each scope and org it touches.

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::config::{ConfigFault, KEYS_MAX, read_file};
use super::error::AuthError;
use super::scope::{Scope, Scopes};
use super::token::{TOKEN_BYTES_MAX, Verifier};
use crate::protocol::{Code, Fault, OrgId};

/// The header that carries an API key, beside `Authorization: Bearer`.
pub const API_KEY_HEADER: &str = "x-api-key";

/// One key for REST. The secret itself is kept nowhere; being hashed without salt, it must be random: `openssl rand -hex 32`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A name for logs.
    pub id: String,
    /// SHA-256 of the secret, in hexadecimal: `printf %s "$SECRET" | sha256sum`.
    #[schemars(extend("writeOnly" = true))]
    pub sha256: Option<String>,
    /// A file that holds the SHA-256 in hexadecimal.
    pub sha256_file: Option<PathBuf>,
    /// What it may do: publish, read, connections, revoke, admin.
    pub scopes: Vec<Scope>,
    /// The only org that it may touch; without one it may touch any.
    pub organization_id: Option<String>,
}

/// Whoever called, and what they may do.
#[derive(Clone, PartialEq, Debug)]
pub struct Caller {
    /// The id of the API key or the user of the token.
    pub name: Box<str>,
    pub scopes: Scopes,
    /// The only org that may be touched; `None` for any.
    pub org: Option<OrgId>,
    /// Of a token, for revocation: the org that it names, even where it may touch any.
    pub home: Option<OrgId>,
    /// Of a token, for revocation: Unix seconds.
    pub issued_at_s: Option<u64>,
    /// Of a token, for revocation: its `jti`.
    pub token_id: Option<Box<str>>,
}

impl Caller {
    /// # Errors
    /// `UNAUTHORIZED`, naming the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Fault> {
        if self.scopes.allows(scope) {
            return Ok(());
        }
        Err(Fault::new(Code::Unauthorized, format!("this needs the scope {}", scope.as_str())))
    }

    /// # Errors
    /// `UNAUTHORIZED` for an org that the credentials are not for.
    pub fn require_org(&self, org: &OrgId) -> Result<(), Fault> {
        if self.org.as_ref().is_none_or(|own| own == org) {
            return Ok(());
        }
        Err(Fault::new(Code::Unauthorized, format!("these credentials are not for the organization {org}")))
    }
}

struct ApiKey {
    digest: [u8; 32],
    caller: Caller,
}

/// Tells who calls from the headers of a request.
pub struct Authenticator {
    keys: Box<[ApiKey]>,
    verifier: Arc<Verifier>,
}

impl Authenticator {
    /// # Errors
    /// [`ConfigFault`], naming the key.
    pub fn new(api_keys: &[Config], verifier: Arc<Verifier>) -> Result<Self, ConfigFault> {
        if api_keys.len() > KEYS_MAX {
            return Err(ConfigFault::invalid("auth.api_keys", format!("at most {KEYS_MAX} keys are allowed")));
        }
        let keys = api_keys.iter().enumerate().map(|(index, config)| ApiKey::of_config(config, index));
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, verifier })
    }

    /// `Authorization: Bearer` with an API key or a service token, or else `X-API-Key`.
    ///
    /// # Errors
    /// [`AuthError`]; turn it into a [`Fault`] for the answer.
    pub async fn authenticate(&self, headers: &HeaderMap, now_s: u64) -> Result<Caller, AuthError> {
        let mut authorizations = headers.get_all(AUTHORIZATION).iter();
        let Some(authorization) = authorizations.next() else {
            let mut keys = headers.get_all(API_KEY_HEADER).iter();
            let key = keys.next().ok_or(AuthError::Missing)?;
            // Of two keys a proxy in front may have judged the other one.
            return self.api_key(key.as_bytes()).filter(|_| keys.next().is_none()).ok_or(AuthError::ApiKey);
        };
        if authorizations.next().is_some() {
            return Err(AuthError::Scheme);
        }
        let text = authorization.to_str().map_err(|_| AuthError::Scheme)?;
        let (scheme, credentials) = text.split_once(' ').ok_or(AuthError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(AuthError::Scheme);
        }
        let credentials = credentials.trim();
        match self.api_key(credentials.as_bytes()) {
            Some(caller) => Ok(caller),
            None if credentials.contains('.') => self.verifier.verify_caller(credentials, now_s).await,
            None => Err(AuthError::ApiKey),
        }
    }

    /// Compares with every key in constant time, so that the time taken tells nothing about any of them.
    fn api_key(&self, secret: &[u8]) -> Option<Caller> {
        if secret.is_empty() || secret.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let mut found = None;
        for key in &self.keys {
            let equal: Choice = key.digest.ct_eq(&digest);
            if bool::from(equal) {
                found = Some(&key.caller);
            }
        }
        found.cloned()
    }
}

impl ApiKey {
    fn of_config(config: &Config, index: usize) -> Result<Self, ConfigFault> {
        let setting = format!("auth.api_keys[{index}]");
        if config.id.is_empty() {
            return Err(ConfigFault::invalid(setting, "it needs an id"));
        }
        let hex = match (&config.sha256, &config.sha256_file) {
            (Some(hex), None) => hex.clone(),
            (None, Some(path)) => read_file(&setting, path)?,
            _ => return Err(ConfigFault::invalid(setting, "it needs either sha256 or sha256_file")),
        };
        let digest = unhex(hex.trim()).ok_or_else(|| ConfigFault::invalid(&setting, "sha256 must be 64 hexadecimal digits"))?;
        let org = config.organization_id.as_deref().map(OrgId::parse).transpose();
        let org = org.map_err(|fault| ConfigFault::invalid(&setting, fault.to_string()))?;
        let scopes: Scopes = config.scopes.iter().copied().collect();
        if org.is_some() && scopes.allows(Scope::Admin) {
            return Err(ConfigFault::invalid(setting, "the scope admin is for all orgs and excludes organization_id"));
        }
        let caller = Caller { name: config.id.as_str().into(), scopes, org, home: None, issued_at_s: None, token_id: None };
        Ok(Self { digest, caller })
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 2 * digest.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests;
