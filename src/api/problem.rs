//! Refusals as the API tells them: problem+json (RFC 9457) with the codes of docs/protocol.md.
//!
//! Every route and extractor returns a [`Problem`]; the layers around the routes turn panics, timeouts and unknown paths into
//! one too, so that a caller never has to read anything else.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::AuthError;
use crate::protocol::item::Conflict;
use crate::protocol::{Code, Fault};

/// What went wrong.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The HTTP status, repeated.
    #[schema(value_type = u16, example = 403)]
    #[serde(serialize_with = "as_number")]
    pub status: StatusCode,
    /// What kind of problem it is, for programs.
    #[schema(value_type = String, example = "UNAUTHORIZED")]
    pub code: Code,
    /// The same for people.
    #[schema(value_type = String, example = "The credentials do not allow this")]
    pub title: &'static str,
    /// What exactly is wrong in this request.
    #[schema(value_type = String, example = "this needs the scope publish")]
    pub detail: Cow<'static, str>,
    /// How long to wait before trying again, in milliseconds; the header Retry-After says it in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    #[serde(flatten)]
    #[schema(inline, value_type = ConflictShape)]
    pub conflict: Option<Box<Conflict>>,
}

/// The members of a problem that tell of a conflict.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes `Conflict` for the document")]
struct ConflictShape {
    /// Only with `CONFLICT`: the item as it is; null when there is none.
    current: Option<super::sync::ItemShape>,
    /// Only with `CONFLICT`: the version of the item's deletion, where that is remembered.
    deleted_version: Option<u64>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem of HTTP itself, for which no code of the protocol brings the right status.
    pub fn http(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let title = status.canonical_reason().unwrap_or("The request cannot be served");
        Self { status, code: Code::InvalidMessage, title, detail: detail.into(), retry_after_ms: None, conflict: None }
    }

    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Fault::new(Code::InvalidMessage, detail).into()
    }

    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::http(StatusCode::NOT_FOUND, detail)
    }

    /// The request took too long, so its outcome is not known.
    pub fn timeout() -> Self {
        let detail = "the request took too long; its outcome is not known, retry it with the same idempotency_key";
        let fault = Fault::new(Code::BrokerUnavailable, detail).retry_after_ms(1_000);
        Self { status: StatusCode::GATEWAY_TIMEOUT, ..fault.into() }
    }

    /// For a handler that panicked. The cause is in the log by then, and nothing for the caller.
    pub fn of_panic() -> Self {
        Fault::new(Code::InternalError, "the request could not be carried out because of a defect; see the node's log").into()
    }
}

fn title(code: Code) -> &'static str {
    match code {
        Code::AuthFailed => "The credentials are missing or not valid",
        Code::Unauthorized => "The credentials do not allow this",
        Code::InvalidMessage => "The request is not valid",
        Code::InvalidRoom => "This is no room",
        Code::MessageTooLarge => "The request is too large",
        Code::RateLimitExceeded => "Too many requests",
        Code::SubscriptionFailed => "The subscription failed",
        Code::RoomNotFound => "There is no such room",
        Code::RoomFull => "The room is full",
        Code::Conflict => "The item is another",
        Code::ConnectionLimit => "There are too many connections",
        Code::BrokerUnavailable => "The broker cannot be reached",
        Code::InternalError => "Something went wrong inside",
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let status = StatusCode::from_u16(fault.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let Fault { code, message: detail, retry_after_ms, conflict } = fault;
        Self { status, code, title: title(code), detail, retry_after_ms, conflict }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        Fault::from(error).into()
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Fault::new(Code::MessageTooLarge, "the body is longer than api.body_bytes_max").into();
        }
        Self::invalid("the body could not be read to its end")
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Plain data with keys of text always serializes; an empty body would still carry the status.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait_ms) = self.retry_after_ms {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1_000)));
        }
        if self.code == Code::AuthFailed {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"roomcast\""));
        }
        response.extensions_mut().insert(self.code);
        response
    }
}
