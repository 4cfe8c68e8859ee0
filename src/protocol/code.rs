//! Error codes and close codes: one list, the same over WebSocket, REST and close reasons.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::item::Conflict;

/// What went wrong. More codes may come: treat one that you do not know like `INTERNAL_ERROR`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schemars(rename = "ErrorCode")]
pub enum Code {
    /// The token is malformed, forged, expired, revoked, or for somebody else than the session's.
    AuthFailed,
    /// Not authenticated yet, or not granted.
    Unauthorized,
    /// No JSON object, an unknown command or event, wrong types, values out of bounds.
    InvalidMessage,
    /// The room or pattern breaks the grammar.
    InvalidRoom,
    /// Only in a close with 1009, and over REST.
    MessageTooLarge,
    /// Too many commands; wait `retry_after_ms`.
    RateLimitExceeded,
    /// The session has its full number of subscriptions.
    SubscriptionFailed,
    /// Unsubscribed from what was no subscription, or not present in the room.
    RoomNotFound,
    /// The room has its full number of sessions on this node, or of members, or the collection of items; wait `retry_after_ms` where it is
    /// there. Without one the session is present in its full number of rooms, or watches it.
    RoomFull,
    /// The item of a collection is not as the write demands; `current` tells how it is.
    Conflict,
    /// The org has its full number of connections; reconnect after `retry_after_ms`.
    ConnectionLimit,
    /// Redis, or the keys to check tokens, cannot be reached; retry after `retry_after_ms`, publishing with the same key.
    BrokerUnavailable,
    /// A failure of the server; retry later.
    InternalError,
}

impl Code {
    pub const ALL: [Self; 13] = [
        Self::AuthFailed,
        Self::Unauthorized,
        Self::InvalidMessage,
        Self::InvalidRoom,
        Self::MessageTooLarge,
        Self::RateLimitExceeded,
        Self::SubscriptionFailed,
        Self::RoomNotFound,
        Self::RoomFull,
        Self::Conflict,
        Self::ConnectionLimit,
        Self::BrokerUnavailable,
        Self::InternalError,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthFailed => "AUTH_FAILED",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::InvalidMessage => "INVALID_MESSAGE",
            Self::InvalidRoom => "INVALID_ROOM",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::RateLimitExceeded => "RATE_LIMIT_EXCEEDED",
            Self::SubscriptionFailed => "SUBSCRIPTION_FAILED",
            Self::RoomNotFound => "ROOM_NOT_FOUND",
            Self::RoomFull => "ROOM_FULL",
            Self::Conflict => "CONFLICT",
            Self::ConnectionLimit => "CONNECTION_LIMIT",
            Self::BrokerUnavailable => "BROKER_UNAVAILABLE",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }

    /// The HTTP status that REST answers with.
    pub fn http_status(self) -> u16 {
        match self {
            Self::AuthFailed => 401,
            Self::Unauthorized => 403,
            Self::InvalidMessage | Self::InvalidRoom | Self::SubscriptionFailed => 400,
            Self::MessageTooLarge => 413,
            Self::RateLimitExceeded => 429,
            Self::RoomNotFound => 404,
            Self::Conflict => 409,
            Self::RoomFull | Self::ConnectionLimit | Self::BrokerUnavailable => 503,
            Self::InternalError => 500,
        }
    }
}

/// A refusal as its cause saw it: a code for programs, a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error, Serialize, JsonSchema)]
#[error("{}: {message}", code.as_str())]
#[schemars(rename = "ErrorData")]
pub struct Fault {
    pub code: Code,
    /// For people; it may change.
    pub message: Cow<'static, str>,
    /// How long the client should wait before it tries again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    pub retry_after_ms: Option<u64>,
    /// Only with `CONFLICT`.
    #[serde(flatten)]
    pub conflict: Option<Box<Conflict>>,
}

impl Fault {
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None, conflict: None }
    }

    #[must_use]
    pub fn retry_after_ms(mut self, wait_ms: u64) -> Self {
        self.retry_after_ms = Some(wait_ms);
        self
    }
}

/// Why the server closes a connection. 1000–1015 are RFC 6455 section 7.4.1; 4000–4499 mean "reconnect", 4500–4999 "do not".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, JsonSchema)]
#[schemars(transform = numbered)]
#[repr(u16)]
pub enum CloseCode {
    /// The answer to the client's own close.
    Normal = 1000,
    /// The frames broke RFC 6455.
    ProtocolError = 1002,
    /// A binary message, or a text where MessagePack is spoken.
    UnsupportedData = 1003,
    /// A text that is not UTF-8, or broken compression.
    InvalidPayload = 1007,
    /// Reserved.
    PolicyViolation = 1008,
    /// A message too long, in too many fragments, or unfinished for too long before authentication.
    MessageTooBig = 1009,
    /// A failure of the server.
    InternalError = 1011,
    /// The node shuts down or hands its sessions on.
    Drain = 4000,
    /// Nothing came from the client for too long.
    Stale = 4001,
    /// The token has expired, or its time has not come by this node's clock; come back with a fresh one.
    TokenExpired = 4002,
    /// Too many connections at the moment.
    ConnectionLimit = 4003,
    /// Too many commands.
    RateLimited = 4004,
    /// The broker cannot be reached.
    BrokerUnavailable = 4005,
    /// An administrator disconnected the session.
    Disconnected = 4006,
    /// No valid credentials.
    AuthFailed = 4500,
    /// Nothing authenticated in time.
    AuthTimeout = 4501,
    /// The token, the user or the session was revoked.
    Revoked = 4502,
    /// Credentials are valid, what they grant is not enough.
    Unauthorized = 4503,
    /// Malformed or refused commands over and over.
    InvalidMessage = 4504,
}

impl CloseCode {
    pub const ALL: [Self; 19] = [
        Self::Normal,
        Self::ProtocolError,
        Self::UnsupportedData,
        Self::InvalidPayload,
        Self::PolicyViolation,
        Self::MessageTooBig,
        Self::InternalError,
        Self::Drain,
        Self::Stale,
        Self::TokenExpired,
        Self::ConnectionLimit,
        Self::RateLimited,
        Self::BrokerUnavailable,
        Self::Disconnected,
        Self::AuthFailed,
        Self::AuthTimeout,
        Self::Revoked,
        Self::Unauthorized,
        Self::InvalidMessage,
    ];
}

impl CloseCode {
    /// Whether it may be otherwise when the client comes back.
    pub fn is_passing(self) -> bool {
        (4_000..4_500).contains(&(self as u16)) || matches!(self, Self::Normal | Self::InternalError)
    }
}

/// On the wire a close code is its number; its name stays as the title.
fn numbered(schema: &mut Schema) {
    let Some(variants) = schema.get_mut("oneOf").and_then(serde_json::Value::as_array_mut) else { return };
    for variant in variants {
        let code =
            CloseCode::ALL.into_iter().find(|code| variant["const"] == format!("{code:?}")).expect("CloseCode::ALL names all of them");
        variant["title"] = variant["const"].take();
        variant["const"] = (code as u16).into();
        variant["type"] = "integer".into();
    }
}

/// A close frame to send: the code and what its JSON reason holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Close {
    pub code: CloseCode,
    /// The code for programs in the reason; close codes of RFC 6455 travel without one.
    pub reason: Option<Code>,
    pub retry_after_ms: Option<u64>,
}

impl Close {
    pub fn new(code: CloseCode) -> Self {
        Self { code, reason: None, retry_after_ms: None }
    }

    pub fn because(code: CloseCode, reason: Code) -> Self {
        Self { code, reason: Some(reason), retry_after_ms: None }
    }

    #[must_use]
    pub fn retry_after_ms(mut self, wait_ms: u64) -> Self {
        self.retry_after_ms = Some(wait_ms);
        self
    }

    /// The reason as JSON, at most 123 bytes (RFC 6455 section 5.5): `{"code":"AUTH_FAILED","retry_after_ms":500}`.
    pub fn reason_text(&self) -> String {
        match (self.reason, self.retry_after_ms) {
            (None, None) => String::new(),
            (Some(code), None) => format!(r#"{{"code":"{}"}}"#, code.as_str()),
            (None, Some(wait)) => format!(r#"{{"retry_after_ms":{wait}}}"#),
            (Some(code), Some(wait)) => format!(r#"{{"code":"{}","retry_after_ms":{wait}}}"#, code.as_str()),
        }
    }
}

impl JsonSchema for Close {
    fn schema_name() -> Cow<'static, str> {
        "CloseReason".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The reason in a close frame, where it is not empty.",
            "type": "object",
            "properties": {
                "code": generator.subschema_for::<Code>(),
                "retry_after_ms": {
                    "description": "How long the client should wait before it comes back.",
                    "type": "integer",
                    "minimum": 0,
                },
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_reason_fits_a_control_frame() {
        for code in Code::ALL {
            let close = Close::because(CloseCode::Drain, code).retry_after_ms(u64::MAX);
            assert!(close.reason_text().len() <= 123);
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("{:?}", code.as_str()));
        }
    }
}
