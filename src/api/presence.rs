//! `GET /presence`: who is in a room, over the whole cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::extract::{Authorized, Query, Read};
use super::openapi::Problems;
use super::page;
use super::problem::Problem;
use crate::broker::ReadError;
use crate::broker::presence::{Roster, Stay};
use crate::protocol::presence::{Status, UserId};
use crate::protocol::{Code, Fault};

/// A user in the room.
#[derive(Serialize, ToSchema)]
pub(super) struct Member {
    #[schema(example = "alice")]
    user_id: String,
    status: Status,
    /// What the user tells of itself: any JSON value, `null` for none.
    #[schema(value_type = Object)]
    state: Option<Box<RawValue>>,
    /// Sessions of the user that are in the room.
    #[schema(example = 1)]
    sessions: usize,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// One room, in short or long form; a pattern has no presence.
    room: String,
    /// Most items on the page.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct PresenceAnswer {
    success: bool,
    #[schema(example = "chat:acme:lobby")]
    room: String,
    /// In the order of the users.
    members: Vec<Member>,
    /// How many members the room has in all.
    total_count: usize,
    /// Send it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

/// List who is in a room
///
/// Users over the whole cluster, several sessions of one counted once. Pages are read one by one, so who comes or goes between two
/// may be missing or double. Needs the scope `read`.
#[utoipa::path(get, path = "/api/ws/presence", operation_id = "listPresence", tag = "connections", params(Asked), security(("bearer" = ["read"]), ("api_key" = [])),
    responses((status = 200, body = PresenceAnswer), Problems))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authorized<Read>,
    Query(asked): Query<Asked>,
) -> Result<Json<PresenceAnswer>, Problem> {
    let limit = page::limit(asked.limit, &api.parts.config)?;
    if asked.room.contains('*') || asked.room.starts_with("all:") {
        return Err(Fault::new(Code::InvalidRoom, "presence is of one room: a pattern has none").into());
    }
    let room = api.parts.rules.syntax.room(&asked.room)?;
    caller.one_org(Some(room.org().as_str()))?;
    let users = by_user(api.parts.broker.presence(&room).await.map_err(unavailable)?);
    let behind = |user: &UserId| asked.cursor.as_deref().is_none_or(|cursor| user.as_str() > cursor);
    let mut rest = users.iter().filter(|(user, _)| behind(user));
    let members: Vec<Member> = rest.by_ref().take(limit).map(|(user, stays)| member(user, stays)).collect();
    let next_cursor = members.last().filter(|_| rest.next().is_some()).map(|last| last.user_id.clone());
    Ok(Json(PresenceAnswer { success: true, room: room.to_string(), members, total_count: users.len(), next_cursor }))
}

/// Those whose owner has no lease are as good as gone.
fn by_user(roster: Roster) -> BTreeMap<UserId, Vec<Stay>> {
    let mut users: BTreeMap<UserId, Vec<Stay>> = BTreeMap::new();
    for (_, stay) in roster.stays.into_iter().filter(|(_, stay)| roster.owners.contains(&stay.owner)) {
        users.entry(stay.member.user_id.clone()).or_default().push(stay);
    }
    users
}

/// As the session that spoke last has it.
fn member(user: &UserId, stays: &[Stay]) -> Member {
    let last = stays.iter().max_by_key(|stay| stay.told).map(|stay| &stay.member);
    Member {
        user_id: user.to_string(),
        status: last.map(|member| member.status).unwrap_or_default(),
        // A state was judged when it was read from the store.
        state: last.and_then(|member| RawValue::from_string(member.state.as_json().to_owned()).ok()),
        sessions: stays.len(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn unavailable(error: ReadError) -> Fault {
    tracing::debug!(%error, "a room's presence could not be read");
    Fault::new(Code::BrokerUnavailable, "presence cannot be read at the moment").retry_after_ms(1_000)
}
