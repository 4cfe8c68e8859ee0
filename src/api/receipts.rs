//! `/messages/:id/receipts`: who got a publication that asked to be acknowledged.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::connections::rfc3339;
use super::extract::{Authorized, PositionPath, Publish, Query};
use super::openapi::Problems;
use super::problem::Problem;
use crate::broker::receipts::{Receipt, Tally};
use crate::protocol::{Code, Fault, Position};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The org that it was published into; callers of one org may leave it out.
    organization_id: Option<String>,
}

/// Counts of sessions over the whole cluster.
#[derive(Serialize, ToSchema)]
pub(super) struct ReceiptsAnswer {
    success: bool,
    /// The publication.
    #[schema(value_type = String, example = "19c51a3f0-2a-64e0c1b2a3f4e")]
    id: Position,
    /// Sessions that it was handed to.
    matched: u64,
    /// Of these, those whose socket has taken it.
    written: u64,
    /// Those that acknowledged it.
    acked: u64,
    /// Those that may still acknowledge it.
    outstanding: u64,
    /// Those that ended before, or for which it was given up.
    expired: u64,
    /// Whether the counts are final.
    complete: bool,
    /// When they are at the latest, RFC 3339.
    #[schema(example = "2026-11-21T09:01:00Z")]
    deadline: String,
}

/// Show receipts
///
/// Who got a publication with `requires_ack`, as far as the nodes have reported. Needs the scope `publish`.
#[utoipa::path(get, path = "/api/ws/messages/{id}/receipts", operation_id = "showReceipts", tag = "publishing",
    params(("id" = String, Path, description = "The publication's id"), Asked), security(("bearer" = ["publish"]), ("api_key" = [])),
    responses((status = 200, body = ReceiptsAnswer), (status = 404, description = "Nothing of this id asked to be acknowledged, or it is too long ago",
        body = Problem, content_type = "application/problem+json"), Problems))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Authorized<Publish>,
    PositionPath(id): PositionPath,
    Query(asked): Query<Asked>,
) -> Result<Json<ReceiptsAnswer>, Problem> {
    let org = caller.one_org(asked.organization_id.as_deref())?;
    let receipt = api.parts.broker.receipt(&org, id).await.map_err(|error| {
        tracing::debug!(%error, "receipts could not be read");
        Fault::new(Code::BrokerUnavailable, "the receipts cannot be read at the moment").retry_after_ms(1_000)
    })?;
    let Some(Receipt { tally, complete, deadline_ms }) = receipt else {
        return Err(Problem::not_found("nothing of this id asked to be acknowledged in this organization, or it is too long ago"));
    };
    let Tally { matched, written, acked, expired } = tally;
    let (outstanding, deadline) = (tally.outstanding(), rfc3339(deadline_ms));
    Ok(Json(ReceiptsAnswer { success: true, id, matched, written, acked, outstanding, expired, complete, deadline }))
}
