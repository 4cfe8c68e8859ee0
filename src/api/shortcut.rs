//! `POST /broadcast/kpi` and its like: a domain payload that says itself where it belongs.

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::broadcast::{Broadcast, PublishAnswer, yes};
use super::extract::{Authorized, Json, Publish, Query};
use super::openapi::Problems;
use super::problem::Problem;
use super::publish::publish;
use super::target::Target;
use crate::broker::AckLevel;
use crate::protocol::Priority;

/// A payload of the domain. It is published whole, whatever further fields it has.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"organization_id": "acme", "department_id": "sales", "queue_name": "support", "value": 42}))]
pub(super) struct Payload {
    /// May be left out by callers of one org.
    #[serde(default)]
    organization_id: Option<String>,
    #[serde(default)]
    department_id: Option<String>,
    #[serde(default)]
    queue_name: Option<String>,
    /// An event of the same family, instead of the usual one.
    #[serde(default)]
    event: Option<String>,
}

/// How the payload is published.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Options {
    #[serde(default)]
    #[param(inline)]
    priority: Priority,
    /// The server tracks who acknowledged it.
    #[serde(default)]
    requires_ack: bool,
    /// The same key is logged once, whatever is retried.
    #[serde(default)]
    idempotency_key: Option<String>,
    /// `false`: for whoever is connected, neither logged nor replayed.
    #[serde(default = "yes")]
    #[param(default = true)]
    log: bool,
    /// Reaches subscriptions on the rooms below, too.
    #[serde(default)]
    cascade: bool,
    /// Not worth replaying after this long.
    #[serde(default)]
    ttl_ms: Option<u64>,
    /// `replica` waits until a replica has it too.
    #[serde(default)]
    #[param(inline)]
    ack: AckLevel,
}

/// A family of events with its channel.
struct Family {
    channel: &'static str,
    prefix: &'static str,
    usual: &'static str,
}

type Request = (State<Arc<Api>>, Authorized<Publish>, Query<Options>, HeaderMap, Json<Payload>);

async fn shortcut(
    family: Family,
    (State(api), caller, Query(options), headers, payload): Request,
) -> Result<axum::Json<PublishAnswer>, Problem> {
    let event = payload.value.event.unwrap_or_else(|| family.usual.to_owned());
    if !event.starts_with(family.prefix) {
        return Err(Problem::invalid(format!("event must begin with {}", family.prefix)));
    }
    let mut broadcast = Broadcast {
        event,
        data: whole(&payload.bytes)?,
        encoding: None,
        bytes: None,
        target: Target {
            organization_id: payload.value.organization_id,
            department_id: payload.value.department_id,
            queue_name: payload.value.queue_name,
            ..Target::default()
        },
        channel: Some(family.channel.to_owned()),
        priority: options.priority,
        requires_ack: options.requires_ack,
        idempotency_key: options.idempotency_key,
        log: options.log,
        cascade: options.cascade,
        ttl_ms: options.ttl_ms,
        headers: None,
        ack: options.ack,
    };
    broadcast.adopt_trace(&headers);
    let permitted = broadcast.permitted(&caller, &api.parts.rules)?;
    let accepted = publish(&api.parts, &permitted, broadcast.ack).await?;
    Ok(axum::Json(PublishAnswer { success: true, accepted }))
}

fn whole(payload: &Bytes) -> Result<Box<RawValue>, Problem> {
    serde_json::from_slice(payload).map_err(|error| Problem::invalid(error.to_string()))
}

/// Defines the handler of one family; the fields of its request are spelled out for axum.
macro_rules! shortcuts {
    ($($(#[$doc:meta])* $name:ident: $id:literal, $path:literal, $channel:literal, $prefix:literal, $usual:literal;)+) => {$(
        $(#[$doc])*
        #[utoipa::path(post, path = $path, operation_id = $id, tag = "publishing", params(Options), request_body = Payload,
            security(("bearer" = ["publish"]), ("api_key" = [])), responses((status = 200, body = PublishAnswer), Problems))]
        pub(super) async fn $name(
            api: State<Arc<Api>>,
            caller: Authorized<Publish>,
            options: Query<Options>,
            headers: HeaderMap,
            payload: Json<Payload>,
        ) -> Result<axum::Json<PublishAnswer>, Problem> {
            let family = Family { channel: $channel, prefix: $prefix, usual: $usual };
            shortcut(family, (api, caller, options, headers, payload)).await
        }
    )+};
}

shortcuts! {
    /// Publish a KPI
    ///
    /// Into `kpi:<org>[:<dept>[:<queue>]]`, as `kpi:update` unless the payload names another `kpi:` event. Needs the scope `publish`.
    kpi: "publishKpi", "/api/ws/broadcast/kpi", "kpi", "kpi:", "kpi:update";
    /// Publish a backlog
    ///
    /// Into `backlog:<org>[:<dept>[:<queue>]]`, as `backlog:update` unless the payload names another `backlog:` event. Needs the scope
    /// `publish`.
    backlog: "publishBacklog", "/api/ws/broadcast/backlog", "backlog", "backlog:", "backlog:update";
    /// Publish attendance
    ///
    /// Into `attendance:<org>[:<dept>[:<queue>]]`, as `attendance:update` unless the payload names another `attendance:` event. Needs the
    /// scope `publish`.
    attendance: "publishAttendance", "/api/ws/broadcast/attendance", "attendance", "attendance:", "attendance:update";
    /// Publish an alert
    ///
    /// Into `alerts:<org>[:<dept>[:<queue>]]`, as `alert:triggered` unless the payload names another `alert:` event. Needs the scope
    /// `publish`.
    alert: "publishAlert", "/api/ws/broadcast/alert", "alerts", "alert:", "alert:triggered";
}
