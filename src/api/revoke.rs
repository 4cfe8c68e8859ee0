//! `POST /revoke`: takes tokens, users, sessions and orgs out of service before their time.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::connections;
use super::extract::{Authorized, Json, Revoke};
use super::openapi::Problems;
use super::problem::Problem;
use crate::broker::RevocationTarget;
use crate::protocol::{Code, Fault, RoomName, SessionId};
use crate::session::revoking::Effect;

/// Longest token id, in bytes.
const TOKEN_ID_BYTES_MAX: usize = 256;

/// Exactly one of: a user of an org, a session, a token, or (alone) an org.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
#[schema(example = json!({"organization_id": "acme", "user_id": "alice"}))]
pub(super) struct RevokeRequest {
    /// The org of the user, or the org as a whole; callers of one org may leave it out beside `user_id`.
    organization_id: Option<String>,
    user_id: Option<String>,
    #[schema(value_type = Option<String>)]
    session_id: Option<SessionId>,
    /// The `jti` of a token. Only for credentials that are for all orgs, since a token's id does not tell its org.
    token_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RevokeAnswer {
    success: bool,
    /// Tokens of the user or org that were issued later than this are good again, Unix milliseconds by the broker's clock.
    revoked_at_ms: u64,
    /// Sessions that this node closed at once; the other nodes follow within `session.revocation_interval_ms`.
    sessions_closed: usize,
    /// The broker cannot be reached: the revocation holds on this node alone, and the other nodes hear of it when the broker is back. It is lost
    /// should this node end before; then revoke again.
    pending: bool,
}

/// Revoke
///
/// Open sessions that rest on what was revoked are closed with 4502 on every node, and its tokens are refused. While the broker is away the
/// answer is 202 with `pending`. Needs the scope `revoke`.
#[utoipa::path(post, path = "/api/ws/revoke", operation_id = "revoke", tag = "operations", request_body = RevokeRequest,
    security(("bearer" = ["revoke"]), ("api_key" = [])), responses((status = 200, body = RevokeAnswer),
    (status = 202, description = "Revoked on this node; the others follow when the broker is back", body = RevokeAnswer), (status = 404, description = "No node has this session", body = Problem, content_type = "application/problem+json"), Problems))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Authorized<Revoke>,
    Json { value: asked, .. }: Json<RevokeRequest>,
) -> Result<(StatusCode, Answer<RevokeAnswer>), Problem> {
    let target = target(&api, &caller, asked).await?;
    let effect = api.parts.revoking.revoke(target).await.map_err(|full| {
        let detail = format!("nothing was revoked: {full}");
        Fault::new(Code::BrokerUnavailable, detail).retry_after_ms(1_000)
    })?;
    let Effect { at_ms, sessions_closed, pending } = effect;
    tracing::info!(caller = &*caller.caller().name, sessions_closed, pending, "revoked credentials");
    let status = if pending { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Answer(RevokeAnswer { success: true, revoked_at_ms: at_ms, sessions_closed, pending })))
}

/// What is to be revoked, once it is clear that the caller may.
async fn target(api: &Api, caller: &Authorized<Revoke>, asked: RevokeRequest) -> Result<RevocationTarget, Problem> {
    match asked {
        RevokeRequest { organization_id, user_id: Some(user_id), session_id: None, token_id: None } => {
            let org = caller.one_org(organization_id.as_deref())?;
            RoomName::of_user(&org, &user_id)?;
            Ok(RevocationTarget::User { organization_id: org.to_string(), user_id })
        }
        RevokeRequest { organization_id: Some(org), user_id: None, session_id: None, token_id: None } => {
            let org = caller.one_org(Some(&org))?;
            Ok(RevocationTarget::Org { organization_id: org.to_string() })
        }
        RevokeRequest { organization_id: None, user_id: None, session_id: Some(id), token_id: None } => {
            match connections::find(api, caller, id).await {
                Err(problem) if problem.status == StatusCode::NOT_FOUND => return Err(problem),
                Ok(_) | Err(_) => {}
            }
            // Where it may be on a node that does not answer, nobody can say whose it is: so it is revoked if it is the caller's.
            let organization_id = caller.caller().org.as_ref().map(ToString::to_string);
            Ok(RevocationTarget::Session { session_id: id.to_string(), organization_id })
        }
        RevokeRequest { organization_id: None, user_id: None, session_id: None, token_id: Some(token_id) } => {
            if caller.caller().org.is_some() {
                return Err(Fault::new(Code::Unauthorized, "a token_id needs credentials that are for all organizations").into());
            }
            if token_id.is_empty() || token_id.len() > TOKEN_ID_BYTES_MAX {
                return Err(Problem::invalid("token_id must be 1 to 256 bytes"));
            }
            Ok(RevocationTarget::Token { token_id })
        }
        _ => Err(Problem::invalid("name exactly one of: user_id (with its organization_id), session_id, token_id, organization_id")),
    }
}
