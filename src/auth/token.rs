//! Tokens: from the text of a JWT to a principal (RFC 7515, RFC 7519, with the advice of RFC 8725).
//!
//! The session and REST call [`Verifier`]. It never trusts the header beyond choosing among keys that are configured: which
//! algorithm a key is for says the key, and `jku`, `x5u` and `jwk` are not looked at.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::api_key::Caller;
use super::claims::{ClaimRules, Claims};
use super::config::{Config, ConfigFault, KEYS_MAX};
use super::error::AuthError;
use super::jwks::Jwks;
use super::key::{Key, Tried, try_keys};
use super::principal::Principal;
use crate::protocol::RoomSyntax;

/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Verifies tokens with the configured keys. One per node, shared.
pub struct Verifier {
    keys: Box<[Key]>,
    jwks: Option<Jwks>,
    rules: ClaimRules,
}

/// A token in its three parts.
struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// Header and payload as they were signed.
    signed: &'a str,
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow, default)]
    kid: Option<Cow<'a, str>>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl Verifier {
    /// Reads the key files. `syntax` decides which rooms grants may name. Without any key every token is refused.
    ///
    /// # Errors
    /// [`ConfigFault`], naming the setting.
    pub fn new(config: &Config, syntax: RoomSyntax) -> Result<Self, ConfigFault> {
        if config.keys.len() > KEYS_MAX {
            return Err(ConfigFault::invalid("auth.keys", format!("at most {KEYS_MAX} keys are allowed")));
        }
        if config.jwks.url.is_some() && config.issuers.is_empty() {
            let why = "auth.jwks.url needs the issuer whose keys these are";
            return Err(ConfigFault::invalid("auth.issuers", why));
        }
        let numbered = config.all_keys().enumerate();
        let keys = numbered.map(|(index, key)| Key::of_config(&key, &setting_of(config, index)));
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, jwks: Jwks::new(&config.jwks)?, rules: ClaimRules::new(config, syntax)? })
    }

    /// The principal of a session's token. Waits only while keys are being fetched, and no longer than their time limit.
    ///
    /// # Errors
    /// [`AuthError`]; turn it into a [`crate::protocol::Fault`] for the client.
    pub async fn verify(&self, token: &str, now_s: u64) -> Result<Principal, AuthError> {
        let claims = self.authentic(token).await?;
        self.rules.principal(&claims, now_s)
    }

    /// The holder of a service token.
    ///
    /// # Errors
    /// As [`Verifier::verify`]; besides, a token without `admin` must name its org.
    pub async fn verify_caller(&self, token: &str, now_s: u64) -> Result<Caller, AuthError> {
        let claims = self.authentic(token).await?;
        self.rules.caller(&claims, now_s)
    }

    /// The claims of a token whose signature fits; nothing of them is checked yet.
    async fn authentic(&self, token: &str) -> Result<Claims, AuthError> {
        let parts = Parts::split(token)?;
        let header = decode(parts.header, "its header is not base64url")?;
        const OBJECT: AuthError = AuthError::Malformed("its header is not a JSON object with alg");
        // The library would also read a list, as fields in their order.
        let is_object = header.trim_ascii_start().starts_with(b"{");
        let header: Header<'_> = serde_json::from_slice(&header).ok().filter(|_| is_object).ok_or(OBJECT)?;
        if header.crit.is_some() {
            return Err(AuthError::Malformed("its header has crit, and no extension is supported"));
        }
        let algorithm: Algorithm = header.alg.parse().map_err(|_| AuthError::Algorithm)?;
        self.check_signature(header.kid.as_deref(), algorithm, &parts).await?;
        let payload = decode(parts.payload, "its payload is not base64url")?;
        serde_json::from_slice(&payload).map_err(|_| AuthError::Malformed("its payload is not a JSON object"))
    }

    async fn check_signature(&self, kid: Option<&str>, algorithm: Algorithm, parts: &Parts<'_>) -> Result<(), AuthError> {
        let mut tried = try_keys(&self.keys, kid, algorithm, parts.signed, parts.signature);
        let fetched = self.jwks.as_ref().filter(|_| algorithm.family() != AlgorithmFamily::Hmac);
        if tried != Tried::Verified
            && let Some(jwks) = fetched
        {
            let set = jwks.keys_for(kid, algorithm).await?;
            match try_keys(set.keys(), kid, algorithm, parts.signed, parts.signature) {
                Tried::NoneFits => {}
                outcome => tried = outcome,
            }
        }
        match tried {
            Tried::Verified => Ok(()),
            Tried::Refused => Err(AuthError::Signature),
            Tried::NoneFits if fetched.is_some() || self.keys.iter().any(|key| key.is_for(algorithm)) => Err(AuthError::UnknownKey),
            Tried::NoneFits => Err(AuthError::Algorithm),
        }
    }
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, AuthError> {
        const THREE: AuthError = AuthError::Malformed("it must have three parts with dots between");
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(THREE)?;
        let (header, payload) = signed.split_once('.').ok_or(THREE)?;
        if payload.contains('.') {
            return Err(THREE);
        }
        Ok(Self { header, payload, signature, signed })
    }
}

fn decode(part: &str, why: &'static str) -> Result<Vec<u8>, AuthError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::Malformed(why))
}

fn setting_of(config: &Config, index: usize) -> String {
    match (config.secret.is_some(), index) {
        (true, 0) => "auth.secret".into(),
        (true, index) => format!("auth.keys[{}]", index - 1),
        (false, index) => format!("auth.keys[{index}]"),
    }
}

#[cfg(test)]
mod tests;
