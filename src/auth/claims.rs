//! Claims: what a token whose signature fits says, checked against the configuration.
//!
//! The verifier calls it after the signature, never before. All checks are here rather than in the JWT library, whose own are
//! lax where it matters (an absent `iss`, a numeric `aud`) and read the clock by themselves.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::api_key::Caller;
use super::config::{ClaimNames, Config, ConfigFault, LEEWAY_MAX_S, RoleRights};
use super::error::AuthError;
use super::grant::GrantList;
use super::principal::Principal;
use super::scope::{Scope, Scopes};
use crate::limit::quota::Part;
use crate::protocol::{OrgId, RoomSyntax};

/// The end of the year 9999: what lies beyond is no time in seconds.
const TIME_MAX_S: u64 = 253_402_300_799;
/// Most roles of one token that are looked at.
const ROLES_MAX: usize = 256;

pub(super) type Claims = Map<String, Value>;

/// The configured rules for claims.
pub(super) struct ClaimRules {
    issuers: Vec<String>,
    audiences: Vec<String>,
    leeway_s: u64,
    token_lifetime_max_s: u64,
    names: ClaimNames,
    scope_prefix: String,
    roles: std::collections::BTreeMap<String, RoleRights>,
    syntax: RoomSyntax,
}

#[derive(Clone, Copy)]
struct Times {
    expires_at_s: u64,
    issued_at_s: Option<u64>,
}

impl ClaimRules {
    /// # Errors
    /// [`ConfigFault`] for a leeway out of bounds or a role whose grants cannot be read.
    pub(super) fn new(config: &Config, syntax: RoomSyntax) -> Result<Self, ConfigFault> {
        if config.leeway_s > LEEWAY_MAX_S {
            return Err(ConfigFault::invalid("auth.leeway_s", format!("at most {LEEWAY_MAX_S} s are allowed")));
        }
        let rules = Self {
            issuers: config.issuers.clone(),
            audiences: config.audiences.clone(),
            leeway_s: config.leeway_s,
            token_lifetime_max_s: config.token_lifetime_max_s,
            names: config.claims.clone(),
            scope_prefix: config.scope_prefix.clone(),
            roles: config.roles.clone(),
            syntax,
        };
        rules.check_roles()?;
        Ok(rules)
    }

    fn check_roles(&self) -> Result<(), ConfigFault> {
        let invalid = |role: &str, why: String| ConfigFault::invalid(format!("auth.roles.{role}"), why);
        for (role, rights) in &self.roles {
            let sample = OrgId::parse("example").map_err(|fault| invalid(role, fault.to_string()))?;
            let grants: Vec<String> = rights.grants.iter().map(|grant| for_holder(grant, &sample, "example")).collect();
            GrantList::read(None, &grants, &sample, &self.syntax).map_err(|error| invalid(role, error.to_string()))?;
        }
        Ok(())
    }

    /// The user of a session.
    pub(super) fn principal(&self, claims: &Claims, now_s: u64) -> Result<Principal, AuthError> {
        let times = self.check(claims, now_s)?;
        let org = self.org(claims)?.ok_or_else(|| AuthError::ClaimMissing(self.names.org.as_str().into()))?;
        let sub = required_text(claims, &self.names.user)?;
        // First of all, because what a user is called may stand in the grants of roles.
        let principal = Principal::new(sub, &org, times.expires_at_s).map_err(|fault| AuthError::User(fault.message.into_owned()))?;
        let mut scopes = self.scopes(claims)?;
        let mut added = Vec::new();
        for rights in self.role_rights(claims)? {
            added.extend(rights.grants.iter().map(|grant| for_holder(grant, &org, principal.sub())));
            scopes = scopes.union(rights.scopes.iter().copied().collect());
        }
        let grants = GrantList::read(find(claims, &self.names.grants), &added, &org, &self.syntax)?;
        let token_id = optional_text(claims, "jti")?.map(Box::from);
        let quotas = self.quotas(claims)?;
        Ok(principal.with_grants(grants).with_scopes(scopes).with_token(times.issued_at_s, token_id).with_quotas(quotas))
    }

    /// The holder of a service token; only `admin` may do without an org.
    pub(super) fn caller(&self, claims: &Claims, now_s: u64) -> Result<Caller, AuthError> {
        let times = self.check(claims, now_s)?;
        let name = required_text(claims, &self.names.user)?;
        let mut scopes = self.scopes(claims)?;
        for rights in self.role_rights(claims)? {
            scopes = scopes.union(rights.scopes.iter().copied().collect());
        }
        let home = self.org(claims)?;
        let org = if scopes.allows(Scope::Admin) { None } else { home.clone() };
        if org.is_none() && !scopes.allows(Scope::Admin) {
            return Err(AuthError::ClaimMissing(self.names.org.as_str().into()));
        }
        let token_id = optional_text(claims, "jti")?.map(Box::from);
        // A token that does not say when it was issued counts as issued before every revocation.
        let issued_at_s = Some(times.issued_at_s.unwrap_or(0));
        Ok(Caller { name: name.into(), scopes, org, home, issued_at_s, token_id })
    }

    fn check(&self, claims: &Claims, now_s: u64) -> Result<Times, AuthError> {
        let times = self.check_times(claims, now_s)?;
        let issuer = optional_text(claims, "iss")?;
        if !self.issuers.is_empty() {
            let issuer = issuer.ok_or_else(|| AuthError::ClaimMissing("iss".into()))?;
            if !self.issuers.iter().any(|good| good == issuer) {
                return Err(AuthError::Issuer);
            }
        }
        self.check_audience(claims)?;
        Ok(times)
    }

    fn check_times(&self, claims: &Claims, now_s: u64) -> Result<Times, AuthError> {
        let expires_at_s = time(claims, "exp")?.ok_or_else(|| AuthError::ClaimMissing("exp".into()))?;
        if expires_at_s.saturating_add(self.leeway_s) <= now_s {
            return Err(AuthError::Expired { ago_s: now_s - expires_at_s });
        }
        let (left_s, max_s) = (expires_at_s.saturating_sub(now_s), self.token_lifetime_max_s);
        if max_s > 0 && left_s > max_s.saturating_add(self.leeway_s) {
            return Err(AuthError::TooLongLived { left_s, max_s });
        }
        let latest_s = now_s.saturating_add(self.leeway_s);
        if let Some(not_before_s) = time(claims, "nbf")?.filter(|not_before_s| *not_before_s > latest_s) {
            return Err(AuthError::NotYetValid { in_s: not_before_s - now_s });
        }
        let issued_at_s = time(claims, "iat")?;
        if let Some(issued_at_s) = issued_at_s.filter(|issued_at_s| *issued_at_s > latest_s) {
            // A token from the future would outlive every revocation, which goes by the time of issue.
            return Err(AuthError::IssuedInFuture { in_s: issued_at_s - now_s });
        }
        Ok(Times { expires_at_s, issued_at_s })
    }

    /// RFC 7519 section 4.1.3: one text or a list of texts, nothing else.
    fn check_audience(&self, claims: &Claims) -> Result<(), AuthError> {
        const EXPECTED: &str = "a text or a list of texts";
        let named = match claims.get("aud") {
            None => Vec::new(),
            Some(claim) => texts(claim).ok_or_else(|| AuthError::ClaimType { claim: "aud".into(), expected: EXPECTED })?,
        };
        if self.audiences.is_empty() {
            return Ok(());
        }
        if named.is_empty() {
            return Err(AuthError::ClaimMissing("aud".into()));
        }
        let meant = named.iter().any(|audience| self.audiences.iter().any(|good| good == audience));
        if meant { Ok(()) } else { Err(AuthError::Audience) }
    }

    fn org(&self, claims: &Claims) -> Result<Option<OrgId>, AuthError> {
        let text = optional_text(claims, &self.names.org)?;
        text.map(|text| OrgId::parse(text).map_err(|fault| AuthError::Org(fault.message.into_owned()))).transpose()
    }

    /// A claim that cannot be read is refused rather than passed over: the org would have other quotas than its issuer believes.
    fn quotas(&self, claims: &Claims) -> Result<Option<Part>, AuthError> {
        const EXPECTED: &str = "an object of whole numbers such as {\"publications_per_s\": 100}";
        let claim = if self.names.quotas.is_empty() { None } else { find(claims, &self.names.quotas) };
        let read = claim.map(|claim| Part::deserialize(claim).ok().filter(|_| claim.is_object()));
        let unreadable = || AuthError::ClaimType { claim: self.names.quotas.as_str().into(), expected: EXPECTED };
        read.map(|part| part.ok_or_else(unreadable)).transpose()
    }

    fn scopes(&self, claims: &Claims) -> Result<Scopes, AuthError> {
        let words = self.words(claims, &self.names.scopes)?;
        Ok(words.into_iter().fold(Scopes::NONE, |scopes, text| scopes.with_words(text, &self.scope_prefix)))
    }

    fn role_rights(&self, claims: &Claims) -> Result<Vec<&RoleRights>, AuthError> {
        if self.roles.is_empty() {
            return Ok(Vec::new());
        }
        let words = self.words(claims, &self.names.roles)?;
        let roles = words.into_iter().flat_map(str::split_ascii_whitespace).take(ROLES_MAX);
        Ok(roles.filter_map(|role| self.roles.get(role)).collect())
    }

    fn words<'a>(&self, claims: &'a Claims, path: &str) -> Result<Vec<&'a str>, AuthError> {
        let Some(claim) = find(claims, path) else { return Ok(Vec::new()) };
        texts(claim).ok_or_else(|| AuthError::ClaimType { claim: path.into(), expected: "a text or a list of texts" })
    }
}

/// Names of orgs and users are segments of rooms, so they end no quotes in a filter.
fn for_holder(grant: &str, org: &OrgId, user: &str) -> String {
    grant.replace("{org}", org.as_str()).replace("{user}", user)
}

/// The claim of that very name (`https://example.org/tenant` holds dots too), or the one that the dots lead to.
fn find<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(claim) = claims.get(path) {
        return Some(claim);
    }
    let mut names = path.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |object, name| object.get(name))
}

fn texts(claim: &Value) -> Option<Vec<&str>> {
    match claim {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn optional_text<'a>(claims: &'a Claims, path: &str) -> Result<Option<&'a str>, AuthError> {
    match find(claims, path) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(AuthError::ClaimType { claim: path.into(), expected: "a text" }),
    }
}

fn required_text<'a>(claims: &'a Claims, path: &str) -> Result<&'a str, AuthError> {
    optional_text(claims, path)?.ok_or_else(|| AuthError::ClaimMissing(path.into()))
}

/// RFC 7519 section 2, NumericDate: seconds, fractions allowed (and cut off here).
fn time(claims: &Claims, name: &str) -> Result<Option<u64>, AuthError> {
    const EXPECTED: &str = "a time in seconds since 1970, before the year 10000 (milliseconds are not seconds)";
    let Some(claim) = claims.get(name) else { return Ok(None) };
    let fraction = || claim.as_f64().filter(|seconds| *seconds >= 0.0 && *seconds <= TIME_MAX_S as f64);
    let seconds = claim.as_u64().or_else(|| fraction().map(|seconds| seconds as u64));
    match seconds {
        Some(seconds) if seconds <= TIME_MAX_S => Ok(Some(seconds)),
        _ => Err(AuthError::ClaimType { claim: name.into(), expected: EXPECTED }),
    }
}
