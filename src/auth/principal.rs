//! Who a session is: the user, the org, what the token grants and for how long.
//!
//! Made by the token verifier (and by whoever configures anonymous access), kept by every session; asks `grant` for rights.

use crate::limit::quota::Part;
use crate::protocol::{Fault, OrgId, RoomName};

use super::grant::GrantList;
use super::scope::Scopes;

/// An authenticated user of one org. About a hundred bytes: one is kept per session.
#[derive(Clone, PartialEq, Debug)]
pub struct Principal {
    /// `user:<org>:<sub>`: holds the checked user and the org at once.
    user_room: RoomName,
    grants: GrantList,
    scopes: Scopes,
    expires_at_s: u64,
    issued_at_s: Option<u64>,
    token_id: Option<Box<str>>,
    /// Boxed, because few tokens claim any.
    quotas: Option<Box<Part>>,
}

impl Principal {
    /// A principal with the default grant: subscribe to everything of its own org, publish nothing.
    ///
    /// # Errors
    /// `INVALID_ROOM` when `sub` cannot be a segment of its user room; nobody could address such a user.
    pub fn new(sub: &str, org: &OrgId, expires_at_s: u64) -> Result<Self, Fault> {
        Ok(Self {
            user_room: RoomName::of_user(org, sub)?,
            grants: GrantList::OWN_ORG,
            scopes: Scopes::NONE,
            expires_at_s,
            issued_at_s: None,
            token_id: None,
            quotas: None,
        })
    }

    #[must_use]
    pub fn with_grants(mut self, grants: GrantList) -> Self {
        self.grants = grants;
        self
    }

    #[must_use]
    pub fn with_scopes(mut self, scopes: Scopes) -> Self {
        self.scopes = scopes;
        self
    }

    /// What revocation goes by: when the token was issued, and its `jti`.
    #[must_use]
    pub fn with_token(mut self, issued_at_s: Option<u64>, token_id: Option<Box<str>>) -> Self {
        self.issued_at_s = issued_at_s;
        self.token_id = token_id;
        self
    }

    /// What the token claims for its org.
    #[must_use]
    pub fn with_quotas(mut self, quotas: Option<Part>) -> Self {
        self.quotas = quotas.map(Box::new);
        self
    }

    pub fn sub(&self) -> &str {
        self.user_room.segments().last().unwrap_or_default()
    }

    pub fn org(&self) -> &OrgId {
        self.user_room.org()
    }

    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// Unix seconds; the leeway of verification is not in it.
    pub fn expires_at_s(&self) -> u64 {
        self.expires_at_s
    }

    /// Unix seconds. Without it a revocation must take the token for issued before.
    pub fn issued_at_s(&self) -> Option<u64> {
        self.issued_at_s
    }

    /// The token's `jti`.
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// What the token claims for its org; `limit::Quotas` holds it to the ceiling.
    pub fn quotas(&self) -> Option<Part> {
        self.quotas.as_deref().copied()
    }

    pub(super) fn user_room(&self) -> &RoomName {
        &self.user_room
    }

    pub(super) fn grants(&self) -> &GrantList {
        &self.grants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_must_be_addressable() {
        let acme = OrgId::parse("acme").unwrap();
        let alice = Principal::new("alice@example.org", &acme, 1).unwrap();
        assert_eq!((alice.sub(), alice.org().as_str()), ("alice@example.org", "acme"));
        for bad in ["", "auth0|1", "a:b", "*", "org", &"x".repeat(65)] {
            assert!(Principal::new(bad, &acme, 1).is_err(), "{bad:?}");
        }
        assert!(size_of::<Principal>() <= 120, "{}", size_of::<Principal>());
    }
}
