//! ● What a session over HTTP is called by those who speak for it: the node that holds it, and a secret.
//!
//! Whoever knows the name can send commands for the session and read what it is told, so it is 128 bits of chance, travels in a header
//! and never in an address, and is never printed. The node is a hash of its id, because ids of nodes are nobody's business outside.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a node, and of a name as a whole.
const NODE_DIGITS: usize = 16;
const DIGITS: usize = 48;

/// Stands for a node within names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeMark(u64);

impl NodeMark {
    pub fn of(node: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(node).into();
        Self(digest.iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte)))
    }
}

/// The half of a name that only its client knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Secret(u128);

impl From<Secret> for String {
    fn from(secret: Secret) -> Self {
        format!("{:032x}", secret.0)
    }
}

impl TryFrom<String> for Secret {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(Self)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name {
    pub node: NodeMark,
    pub secret: Secret,
}

impl Name {
    /// `chance`: 128 bits that nobody can guess.
    pub fn new(node: NodeMark, chance: u128) -> Self {
        Self { node, secret: Secret(chance) }
    }

    /// The name as clients send it. Never to be logged.
    pub fn expose(&self) -> String {
        format!("{:016x}{:032x}", self.node.0, self.secret.0)
    }

    /// `None` for what [`Name::expose`] did not make.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let (node, secret) = digits.then(|| text.split_at(NODE_DIGITS))?;
        Some(Self { node: NodeMark(u64::from_str_radix(node, 16).ok()?), secret: Secret(u128::from_str_radix(secret, 16).ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_are_read_as_they_were_written_and_never_shown(node in "[a-z0-9-]{1,20}", chance: u128) {
            let name = Name::new(NodeMark::of(&node), chance);
            let text = name.expose();
            prop_assert_eq!(Name::parse(&text), Some(name));
            let shown = format!("{name:?}");
            prop_assert!(!shown.contains(&text[NODE_DIGITS..]));
            prop_assert!(Name::parse(&text.to_uppercase()).is_none_or(|other| other == name && text == text.to_uppercase()));
            prop_assert_eq!(Name::parse(&text[1..]), None);
        }

        #[test]
        fn nothing_else_is_a_name(text in ".{0,60}") {
            prop_assert!(Name::parse(&text).is_none_or(|name| name.expose() == text));
        }
    }
}
