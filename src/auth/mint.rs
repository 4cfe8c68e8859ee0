//! Minting and inspecting tokens, for `roomcast token` and for the development mode.
//!
//! A node that serves never mints; it only verifies.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::config::{Config, ConfigFault};
use super::key::secret_bytes;
use super::scope::Scope;
use super::token::TOKEN_BYTES_MAX;

/// What a new token shall say.
#[derive(Clone, Debug)]
pub struct MintRequest {
    pub sub: String,
    /// `None` only makes sense for a service token with the scope `admin`.
    pub org: Option<String>,
    /// In the compact form, `subscribe:kpi:acme`; `None` leaves the default grant.
    pub grants: Option<Vec<String>>,
    pub scopes: Vec<Scope>,
    pub token_id: Option<String>,
    pub issued_at_s: u64,
    pub lifetime_s: u64,
}

/// A key that signs.
pub struct SigningKey {
    id: Option<String>,
    algorithm: Algorithm,
    encoding: EncodingKey,
}

#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error("the claim names {0:?} and {1:?} of the configuration exclude each other")]
    ClaimNames(String, String),
    #[error("the token cannot be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

impl SigningKey {
    /// The first secret of the configuration; public keys cannot sign.
    ///
    /// # Errors
    /// [`ConfigFault`] when there is no secret, or it cannot be used.
    pub fn of_config(config: &Config) -> Result<Self, ConfigFault> {
        let mut secrets = config.all_keys().filter(|key| key.algorithm.family() == AlgorithmFamily::Hmac);
        let Some(key) = secrets.next() else {
            return Err(ConfigFault::invalid("auth", "there is no secret to sign with; set auth.secret or give a private key"));
        };
        let encoding = EncodingKey::from_secret(&secret_bytes(&key, "auth.secret")?);
        Ok(Self { id: key.id, algorithm: key.algorithm, encoding })
    }

    /// A private key as PKCS#8 PEM.
    ///
    /// # Errors
    /// [`ConfigFault`] when the PEM is not a private key for the algorithm.
    pub fn of_pem(pem: &[u8], algorithm: Algorithm, id: Option<String>) -> Result<Self, ConfigFault> {
        let parsed = match algorithm.family() {
            AlgorithmFamily::Hmac => return Err(ConfigFault::invalid("key", "an HS algorithm signs with a secret, not with a PEM file")),
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => EncodingKey::from_ed_pem(pem),
        };
        let encoding = parsed.map_err(|_| ConfigFault::invalid("key", format!("this is no PKCS#8 private key for {algorithm:?}")))?;
        Ok(Self { id, algorithm, encoding })
    }
}

/// Signs a token that a node with this configuration accepts: its claim names, scope prefix, first issuer and audience.
///
/// # Errors
/// [`MintError`] when the key does not fit its algorithm or claim names contradict each other.
pub fn mint(request: &MintRequest, config: &Config, key: &SigningKey) -> Result<String, MintError> {
    let names = &config.claims;
    let mut claims = Map::new();
    claims.insert("iat".into(), json!(request.issued_at_s));
    claims.insert("exp".into(), json!(request.issued_at_s.saturating_add(request.lifetime_s)));
    let optional = [
        ("iss", config.issuers.first().map(|issuer| json!(issuer))),
        ("aud", config.audiences.first().map(|audience| json!(audience))),
        ("jti", request.token_id.as_ref().map(|id| json!(id))),
        (&names.user, Some(json!(request.sub))),
        (&names.org, request.org.as_ref().map(|org| json!(org))),
        (&names.grants, request.grants.as_ref().map(|grants| json!(grants))),
        (&names.scopes, scope_words(&request.scopes, &config.scope_prefix).map(Value::String)),
    ];
    for (path, value) in optional {
        if let Some(value) = value {
            place(&mut claims, path, value)?;
        }
    }
    let header = Header { kid: key.id.clone(), ..Header::new(key.algorithm) };
    Ok(jsonwebtoken::encode(&header, &claims, &key.encoding)?)
}

fn scope_words(scopes: &[Scope], prefix: &str) -> Option<String> {
    let words: Vec<String> = scopes.iter().map(|scope| format!("{prefix}{}", scope.as_str())).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Puts a claim where its path leads; a name that is a URL stays one name.
fn place(claims: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), MintError> {
    let nested = path.split_once('.').filter(|_| !path.contains("://"));
    let Some((first, rest)) = nested else {
        claims.insert(path.into(), value);
        return Ok(());
    };
    let inner = claims.entry(first).or_insert_with(|| Value::Object(Map::new()));
    match inner {
        Value::Object(inner) => place(inner, rest, value),
        _ => Err(MintError::ClaimNames(first.into(), path.into())),
    }
}

/// What a token says about itself. Nothing of it is verified: anybody can write such a token.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Always false: reminds whoever reads the output.
    pub verified: bool,
    pub header: Value,
    pub claims: Value,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InspectError {
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("a JWT has three parts with dots between")]
    Parts,
    #[error("the {0} is not JSON in base64url")]
    Part(&'static str),
}

/// Reads header and claims without verifying anything.
///
/// # Errors
/// [`InspectError`] when it is not a JWT at all.
pub fn inspect(token: &str) -> Result<Inspection, InspectError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(InspectError::TooLong);
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, _signature] = parts[..] else { return Err(InspectError::Parts) };
    Ok(Inspection { verified: false, header: read(header, "header")?, claims: read(claims, "payload")? })
}

fn read(part: &str, name: &'static str) -> Result<Value, InspectError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| InspectError::Part(name))?;
    serde_json::from_slice(&bytes).map_err(|_| InspectError::Part(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::config::ClaimNames;

    fn request() -> MintRequest {
        MintRequest {
            sub: "alice".into(),
            org: Some("acme".into()),
            grants: None,
            scopes: vec![Scope::Publish, Scope::Read],
            token_id: Some("t1".into()),
            issued_at_s: 1_000,
            lifetime_s: 60,
        }
    }

    #[test]
    fn claims_stand_where_the_configuration_says() {
        let mut config = Config::development().unwrap();
        config.claims = ClaimNames { user: "who.name".into(), org: "who.tenant".into(), ..ClaimNames::default() };
        let token = mint(&request(), &config, &SigningKey::of_config(&config).unwrap()).unwrap();
        let inspection = inspect(&token).unwrap();
        assert!(!inspection.verified);
        assert_eq!(inspection.header, json!({"typ": "JWT", "alg": "HS256"}));
        let expected = json!({"iat": 1000, "exp": 1060, "jti": "t1", "who": {"name": "alice", "tenant": "acme"},
            "scope": "roomcast:publish roomcast:read"});
        assert_eq!(inspection.claims, expected);
    }

    #[test]
    fn contradicting_claim_names_are_told() {
        let mut config = Config::development().unwrap();
        config.claims = ClaimNames { org: "sub.org".into(), ..ClaimNames::default() };
        let outcome = mint(&request(), &config, &SigningKey::of_config(&config).unwrap());
        assert!(matches!(outcome, Err(MintError::ClaimNames(..))));
    }

    #[test]
    fn what_is_no_token_is_not_inspected() {
        assert_eq!(inspect("a.b").unwrap_err(), InspectError::Parts);
        assert_eq!(inspect("!.e30.x").unwrap_err(), InspectError::Part("header"));
        assert_eq!(inspect("e30.e.x").unwrap_err(), InspectError::Part("payload"));
        assert_eq!(inspect(&"x".repeat(TOKEN_BYTES_MAX + 1)).unwrap_err(), InspectError::TooLong);
    }
}
