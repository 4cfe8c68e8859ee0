//! `GET /log`: an org's log, page by page.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Authorized, Query, Read};
use super::openapi::Problems;
use super::page;
use super::problem::Problem;
use crate::broker::{Body, Entry, LogState, Page, PageLimit, ReadError};
use crate::clock::unix_us;
use crate::protocol::codec::json;
use crate::protocol::push::{Gap, Manner};
use crate::protocol::{Code, Fault, GapReason, OrgId, Pattern, Position, Publication, Push};

/// Bytes of one page of the log.
const PAGE_BYTES_MAX: usize = 1 << 20;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The org whose log is read; a room names one too, and callers of one org may leave it out.
    organization_id: Option<String>,
    /// Only what reaches this room or pattern.
    room: Option<String>,
    /// What came after this position; from the oldest entry on when left out.
    #[param(value_type = Option<String>)]
    since: Option<Position>,
    /// Most entries to look at.
    limit: Option<usize>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LogAnswer {
    success: bool,
    #[schema(value_type = String, example = "acme")]
    organization_id: OrgId,
    /// In log order, as sessions get them.
    #[schema(value_type = Vec<Object>)]
    messages: Vec<Box<RawValue>>,
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
    /// `trimmed`, `fork`, `log_lost` or `evicted`.
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
    let broker = &api.parts.broker;
    let state = broker.open(&org).await.map_err(unavailable)?;
    let start = Start::of(asked.since, state);
    // One entry more, because the first one may be `since` itself, read again to see whether it is still the same.
    let page = broker.read(&org, start.from_seq, PageLimit { entries: limit + 1, bytes: PAGE_BYTES_MAX }).await.map_err(unavailable)?;
    Ok(Json(answer(org, start, &page, limit, pattern.as_ref(), state.last)))
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn unavailable(error: ReadError) -> Fault {
    tracing::debug!(%error, "a log could not be read");
    Fault::new(Code::BrokerUnavailable, "the log cannot be read at the moment").retry_after_ms(1_000)
}

/// Where reading begins.
#[derive(Clone, Copy)]
struct Start {
    from_seq: u64,
    /// The position that the first entry must have, if it is the one of `since`.
    since: Option<Position>,
    gap: Option<GapReason>,
}

impl Start {
    fn of(since: Option<Position>, state: LogState) -> Self {
        let oldest = |gap| Self { from_seq: state.first_seq, since, gap };
        match since {
            None => oldest(None),
            Some(since) if since.epoch != state.last.epoch => oldest(Some(GapReason::LogLost)),
            // A number that the log has not reached yet was given by another history.
            Some(since) if since.seq > state.last.seq => oldest(Some(GapReason::Fork)),
            Some(since) if since.seq + 1 < state.first_seq => oldest(Some(GapReason::Trimmed)),
            Some(since) => Self { from_seq: since.seq, since: Some(since), gap: None },
        }
    }

    /// What was lost before the first entry, and whether that entry is the one of `since` itself, which is known already.
    fn compare(self, first: Option<&Entry>) -> (Option<GapReason>, bool) {
        let (Some(since), Some(first), None) = (self.since, first.map(|first| first.position), self.gap) else {
            return (self.gap, false);
        };
        match first {
            same if same == since => (None, true),
            other if other.epoch != since.epoch => (Some(GapReason::LogLost), false),
            other if other.seq == since.seq => (Some(GapReason::Fork), false),
            // The log was trimmed since it was opened.
            other if other.seq > since.seq + 1 => (Some(GapReason::Trimmed), false),
            _ => (None, false),
        }
    }
}

/// At most `limit` entries of the page, of which those that `pattern` reaches are shown.
fn answer(org: OrgId, start: Start, page: &Page, limit: usize, pattern: Option<&Pattern>, last: Position) -> LogAnswer {
    let (lost, known) = start.compare(page.entries.first());
    let entries = &page.entries[usize::from(known)..];
    let shown = &entries[..entries.len().min(limit)];
    let end = page.end && shown.len() == entries.len();
    let mut log = LogAnswer { success: true, organization_id: org, messages: Vec::new(), gaps: Vec::new(), next: start.since, end };
    if let Some(reason) = lost {
        let to = shown.first().map_or(last, |first| before(first.position));
        log.gaps.push(Gap { from: start.since, to, reason });
        log.next = Some(to);
    }
    let now_us = unix_us();
    shown.iter().for_each(|entry| log.take(entry, pattern, now_us));
    log
}

/// The place just before an entry, as far as it can be named: its own check value is not known.
fn before(position: Position) -> Position {
    Position { seq: position.seq.saturating_sub(1), check: 0, ..position }
}

impl LogAnswer {
    fn take(&mut self, entry: &Entry, pattern: Option<&Pattern>, now_us: u64) {
        match &entry.body {
            Body::Publication(publication) if wanted(publication, pattern, now_us) => self.messages.extend(message(publication)),
            Body::Fence(reason) => self.gaps.push(Gap { from: self.next, to: entry.position, reason: *reason }),
            Body::Publication(_) | Body::Malformed => {}
        }
        self.next = Some(entry.position);
    }
}

fn wanted(publication: &Publication, pattern: Option<&Pattern>, now_us: u64) -> bool {
    let reaches = |pattern: &Pattern| pattern.is_reached_by(&publication.room, publication.cascade);
    !publication.expired_at(now_us) && pattern.is_none_or(reaches)
}

fn message(publication: &Publication) -> Option<Box<RawValue>> {
    let mut out = BytesMut::new();
    json::push(&Push::Publication { publication, manner: Manner::PLAIN }, &mut out);
    // The broker admitted only data that is JSON, so the whole is.
    serde_json::from_slice(&out).ok()
}
