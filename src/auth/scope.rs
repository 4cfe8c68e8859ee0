//! Scopes: what a service token or an API key may do over REST.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One kind of work. In tokens they are written with a prefix: `roomcast:publish`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Publish and broadcast into an org.
    Publish,
    /// Read stats, rooms, the log and receipts.
    Read,
    /// List and disconnect connections.
    Connections,
    /// Revoke tokens, users, sessions and orgs.
    Revoke,
    /// Everything above, in all orgs, and broadcasts to all of them at once.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 5] = [Self::Publish, Self::Read, Self::Connections, Self::Revoke, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Connections => "connections",
            Self::Revoke => "revoke",
            Self::Admin => "admin",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes in one byte.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Scopes(u8);

impl Scopes {
    pub const NONE: Self = Self(0);

    #[must_use]
    pub fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the work is allowed; `admin` stands for every other scope.
    pub fn allows(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// Adds the scopes among the words that begin with the prefix; foreign and unknown words (`openid`) grant nothing.
    #[must_use]
    pub fn with_words(self, words: &str, prefix: &str) -> Self {
        let known = |word: &str| Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
        words.split_ascii_whitespace().filter_map(|word| word.strip_prefix(prefix).and_then(known)).fold(self, Self::with)
    }
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        known.ok_or_else(|| format!("the scopes are {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prefixed_known_words_grant() {
        let scopes = Scopes::NONE.with_words("openid roomcast:publish publish roomcast:fly read", "roomcast:");
        assert_eq!(scopes, Scopes::NONE.with(Scope::Publish));
    }

    #[test]
    fn admin_stands_for_all_and_nothing_stands_for_admin() {
        let admin = Scopes::NONE.with(Scope::Admin);
        assert!(Scope::ALL.into_iter().all(|scope| admin.allows(scope)));
        let others: Scopes = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Admin).collect();
        assert!(!others.allows(Scope::Admin));
    }
}
