//! `POST /publish/batch`: many publications in one request, each with its own outcome.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::broadcast::Broadcast;
use super::extract::{Authorized, Json, Publish, object};
use super::openapi::Problems;
use super::problem::Problem;
use super::publish::{Accepted, Permitted, publish};
use super::{Api, Parts};
use crate::broker::AckLevel;
use crate::protocol::{Code, Fault, OrgId};

/// Orgs published into at once; within an org publications keep their order.
const ORGS_AT_ONCE: usize = 16;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"publications": [{"event": "kpi:update", "target": {"organization_id": "acme"}, "data": 1}]}))]
pub(super) struct BatchRequest {
    /// As for `/broadcast`, without `all_organizations`.
    #[schema(value_type = Vec<Broadcast>)]
    publications: Vec<Box<RawValue>>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct BatchAnswer {
    /// Whether every publication was accepted.
    success: bool,
    accepted: usize,
    failed: usize,
    /// In the order of the request.
    results: Vec<BatchOutcome>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BatchOutcome {
    Accepted(Accepted),
    Refused(BatchRefusal),
}

/// Why one publication was not accepted.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchRefusal {
    #[schema(value_type = String, example = "INVALID_ROOM")]
    code: Code,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl From<Problem> for BatchOutcome {
    fn from(problem: Problem) -> Self {
        Self::Refused(BatchRefusal { code: problem.code, detail: problem.detail.into_owned(), retry_after_ms: problem.retry_after_ms })
    }
}

/// A publication with its place in the request.
struct Item {
    index: usize,
    permitted: Permitted,
    ack: AckLevel,
}

/// Publish many
///
/// Each publication stands for itself: some may be accepted and others not. Those of one org are published in the order of the request.
/// Give each an idempotency key to be able to retry. Needs the scope `publish`.
#[utoipa::path(post, path = "/api/ws/publish/batch", operation_id = "publishBatch", tag = "publishing", request_body = BatchRequest,
    security(("bearer" = ["publish"]), ("api_key" = [])), responses((status = 200, body = BatchAnswer), Problems))]
pub(super) async fn publish_batch(
    State(api): State<Arc<Api>>,
    caller: Authorized<Publish>,
    headers: HeaderMap,
    Json { value: batch, .. }: Json<BatchRequest>,
) -> Result<axum::Json<BatchAnswer>, Problem> {
    let parts = &api.parts;
    let max = parts.config.batch_max;
    if batch.publications.is_empty() || batch.publications.len() > max {
        return Err(Problem::invalid(format!("publications must be 1 to {max} (api.batch_max)")));
    }
    let mut outcomes = Vec::with_capacity(batch.publications.len());
    let mut by_org: HashMap<OrgId, Vec<Item>> = HashMap::new();
    for (index, raw) in batch.publications.iter().enumerate() {
        match item(index, raw, &headers, &caller, parts) {
            Ok(item) => by_org.entry(item.permitted.publication().room.org().clone()).or_default().push(item),
            Err(problem) => outcomes.push((index, BatchOutcome::from(problem))),
        }
    }
    // Whatever is not begun by then is told as such, rather than have the whole request end without an answer.
    let deadline = Instant::now() + Duration::from_millis(parts.config.request_timeout_ms / 2);
    let published = stream::iter(by_org.into_values()).map(|items| in_order(parts, items, deadline));
    let published: Vec<_> = published.buffer_unordered(ORGS_AT_ONCE).collect().await;
    outcomes.extend(published.into_iter().flatten());
    outcomes.sort_by_key(|(index, _)| *index);
    let results: Vec<BatchOutcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    let accepted = results.iter().filter(|outcome| matches!(outcome, BatchOutcome::Accepted(_))).count();
    let failed = results.len() - accepted;
    Ok(axum::Json(BatchAnswer { success: failed == 0, accepted, failed, results }))
}

fn item(index: usize, raw: &RawValue, headers: &HeaderMap, caller: &Authorized<Publish>, parts: &Parts) -> Result<Item, Problem> {
    let mut broadcast: Broadcast = object(raw.get().as_bytes())?;
    broadcast.adopt_trace(headers);
    Ok(Item { index, permitted: broadcast.permitted(caller, &parts.rules)?, ack: broadcast.ack })
}

/// Publishes one org's publications. Once the broker is away the rest is not tried: a later one must not overtake.
async fn in_order(parts: &Parts, items: Vec<Item>, deadline: Instant) -> Vec<(usize, BatchOutcome)> {
    let mut outcomes = Vec::with_capacity(items.len());
    let mut away = false;
    for item in items {
        let outcome = if away || Instant::now() >= deadline {
            let fault = Fault::new(Code::BrokerUnavailable, "it was not tried, because the broker was away or slow");
            Err(fault.retry_after_ms(1_000))
        } else {
            publish(parts, &item.permitted, item.ack).await
        };
        away = matches!(&outcome, Err(fault) if fault.code == Code::BrokerUnavailable);
        outcomes.push((item.index, outcome.map_or_else(|fault| Problem::from(fault).into(), BatchOutcome::Accepted)));
    }
    outcomes
}
