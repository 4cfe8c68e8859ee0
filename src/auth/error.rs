//! Why credentials were refused, in words that help whoever made them. No message ever holds the token or a piece of it.

use super::grant::GrantError;
use super::token::TOKEN_BYTES_MAX;
use crate::protocol::{Code, Fault};

/// When to come back after a refusal by the clock: another node, or a fresh token, may do at once.
const CLOCK_RETRY_MS: u64 = 1_000;

/// The outcome of a verification that failed. All are `AUTH_FAILED` for the client but [`AuthError::KeysUnavailable`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AuthError {
    #[error("no credentials were given")]
    Missing,
    #[error("the Authorization header must be one of the form \"Bearer <token>\"")]
    Scheme,
    #[error("the API key is not known")]
    ApiKey,
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("the token is not a JWT: {0}")]
    Malformed(&'static str),
    #[error("the token's algorithm is not one that a configured key is for")]
    Algorithm,
    #[error("the token was signed with a key that is not known here (see its kid)")]
    UnknownKey,
    #[error("the token's signature does not fit")]
    Signature,
    #[error("the token has no claim {0:?}")]
    ClaimMissing(Box<str>),
    #[error("the token's claim {claim:?} must be {expected}")]
    ClaimType { claim: Box<str>, expected: &'static str },
    #[error("the token expired {ago_s} s ago")]
    Expired { ago_s: u64 },
    #[error("the token is not valid for another {in_s} s (nbf)")]
    NotYetValid { in_s: u64 },
    #[error("the token was issued {in_s} s in the future (iat); compare the clocks")]
    IssuedInFuture { in_s: u64 },
    #[error("the token lives for another {left_s} s; the configuration allows {max_s} s (auth.token_lifetime_max_s)")]
    TooLongLived { left_s: u64, max_s: u64 },
    #[error("the token's issuer is not one that is configured (auth.issuers)")]
    Issuer,
    #[error("the token is meant for another audience (auth.audiences)")]
    Audience,
    #[error("the token's user is not usable: {0}")]
    User(String),
    #[error("the token's org is not usable: {0}")]
    Org(String),
    #[error("the token's grants are not usable: {0}")]
    Grants(#[from] GrantError),
    /// No key set could be had yet; nothing is said about the token.
    #[error("the keys to verify tokens with cannot be had at the moment")]
    KeysUnavailable { retry_after_ms: u64 },
}

impl From<AuthError> for Fault {
    fn from(error: AuthError) -> Self {
        let message = error.to_string();
        match error {
            AuthError::KeysUnavailable { retry_after_ms } => Self::new(Code::BrokerUnavailable, message).retry_after_ms(retry_after_ms),
            // These go by the clock of this node, which may be wrong, and a fresh token mends them.
            AuthError::Expired { .. } | AuthError::NotYetValid { .. } | AuthError::IssuedInFuture { .. } => {
                Self::new(Code::AuthFailed, message).retry_after_ms(CLOCK_RETRY_MS)
            }
            _ => Self::new(Code::AuthFailed, message),
        }
    }
}
