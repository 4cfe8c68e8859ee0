//! A client that mirrors one collection: it subscribes, reads what is there, and resumes.

use std::sync::Arc;
use std::time::Duration;

use roomcast::auth::Principal;
use roomcast::hub::send_queue::Limits;
use roomcast::hub::{Hub, OrgLink};
use roomcast::protocol::codec::Wire;
use roomcast::protocol::item::ItemKey;
use roomcast::protocol::push::{Answer, Reply};
use roomcast::protocol::{Pattern, Position, RoomName, SessionId};
use serde_json::Value;

use super::table::Table;
use crate::lines::Lines;
use crate::socket::{Socket, command_id};

const LIMITS: Limits = Limits { bytes_max: 600, replies_bytes_max: 10_000 };
/// How long a mirror waits for a node that cannot serve it.
const PATIENCE: Duration = Duration::from_millis(300);

pub struct Mirror {
    pub name: String,
    pub room: RoomName,
    pub table: Table,
    pub node: usize,
    position: Option<Position>,
    connection: Option<Connection>,
    /// What was read is whole, but for changes that are still to come.
    pub is_complete: bool,
    /// The next page to be read, by the key that it comes after.
    next: Option<Option<ItemKey>>,
}

struct Connection {
    socket: Socket,
    link: OrgLink,
    is_subscribed: bool,
}

impl Mirror {
    pub fn new(name: String, room: RoomName) -> Self {
        Self { name, room, table: Table::default(), node: 0, position: None, connection: None, is_complete: false, next: None }
    }

    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub async fn connect(&mut self, hub: &Hub, node: usize, id: u128) {
        let opened = tokio::time::timeout(PATIENCE, self.open(hub, id)).await.ok().flatten();
        (self.node, self.connection) = (node, opened);
    }

    async fn open(&self, hub: &Hub, id: u128) -> Option<Connection> {
        let org = self.room.org();
        let (socket, wire): (_, Arc<dyn Wire>) = (Socket::new(LIMITS), Arc::new(Lines));
        let link = hub.attach(org, SessionId(uuid::Uuid::from_u128(id)), &socket.queue, &wire).await.ok()?;
        let pattern = Pattern::of_room(&self.room);
        let grant = Principal::new("someone", org, 1 << 40).unwrap().grant_subscribe(pattern.clone()).unwrap();
        let answer = Answer::new(Some(command_id(0)), Reply::Subscribed { rooms: vec![pattern], position: None, latest: None });
        link.subscribe(vec![grant], self.position, answer).await.ok()?;
        Some(Connection { socket, link, is_subscribed: false })
    }

    pub async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.socket.queue.shut();
            connection.link.detach().await;
        }
        self.next = None;
    }

    /// The node under the connection is gone.
    pub fn cut(&mut self) {
        (self.connection, self.next) = (None, None);
    }

    /// Reads up to `room` bytes; whether there were any.
    pub async fn read(&mut self, room: usize) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let messages = connection.socket.read(room);
        if connection.socket.queue.take_drained() {
            let _ = connection.link.drained().await;
        }
        for message in messages.iter().flatten() {
            if self.note(message).is_none() {
                self.disconnect().await;
                break;
            }
        }
        messages.is_some()
    }

    /// `None` when the node cannot serve the subscription.
    fn note(&mut self, message: &Value) -> Option<()> {
        let position = |value: &Value| value.as_str().map(|text| text.parse::<Position>().unwrap());
        let data = &message["data"];
        match message["event"].as_str().unwrap() {
            "error" => return None,
            "subscribed" => {
                self.position = position(&data["position"]).or(self.position);
                self.connection.as_mut()?.is_subscribed = true;
                if !self.is_complete {
                    self.begin();
                }
            }
            "gap" => {
                self.position = position(&data["to"]);
                self.is_complete = false;
                if self.connection.as_ref()?.is_subscribed {
                    self.begin();
                }
            }
            "position" => self.position = position(&data["position"]),
            _ => {
                self.table.apply(data);
                self.position = position(&message["id"]);
            }
        }
        Some(())
    }

    fn begin(&mut self) {
        self.table.begin();
        (self.is_complete, self.next) = (false, Some(None));
    }

    /// Reads one page, where one is to be read; whether one was.
    pub async fn page(&mut self, hub: &Hub) -> bool {
        let Some(after) = self.next.clone() else { return false };
        let page = tokio::time::timeout(PATIENCE, hub.snapshots().page(self.room.clone(), after)).await;
        // Whoever gets none asks again.
        let Ok(Ok(page)) = page else { return true };
        self.table.page(&page.items);
        self.next = page.cursor.clone().map(Some);
        if self.next.is_none() {
            self.table.finish();
            self.is_complete = true;
        }
        true
    }
}
