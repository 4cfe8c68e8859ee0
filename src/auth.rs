//! Who is asking, and what they may do.
//!
//! The transport and the session hand tokens to [`Verifier`], REST hands its headers to [`Authenticator`]; `grant` turns wishes
//! into [`Grant`]s. Nothing here keeps sessions or reads the clock for a verdict: time is a parameter.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may end at the first surprise"))]

pub mod api_key;
mod claims;
pub mod config;
pub mod error;
pub mod grant;
pub mod jwks;
mod key;
pub mod mint;
pub mod principal;
pub mod scope;
pub mod secret;
pub mod token;

#[cfg(test)]
mod test_keys;

pub use api_key::{Authenticator, Caller};
pub use config::{Config, ConfigFault};
pub use error::AuthError;
pub use grant::{Grant, GrantError, GrantList, HistoryGrant, PresenceGrant, Right};
pub use mint::{Inspection, MintRequest, SigningKey, inspect, mint};
pub use principal::Principal;
pub use scope::{Scope, Scopes};
pub use secret::Secret;
pub use token::Verifier;
