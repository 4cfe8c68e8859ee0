//! `POST /broadcast` with `application/octet-stream`: the body is the data, and the query says the rest.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query as AxumQuery, Request};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use utoipa::IntoParams;

use super::Api;
use super::broadcast::{Broadcast, yes};
use super::extract::Json;
use super::problem::Problem;
use super::target::Target;
use crate::broker::AckLevel;
use crate::protocol::Priority;

/// With a body of `application/octet-stream`, which is published as bytes: what JSON would say in its fields.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Described {
    /// A known event; required with bytes.
    #[param(required = false)]
    event: String,
    #[serde(default)]
    room: Option<String>,
    #[serde(default)]
    organization_id: Option<String>,
    #[serde(default)]
    department_id: Option<String>,
    #[serde(default)]
    queue_name: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    #[param(inline)]
    priority: Priority,
    #[serde(default)]
    requires_ack: bool,
    #[serde(default)]
    idempotency_key: Option<String>,
    #[serde(default = "yes")]
    #[param(default = true)]
    log: bool,
    #[serde(default)]
    cascade: bool,
    #[serde(default)]
    ttl_ms: Option<u64>,
    #[serde(default)]
    #[param(inline)]
    ack: AckLevel,
}

/// A publication in either form.
pub(super) struct Either(pub Broadcast);

impl FromRequest<Arc<Api>> for Either {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        if !are_bytes(request.headers()) {
            let Json { value, .. } = Json::<Broadcast>::from_request(request, api).await?;
            return Ok(Self(value));
        }
        let (mut parts, body) = request.into_parts();
        let AxumQuery(described) = AxumQuery::<Described>::from_request_parts(&mut parts, api).await?;
        let bytes = Bytes::from_request(Request::from_parts(parts, body), api).await?;
        Ok(Self(described.broadcast(bytes)))
    }
}

fn are_bytes(headers: &HeaderMap) -> bool {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    named.trim().eq_ignore_ascii_case("application/octet-stream")
}

impl Described {
    fn broadcast(self, bytes: Bytes) -> Broadcast {
        let Self { organization_id, department_id, queue_name, room, user_id, .. } = self;
        Broadcast {
            event: self.event,
            data: RawValue::NULL.to_owned(),
            encoding: None,
            bytes: Some(bytes),
            target: Target { organization_id, department_id, queue_name, room, user_id, ..Target::default() },
            channel: self.channel,
            priority: self.priority,
            requires_ack: self.requires_ack,
            idempotency_key: self.idempotency_key,
            log: self.log,
            cascade: self.cascade,
            ttl_ms: self.ttl_ms,
            headers: None,
            ack: self.ack,
        }
    }
}
