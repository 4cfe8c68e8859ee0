//! `GET /log`: an org's log, page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Authorized, Query, Read};
use super::openapi::Problems;
use super::page;
use super::problem::Problem;
use crate::broker::history::{Visit, Walk, walk};
use crate::broker::{Body, Entry, ReadError};
use crate::clock::unix_us;
use crate::protocol::command::history::Shown;
use crate::protocol::filter::Document;
use crate::protocol::push::{Gap, GapReason};
use crate::protocol::{Code, Fault, Filter, OrgId, Pattern, Position, Publication};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The org whose log is read; a room names one too, and callers of one org may leave it out.
    organization_id: Option<String>,
    /// Only what reaches this room or pattern.
    room: Option<String>,
    /// What came after this position, or before it with `reverse`; from the oldest or newest entry on when left out.
    #[param(value_type = Option<String>)]
    since: Option<Position>,
    /// Most entries to look at.
    limit: Option<usize>,
    /// The newest first.
    #[serde(default)]
    reverse: bool,
    /// Only what passes, as in docs/filters.md.
    filter: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LogAnswer {
    success: bool,
    #[schema(value_type = String, example = "acme")]
    organization_id: OrgId,
    /// In log order, or the newest first with `reverse`; as sessions get them.
    #[schema(value_type = Vec<Object>)]
    messages: Vec<Shown>,
    /// Admitted losses on the way: what was published after `from` and up to `to` may be missing.
    #[schema(value_type = Vec<GapShape>)]
    gaps: Vec<Gap>,
    /// Send it as `since` for the next page, now or later; null while the log has no entry.
    #[schema(value_type = Option<String>, example = "19c51a3f0-2a-64e0c1b2a3f4e")]
    next: Option<Position>,
    /// Whether the log ends with this page.
    end: bool,
}

/// An admitted loss.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes `Gap` for the document")]
pub(super) struct GapShape {
    from: Option<String>,
    to: String,
    /// `trimmed`, `fork`, `log_lost`, `evicted` or `unreadable`.
    reason: String,
}

/// Read the log
///
/// One page of an org's log. What the log no longer holds is told as a gap. Needs the scope `read`.
#[utoipa::path(get, path = "/api/ws/log", operation_id = "readLog", tag = "publishing", params(Asked), security(("bearer" = ["read"]), ("api_key" = [])),
    responses((status = 200, body = LogAnswer), Problems))]
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Authorized<Read>,
    Query(asked): Query<Asked>,
) -> Result<Json<LogAnswer>, Problem> {
    let limit = page::limit(asked.limit, &api.parts.config)?;
    let pattern = asked.room.as_deref().map(|room| api.parts.rules.syntax.pattern(room)).transpose()?;
    let named = asked.organization_id.as_deref().or_else(|| pattern.as_ref().map(|pattern| pattern.org().as_str()));
    let org = caller.one_org(named)?;
    if pattern.as_ref().is_some_and(|pattern| *pattern.org() != org) {
        return Err(Problem::invalid("room and organization_id name different orgs"));
    }
    let filter = asked.filter.as_deref().map(Filter::parse).transpose().map_err(Fault::from)?;
    let mut log = LogAnswer { success: true, organization_id: org, messages: Vec::new(), gaps: Vec::new(), next: None, end: false };
    let (walked, now_us) = (Walk { since: asked.since, reverse: asked.reverse, entries_max: limit }, unix_us());
    let org = log.organization_id.clone();
    let visit = |before: Option<Position>, entry: &Entry| {
        match &entry.body {
            Body::Publication(publication) if wanted(publication, pattern.as_ref(), filter.as_ref(), now_us) => {
                log.messages.extend(Shown::of(publication));
            }
            Body::Fence(reason) => {
                let from = if asked.reverse { None } else { before };
                log.gaps.push(Gap { from, to: entry.position, reason: *reason });
            }
            Body::Newer => {
                let from = if asked.reverse { None } else { before };
                log.gaps.push(Gap { from, to: entry.position, reason: GapReason::Unreadable });
            }
            Body::Publication(_) | Body::Malformed => {}
        }
        Visit::On
    };
    let walked = walk(api.parts.broker.as_ref(), &org, walked, visit).await.map_err(unavailable)?;
    // What was lost before the first entry is told first.
    let at = if asked.reverse { log.gaps.len() } else { 0 };
    log.gaps.splice(at..at, walked.lost);
    Ok(Json(LogAnswer { next: walked.next, end: walked.end, ..log }))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn unavailable(error: ReadError) -> Fault {
    tracing::debug!(%error, "a log could not be read");
    Fault::new(Code::BrokerUnavailable, "the log cannot be read at the moment").retry_after_ms(1_000)
}

fn wanted(publication: &Arc<Publication>, pattern: Option<&Pattern>, filter: Option<&Filter>, now_us: u64) -> bool {
    let reaches = |pattern: &Pattern| pattern.is_reached_by(&publication.room, publication.cascade);
    let passes = |filter: &Filter| filter.passes(&Document::of(publication));
    !publication.expired_at(now_us) && pattern.is_none_or(reaches) && filter.is_none_or(passes)
}
