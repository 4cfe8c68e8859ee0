//! `/connections`: who is connected, and disconnecting them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::cluster::{Answer, Cluster, Question};
use super::extract::{Authorized, Connections, Query, SessionPath};
use super::openapi::Problems;
use super::page::{self, Listed, Page};
use super::problem::Problem;
use crate::protocol::{Code, Fault, SessionId};

/// One session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Connection {
    /// The session's id, unique over the cluster and over time.
    #[schema(example = "0193a1f2c0de7a5b8c3d4e5f60718293")]
    pub socket_id: String,
    /// Null until the client has authenticated.
    #[schema(example = "alice")]
    pub user_id: Option<String>,
    #[schema(example = "acme")]
    pub organization_id: Option<String>,
    pub status: ConnectionStatus,
    /// Rooms and patterns, the session's own among them.
    #[schema(example = json!(["org:acme", "user:acme:alice", "kpi:acme:sales"]))]
    pub subscriptions: Vec<String>,
    /// RFC 3339.
    #[schema(example = "2026-11-21T09:00:00Z")]
    pub connected_at: String,
    /// When anything last came from the client, RFC 3339.
    #[schema(example = "2026-11-21T09:00:25Z")]
    pub last_activity_at: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConnectionStatus {
    Authenticating,
    Connected,
    Closing,
}

impl Listed for Connection {
    fn key(&self) -> &str {
        &self.socket_id
    }

    /// A session is on one node only.
    fn absorb(&mut self, _other: Self) {}
}

pub(super) fn rfc3339(unix_ms: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // A time within the range of the type always has that format.
    time.format(&Rfc3339).unwrap_or_default()
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only this org's sessions.
    organization_id: Option<String>,
    /// Only this user's sessions.
    user_id: Option<String>,
    /// Only this node's sessions.
    node: Option<String>,
    /// Most items on the page.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<SessionId>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ConnectionsAnswer {
    success: bool,
    /// In the order of their ids, which is that of their beginning.
    connections: Vec<Connection>,
    /// How many match in all, on the nodes that answered.
    total_count: u64,
    /// Send it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
    /// Nodes that did not answer; their sessions are missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    partial: Vec<String>,
}

/// List connections
///
/// Sessions over the whole cluster. Needs the scope `connections`.
#[utoipa::path(get, path = "/api/ws/connections", operation_id = "listConnections", tag = "connections", params(Asked),
    security(("bearer" = ["connections"]), ("api_key" = [])), responses((status = 200, body = ConnectionsAnswer), Problems))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authorized<Connections>,
    Query(asked): Query<Asked>,
) -> Result<Json<ConnectionsAnswer>, Problem> {
    let limit = page::limit(asked.limit, &api.parts.config)?;
    let org = caller.reach(asked.organization_id.as_deref())?.into();
    let question = Question::Connections { org, user: asked.user_id, after: asked.cursor, limit };
    let pick = |answer| if let Answer::Connections(page) = answer { Some(page) } else { None };
    let gathered = Cluster::gather(&api.parts, question, asked.node.as_deref(), pick, |_| false).await?;
    let page = Page::merge(gathered.answers, limit);
    let (next_cursor, total_count) = (page.next_cursor(), page.total);
    Ok(Json(ConnectionsAnswer { success: true, connections: page.items, total_count, next_cursor, partial: gathered.partial }))
}

#[derive(Serialize, ToSchema)]
pub(super) struct ConnectionAnswer {
    success: bool,
    connection: Connection,
}

/// Show a connection
///
/// One session, on whatever node it is. Needs the scope `connections`.
#[utoipa::path(get, path = "/api/ws/connections/{id}", operation_id = "showConnection", tag = "connections", params(("id" = String, Path, description = "The session's id")),
    security(("bearer" = ["connections"]), ("api_key" = [])),
    responses((status = 200, body = ConnectionAnswer), (status = 404, description = "No node has this session", body = Problem,
        content_type = "application/problem+json"), Problems))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Authorized<Connections>,
    SessionPath(id): SessionPath,
) -> Result<Json<ConnectionAnswer>, Problem> {
    let connection = find(&api, &caller, id).await?;
    Ok(Json(ConnectionAnswer { success: true, connection }))
}

/// The session, if the caller may see it.
///
/// # Errors
/// 404 when no node has it, `BROKER_UNAVAILABLE` when it may be on a node that did not answer.
pub(super) async fn find<N>(api: &Api, caller: &Authorized<N>, id: SessionId) -> Result<Connection, Problem> {
    let question = Question::Connection { org: caller.reach(None)?.into(), id };
    let pick = |answer| if let Answer::Connection(connection) = answer { Some(connection) } else { None };
    let gathered = Cluster::gather(&api.parts, question, None, pick, Option::is_some).await?;
    gathered.answers.into_iter().flatten().next().ok_or_else(|| unknown(&gathered.partial, gathered.all_known))
}

#[derive(Serialize, ToSchema)]
pub(super) struct DisconnectAnswer {
    success: bool,
    #[schema(example = "0193a1f2c0de7a5b8c3d4e5f60718293")]
    socket_id: String,
}

/// Disconnect a session
///
/// Closes the session with 4006, whatever node it is on. The client may come back; revoke its token or its user to prevent that.
/// Needs the scope `connections`.
#[utoipa::path(delete, path = "/api/ws/connections/{id}", operation_id = "disconnect", tag = "connections",
    params(("id" = String, Path, description = "The session's id")), security(("bearer" = ["connections"]), ("api_key" = [])),
    responses((status = 200, body = DisconnectAnswer), (status = 404, description = "No node has this session", body = Problem,
        content_type = "application/problem+json"), Problems))]
pub(super) async fn disconnect(
    State(api): State<Arc<Api>>,
    caller: Authorized<Connections>,
    SessionPath(id): SessionPath,
) -> Result<Json<DisconnectAnswer>, Problem> {
    let question = Question::Disconnect { org: caller.reach(None)?.into(), id };
    let pick = |answer| if let Answer::Disconnected(done) = answer { Some(done) } else { None };
    let gathered = Cluster::gather(&api.parts, question, None, pick, |done| *done).await?;
    if !gathered.answers.contains(&true) {
        return Err(unknown(&gathered.partial, gathered.all_known));
    }
    tracing::info!(session = %id, caller = &*caller.caller().name, "disconnected a session");
    Ok(Json(DisconnectAnswer { success: true, socket_id: id.to_string() }))
}

/// No node that answered has the session.
fn unknown(partial: &[String], all_known: bool) -> Problem {
    if !all_known && partial.is_empty() {
        let text = "this node does not have the session, and which others there are is not known at the moment";
        return Fault::new(Code::BrokerUnavailable, text).retry_after_ms(1_000).into();
    }
    if partial.is_empty() {
        return Problem::not_found("no session of this id is connected");
    }
    let detail = format!("no node that answered has this session, and these did not answer: {}", partial.join(", "));
    Fault::new(Code::BrokerUnavailable, detail).retry_after_ms(1_000).into()
}
