//! `GET /rooms`: rooms and patterns with subscribers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::cluster::{Answer, Cluster, Question};
use super::extract::{Authorized, Query, Read};
use super::openapi::Problems;
use super::page::{self, Listed, Page};
use super::problem::Problem;
use crate::protocol::Pattern;
use crate::protocol::pattern::Step;
use crate::protocol::room::SYSTEM_CHANNELS;

/// A room or pattern that somebody is subscribed to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct Room {
    /// As it was subscribed to, in short form.
    #[schema(example = "kpi:acme:sales")]
    pub room: String,
    /// `org`, `dept` or `queue`, by how deep it reaches.
    #[serde(rename = "type")]
    #[schema(example = "dept")]
    pub kind: String,
    #[schema(example = "acme")]
    pub organization_id: String,
    /// Sessions subscribed to exactly this.
    #[schema(example = 12)]
    pub sessions: u64,
}

impl Room {
    /// `None` for the rooms that every session has by itself.
    pub fn of(pattern: &Pattern, sessions: u64) -> Option<Self> {
        let kind = kind(pattern)?;
        Some(Self { room: pattern.to_string(), kind: kind.to_owned(), organization_id: pattern.org().to_string(), sessions })
    }
}

/// How deep a pattern reaches; `None` for the rooms that every session has by itself.
pub(super) fn kind(pattern: &Pattern) -> Option<&'static str> {
    let mut steps = pattern.steps();
    if matches!(steps.next(), Some(Step::Name(channel)) if SYSTEM_CHANNELS.contains(&channel)) {
        return None;
    }
    Some(match steps.count() {
        0 | 1 => "org",
        2 => "dept",
        _ => "queue",
    })
}

impl Listed for Room {
    fn key(&self) -> &str {
        &self.room
    }

    fn absorb(&mut self, other: Self) {
        self.sessions += other.sessions;
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Only this org's rooms.
    organization_id: Option<String>,
    /// Only this node's sessions.
    node: Option<String>,
    /// Most items on the page.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RoomsAnswer {
    success: bool,
    /// In the order of their names.
    rooms: Vec<Room>,
    /// Send it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
    /// Nodes that did not answer; what only they know is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    partial: Vec<String>,
}

/// List rooms
///
/// RoomsAnswer and patterns with subscribers, over the whole cluster. The rooms that every session has by itself (`org:…`, `user:…`)
/// are left out. Needs the scope `read`.
#[utoipa::path(get, path = "/api/ws/rooms", operation_id = "listRooms", tag = "connections", params(Asked), security(("bearer" = ["read"]), ("api_key" = [])),
    responses((status = 200, body = RoomsAnswer), Problems))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Authorized<Read>,
    Query(asked): Query<Asked>,
) -> Result<Json<RoomsAnswer>, Problem> {
    let limit = page::limit(asked.limit, &api.parts.config)?;
    let org = caller.reach(asked.organization_id.as_deref())?.into();
    let question = Question::Rooms { org, after: asked.cursor, limit };
    let pick = |answer| if let Answer::Rooms(page) = answer { Some(page) } else { None };
    let gathered = Cluster::gather(&api.parts, question, asked.node.as_deref(), pick, |_| false).await?;
    let page = Page::merge(gathered.answers, limit);
    Ok(Json(RoomsAnswer { success: true, next_cursor: page.next_cursor(), rooms: page.items, partial: gathered.partial }))
}
