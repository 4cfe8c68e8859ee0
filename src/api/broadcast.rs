//! `POST /broadcast`: one publication, addressed by a target.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::bytes::{Described, Either};
use super::extract::{Authorized, Publish, only_object};
use super::openapi::Problems;
use super::problem::Problem;
use super::publish::{Accepted, Permitted, publish};
use super::target::{Destination, Target};
use super::{Api, Parts};
use crate::auth::Scope;
use crate::broker::AckLevel;
use crate::protocol::publication::{Content, Spelling, data_of, headers, idempotency_key, requires_ack};
use crate::protocol::{Code, Fault, NewPublication, OrgId, Priority};
use crate::session::machine::Rules;

/// Orgs published into at once by a publication to all of them.
const ORGS_AT_ONCE: usize = 32;
/// Longest `traceparent` that is taken over from the request (W3C Trace Context section 3.2).
const TRACEPARENT_BYTES_MAX: usize = 128;

/// A publication and whom it is for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "event": "kpi:update", "target": {"organization_id": "acme", "department_id": "sales"},
    "data": {"revenue": 1200}, "priority": "high", "idempotency_key": "report-2026-11-21"
}))]
pub(super) struct Broadcast {
    /// A known event, as in kpi:update.
    pub event: String,
    /// Any JSON value; it is passed on as it stands.
    #[schema(value_type = Value)]
    pub data: Box<RawValue>,
    /// `base64`: the data are bytes, and `data` is their text.
    #[serde(default)]
    pub encoding: Option<Spelling>,
    /// Bytes that came as such, instead of `data`.
    #[serde(skip)]
    #[schema(ignore)]
    pub bytes: Option<Bytes>,
    #[serde(default)]
    #[serde(deserialize_with = "only_object")]
    pub target: Target,
    /// Instead of the channel that follows from the event.
    #[serde(default)]
    pub channel: Option<String>,
    #[serde(default)]
    pub priority: Priority,
    /// Receivers acknowledge it; ask for its receipts by its `id`. Not together with `log: false`.
    #[serde(default)]
    pub requires_ack: bool,
    /// The same key is logged once, whatever is retried; 1 to 128 bytes.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// `false`: for whoever is connected, neither logged nor replayed.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub log: bool,
    /// Reaches subscriptions on the rooms below, too.
    #[serde(default)]
    pub cascade: bool,
    /// Not worth replaying after this long.
    #[serde(default)]
    pub ttl_ms: Option<u64>,
    /// Strings that travel with it, at most 4 KiB of JSON. A `traceparent` header of the request is taken over.
    #[serde(default)]
    pub headers: Option<BTreeMap<String, String>>,
    /// `replica` waits until a replica has it too.
    #[serde(default)]
    pub ack: AckLevel,
}

pub(super) fn yes() -> bool {
    true
}

impl Broadcast {
    /// The publication for one org.
    ///
    /// # Errors
    /// `INVALID_MESSAGE` and `INVALID_ROOM`, saying what is wrong.
    pub fn publication(&self, org: &OrgId, rules: &Rules) -> Result<NewPublication, Fault> {
        let event = rules.events.event(&self.event)?;
        let Destination { room, sessions } = self.target.destination(org, &event, self.channel.as_deref(), &rules.syntax)?;
        let (data, content) = match &self.bytes {
            Some(bytes) => (bytes.clone(), Content::Bytes),
            None => data_of(&self.data, self.encoding)?,
        };
        Ok(NewPublication {
            content,
            priority: self.priority,
            log: self.log,
            cascade: self.cascade,
            requires_ack: requires_ack(self.requires_ack, self.log)?,
            idempotency_key: idempotency_key(self.idempotency_key.clone())?,
            ttl_ms: self.ttl_ms,
            headers: headers(self.headers.as_ref())?,
            sessions,
            ..NewPublication::new(room, event, data)
        })
    }

    /// The same for the org that the target or the caller's credentials name.
    ///
    /// # Errors
    /// Besides, `UNAUTHORIZED` for an org that the credentials are not for.
    pub fn permitted(&self, caller: &Authorized<Publish>, rules: &Rules) -> Result<Permitted, Fault> {
        if self.target.all_organizations {
            return Err(Fault::new(Code::InvalidMessage, "all_organizations is for /broadcast alone"));
        }
        let named = self.target.org(&rules.syntax)?;
        let org = caller.one_org(named.as_ref().map(OrgId::as_str))?;
        Permitted::new(caller, self.publication(&org, rules)?)
    }

    /// Takes over the trace that the request belongs to, unless the publication names its own.
    pub fn adopt_trace(&mut self, request: &HeaderMap) {
        let traceparent = request.get("traceparent").and_then(|value| value.to_str().ok());
        if let Some(traceparent) = traceparent.filter(|text| text.len() <= TRACEPARENT_BYTES_MAX) {
            let headers = self.headers.get_or_insert_default();
            headers.entry("traceparent".to_owned()).or_insert_with(|| traceparent.to_owned());
        }
    }
}

/// The answer to one publication into one org.
#[derive(Serialize, ToSchema)]
pub(super) struct PublishAnswer {
    pub success: bool,
    #[serde(flatten)]
    #[schema(inline)]
    pub accepted: Accepted,
}

/// The answer to a publication into all orgs.
#[derive(Serialize, ToSchema)]
pub(super) struct PublishToAllAnswer {
    /// Whether it was accepted for every org.
    success: bool,
    /// Orgs for which it was accepted.
    organizations: usize,
    /// Orgs for which it was not; retry with the same idempotency key.
    failed: Vec<String>,
}

/// `PublishAnswer`, or `PublishToAllAnswer` for `all_organizations`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BroadcastAnswer {
    One(PublishAnswer),
    All(PublishToAllAnswer),
}

/// Publish
///
/// Publishes into the room that follows from the target (see its schema), once the broker has it. Bytes come as a text in base64 with
/// `encoding`, or as the body itself, of the type `application/octet-stream`: the query then says what the fields would. With
/// `all_organizations` the answer counts the orgs instead of naming a room. Needs the scope `publish`; `all_organizations` needs
/// `admin`.
#[utoipa::path(post, path = "/api/ws/broadcast", operation_id = "publish", tag = "publishing", params(Described),
    request_body(content((Broadcast = "application/json"), (Vec<u8> = "application/octet-stream"))),
    security(("bearer" = ["publish"]), ("api_key" = [])),
    responses((status = 200, body = BroadcastAnswer, example = json!({"success": true, "id": "19c51a3f0-2a-64e0c1b2a3f4e", "room": "kpi:acme:sales",
        "duplicate": false})), Problems))]
pub(super) async fn broadcast(
    State(api): State<Arc<Api>>,
    caller: Authorized<Publish>,
    headers: HeaderMap,
    Either(mut broadcast): Either,
) -> Result<axum::Json<BroadcastAnswer>, Problem> {
    broadcast.adopt_trace(&headers);
    if broadcast.target.all_organizations {
        caller.caller().require(Scope::Admin)?;
        return Ok(axum::Json(BroadcastAnswer::All(to_all(&api.parts, &caller, &broadcast).await?)));
    }
    let permitted = broadcast.permitted(&caller, &api.parts.rules)?;
    let accepted = publish(&api.parts, &permitted, broadcast.ack).await?;
    Ok(axum::Json(BroadcastAnswer::One(PublishAnswer { success: true, accepted })))
}

async fn to_all(parts: &Parts, caller: &Authorized<Publish>, broadcast: &Broadcast) -> Result<PublishToAllAnswer, Problem> {
    let max = parts.config.organizations_max;
    let unavailable = |_| Fault::new(Code::BrokerUnavailable, "the broker cannot name the organizations").retry_after_ms(1_000);
    let orgs = parts.broker.orgs(max + 1).await.map_err(unavailable)?;
    if orgs.len() > max {
        return Err(Problem::invalid(format!("there are more than {max} organizations (api.organizations_max)")));
    }
    let publications = orgs.iter().map(|org| Permitted::new(caller, broadcast.publication(org, &parts.rules)?));
    let permitted: Vec<Permitted> = publications.collect::<Result<_, Fault>>()?;
    let outcomes = stream::iter(permitted).map(|permitted| async move {
        let outcome = publish(parts, &permitted, broadcast.ack).await;
        outcome.err().map(|_| permitted.publication().room.org().to_string())
    });
    let failed: Vec<String> = outcomes.buffer_unordered(ORGS_AT_ONCE).filter_map(std::future::ready).collect().await;
    if !orgs.is_empty() && failed.len() == orgs.len() {
        return Err(Fault::new(Code::BrokerUnavailable, "it was accepted for no organization").retry_after_ms(1_000).into());
    }
    Ok(PublishToAllAnswer { success: failed.is_empty(), organizations: orgs.len() - failed.len(), failed })
}
