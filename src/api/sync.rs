//! `POST /sync/write`, `POST /sync/change` and `GET /sync/items`: collections for backends without a way to Redis.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::extract::{Authorized, Json, Publish, Query, Read};
use super::openapi::Problems;
use super::problem::Problem;
use super::{Api, Parts};
use crate::broker::faults::unread;
use crate::broker::{AckLevel, collections};
use crate::protocol::command::sync::present;
use crate::protocol::database_change::{DatabaseChange, RowEvent};
use crate::protocol::item::{Item, ItemKey, ItemValue, NewWrite, Op, Snapshot, collection_room};
use crate::protocol::publication::idempotency_key;
use crate::protocol::{Fault, Position, RoomName};

/// One change of one item.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "room": "sync:acme:tasks", "op": "update", "key": "task-17", "value": {"title": "Call back", "done": true}, "if_version": 1_763_715_603_123_456_u64,
    "idempotency_key": "4f1c9a52"
}))]
pub(super) struct WriteRequest {
    /// A room of the channel `sync`.
    room: String,
    op: Op,
    /// 1 to 128 bytes.
    key: String,
    /// Any JSON value; not for `delete`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Value)]
    value: Option<Box<RawValue>>,
    /// Only if the item has this version; not for `insert`.
    #[serde(default)]
    if_version: Option<u64>,
    /// The same key is carried out once, whatever is retried; 1 to 128 bytes.
    #[serde(default)]
    idempotency_key: Option<String>,
    /// `replica` waits until a replica has it too.
    #[serde(default)]
    ack: AckLevel,
}

/// A changed row of a database table, kept in the collection `sync:<organization>:<table>` under its primary key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "organization_id": "acme", "table": "tasks", "event": "UPDATE", "data": {"id": 17, "title": "Call back"}, "idempotency_key": "outbox-4711"
}))]
pub(super) struct ChangeRequest {
    /// `database_change`, where the message of a dialect is passed on as it is.
    #[serde(default, rename = "type")]
    #[expect(dead_code, reason = "it is only held to its one value")]
    kind: Option<ChangeKind>,
    /// The org whose collection it is; callers of one org may leave it out.
    #[serde(default)]
    organization_id: Option<String>,
    table: String,
    /// `eventType` is read too.
    #[serde(alias = "eventType")]
    event: RowEvent,
    /// The row as it is now; `new` is read too.
    #[serde(default, alias = "new")]
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
    /// The row as it was, of a `DELETE`; without it `data` tells the key.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    old: Option<Box<RawValue>>,
    /// The columns of the primary key; `id` without any.
    #[serde(default)]
    primary_key: Vec<String>,
    /// The same key is carried out once, whatever is retried; 1 to 128 bytes.
    #[serde(default)]
    idempotency_key: Option<String>,
    /// `replica` waits until a replica has it too.
    #[serde(default)]
    ack: AckLevel,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ChangeKind {
    DatabaseChange,
}

/// What became of a write.
#[derive(Serialize, ToSchema)]
pub(super) struct WriteAnswer {
    success: bool,
    #[schema(value_type = String, example = "sync:acme:tasks")]
    room: RoomName,
    #[schema(value_type = String, example = "task-17")]
    key: ItemKey,
    /// That of this write; where nothing was there to delete, the collection's last, or 0.
    version: u64,
    /// The place of the change in the org's log; null where nothing was there to delete.
    #[schema(value_type = Option<String>, example = "19c51a3f0-2a-64e0c1b2a3f4e")]
    id: Option<Position>,
    /// The idempotency key had been used: nothing was written, and this is what the first write brought.
    duplicate: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// A room of the channel `sync`.
    room: String,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of a collection.
#[derive(Serialize, ToSchema)]
pub(super) struct ItemsAnswer {
    success: bool,
    #[schema(value_type = String, example = "sync:acme:tasks")]
    room: RoomName,
    /// Every change up to this place in the log is in this page.
    #[schema(value_type = String, example = "19c51a3f0-2a-64e0c1b2a3f4e")]
    position: Position,
    /// In the order of their keys' bytes.
    #[schema(value_type = Vec<ItemShape>)]
    items: Vec<Item>,
    /// Send it as `cursor` for the next page; null after the last.
    #[schema(value_type = Option<String>)]
    next_cursor: Option<ItemKey>,
}

/// One item of a collection.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it only describes `Item` for the document")]
pub(super) struct ItemShape {
    key: String,
    version: u64,
    value: serde_json::Value,
}

/// Write to a collection
///
/// Changes one item and publishes the change to whoever mirrors the collection, as one step. A conflict is answered with 409 and the
/// `current` item. Needs the scope `publish`.
#[utoipa::path(post, path = "/api/ws/sync/write", operation_id = "writeItem", tag = "collections", request_body = WriteRequest,
    security(("bearer" = ["publish"]), ("api_key" = [])),
    responses((status = 200, body = WriteAnswer), (status = 409, description = "The item is another", body = Problem, content_type = "application/problem+json"), Problems))]
pub(super) async fn write(
    State(api): State<Arc<Api>>,
    caller: Authorized<Publish>,
    Json { value: asked, .. }: Json<WriteRequest>,
) -> Result<axum::Json<WriteAnswer>, Problem> {
    let room = room_of(&api.parts, &caller, &asked.room)?;
    let value = asked.value.map(ItemValue::new).transpose()?;
    let write = NewWrite::new(room, asked.op, ItemKey::new(asked.key)?, value, asked.if_version)?;
    let write = write.with_idempotency_key(idempotency_key(asked.idempotency_key)?);
    Ok(axum::Json(carry_out(&api.parts, write, asked.ack).await?))
}

/// Take over a changed row
///
/// Maps a change of a database table onto a collection: an inserted or updated row is put under its primary key, a deleted one is
/// deleted, whatever stands there. Needs the scope `publish`.
#[utoipa::path(post, path = "/api/ws/sync/change", operation_id = "takeChange", tag = "collections", request_body = ChangeRequest,
    security(("bearer" = ["publish"]), ("api_key" = [])), responses((status = 200, body = WriteAnswer), Problems))]
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    caller: Authorized<Publish>,
    Json { value: asked, .. }: Json<ChangeRequest>,
) -> Result<axum::Json<WriteAnswer>, Problem> {
    let org = caller.one_org(asked.organization_id.as_deref())?;
    let row = if asked.event == RowEvent::Delete { asked.old.or(asked.data) } else { asked.data };
    let Some(row) = row else { return Err(Problem::invalid("data is the row, as a JSON object of its columns")) };
    let primary_key: Vec<&str> = asked.primary_key.iter().map(String::as_str).collect();
    let change = DatabaseChange { table: &asked.table, event: asked.event, row: &row, primary_key: &primary_key };
    let write = change.write(&org, &api.parts.rules.syntax)?.with_idempotency_key(idempotency_key(asked.idempotency_key)?);
    Ok(axum::Json(carry_out(&api.parts, write, asked.ack).await?))
}

/// Read a collection
///
/// One page of its items. Pages need not be of one moment. Needs the scope `read`.
#[utoipa::path(get, path = "/api/ws/sync/items", operation_id = "readItems", tag = "collections", params(Asked),
    security(("bearer" = ["read"]), ("api_key" = [])), responses((status = 200, body = ItemsAnswer), Problems))]
pub(super) async fn items(
    State(api): State<Arc<Api>>,
    caller: Authorized<Read>,
    Query(asked): Query<Asked>,
) -> Result<axum::Json<ItemsAnswer>, Problem> {
    let room = room_of(&api.parts, &caller, &asked.room)?;
    let after = asked.cursor.map(ItemKey::new).transpose()?;
    let page = api.parts.hub.snapshots().page(room, after).await.map_err(|error| unread("collection", &error))?;
    let Snapshot { room, position, items, cursor } = Arc::unwrap_or_clone(page);
    Ok(axum::Json(ItemsAnswer { success: true, room, position, items, next_cursor: cursor }))
}

/// The collection that is meant, of an org that the credentials are for.
fn room_of<N>(parts: &Parts, caller: &Authorized<N>, text: &str) -> Result<RoomName, Fault> {
    let syntax = &parts.rules.syntax;
    let org = caller.one_org(Some(syntax.room(text)?.org().as_str()))?;
    collection_room(text, syntax, &org)
}

async fn carry_out(parts: &Parts, write: NewWrite, ack: AckLevel) -> Result<WriteAnswer, Fault> {
    match collections::write(&*parts.broker, &write, ack).await {
        Ok(written) => Ok(WriteAnswer {
            success: true,
            room: write.room,
            key: written.key,
            version: written.version,
            id: written.position,
            duplicate: written.duplicate,
        }),
        Err(error) => Err(error.fault(&write)),
    }
}
