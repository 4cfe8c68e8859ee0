//! Tokens for members and publishers: signed here, or one that was given.

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::clock::unix_us;

/// How long signed tokens are good for.
const LIFETIME_S: u64 = 12 * 3_600;
/// The claim that orgs are named by, unless configured otherwise.
const ORG: &str = "org";

/// Where tokens come from.
#[derive(Clone)]
pub enum Tokens {
    /// Signed with HS256: one for every user, for as many orgs as are wanted.
    Signed { secret: String },
    /// The same one for everybody.
    Given { token: String, org: String },
}

impl Tokens {
    /// # Errors
    /// When the token is none, or names no org.
    pub fn given(token: &str) -> anyhow::Result<Self> {
        let org = org_of(token).context("the token does not say which org it is for (claim `org`); sign tokens with --secret instead")?;
        Ok(Self::Given { token: token.to_owned(), org })
    }

    /// Names for `count` orgs.
    ///
    /// # Errors
    /// When the only token is for fewer.
    pub fn orgs(&self, count: usize) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Signed { .. } => Ok((0..count).map(|number| format!("org{number}")).collect()),
            Self::Given { org, .. } if count == 1 => Ok(vec![org.clone()]),
            Self::Given { org, .. } => {
                bail!("{count} orgs need tokens of their own, and --token is for {org} alone: give --secret instead, or take --orgs 1")
            }
        }
    }

    /// A token for `user` of `org` as most are: without grants, which is to subscribe to everything of the org.
    pub fn of(&self, org: &str, user: &str) -> String {
        self.signed(json!({ "sub": user, ORG: org }))
    }

    /// A token for somebody who may do everything in `org`, over REST too.
    pub fn of_publisher(&self, org: &str, name: &str) -> String {
        let rights = ["subscribe", "publish", "presence", "history"].map(|right| format!("{right}:*:{org}:**"));
        self.signed(json!({ "sub": name, ORG: org, "grants": rights, "scope": "roomcast:publish" }))
    }

    fn signed(&self, claims: Value) -> String {
        match self {
            Self::Given { token, .. } => token.clone(),
            Self::Signed { secret } => sign(secret, claims),
        }
    }
}

fn sign(secret: &str, mut claims: Value) -> String {
    let now_s = unix_us() / 1_000_000;
    (claims["iat"], claims["exp"]) = (now_s.into(), (now_s + LIFETIME_S).into());
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256", "typ": "JWT" })), part(&claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn org_of(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Value>(&claims).ok()?[ORG].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_token_names_its_org_and_is_signed_as_others_sign() {
        let token = Tokens::Signed { secret: "secret".to_owned() }.of("acme", "alice");
        assert_eq!(org_of(&token).as_deref(), Some("acme"));
        assert_eq!(token.rsplit('.').next().map(str::len), Some(43));
    }

    #[test]
    fn the_signature_is_the_one_of_the_standard() {
        // RFC 4231 section 4.3.
        let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        assert!(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()).starts_with("W9zBRr9g"));
    }

    #[test]
    fn one_token_is_for_one_org() {
        let given = Tokens::given(&Tokens::Signed { secret: "secret".to_owned() }.of("acme", "alice")).unwrap();
        assert_eq!(given.orgs(1).unwrap(), ["acme"]);
        assert!(given.orgs(2).is_err());
        assert!(Tokens::given("no.token").is_err());
    }
}
