//! A client as the hub sees it, and what it remembers: it reads its queue when the world lets it, and resumes by the rule of
//! docs/protocol.md.

use std::sync::Arc;

use bytes::BytesMut;
use roomcast::auth::Principal;
use roomcast::hub::send_queue::Limits;
use roomcast::hub::{Hub, OrgLink, SendQueue};
use roomcast::protocol::codec::{Wire, json};
use roomcast::protocol::push::{Answer, Push, Reply};
use roomcast::protocol::{OrgId, Pattern, Position, SessionId};
use serde_json::Value;

/// JSON texts, one a line.
struct Lines;

impl Wire for Lines {
    fn kind(&self) -> usize {
        0
    }

    fn push(&self, push: &Push<'_>, out: &mut BytesMut) {
        json::push(push, out);
        out.extend_from_slice(b"\n");
    }

    fn answer(&self, answer: &Answer, out: &mut BytesMut) {
        json::answer(answer, out);
        out.extend_from_slice(b"\n");
    }

    fn ping(&self, _out: &mut BytesMut) {}
}

/// What a client saw, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Publication {
        position: Position,
        room: String,
    },
    Gap {
        from: Option<Position>,
        to: Position,
        reason: String,
    },
    /// A new connection began, from this position.
    Connected {
        since: Option<Position>,
    },
    /// The server said where the client stands.
    At(Position),
}

pub struct Client {
    pub name: String,
    pub org: OrgId,
    pub patterns: Vec<Pattern>,
    pub seen: Vec<Seen>,
    pub position: Option<Position>,
    pub node: usize,
    /// The node could not serve the subscription; the client goes elsewhere.
    refused: bool,
    connection: Option<Connection>,
}

struct Connection {
    queue: Arc<SendQueue>,
    link: OrgLink,
    partial: Vec<u8>,
}

impl Client {
    pub fn new(name: String, org: OrgId, patterns: Vec<Pattern>) -> Self {
        Self { name, org, patterns, seen: Vec::new(), position: None, node: 0, refused: false, connection: None }
    }

    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub async fn connect(&mut self, hub: &Hub, node: usize, id: u128) {
        self.node = node;
        let session = SessionId(uuid::Uuid::from_u128(id));
        let queue = Arc::new(SendQueue::new(Limits { bytes_max: 600, replies_bytes_max: 10_000 }, None));
        let wire: Arc<dyn Wire> = Arc::new(Lines);
        let Ok(link) = hub.attach(&self.org, session, &queue, &wire).await else { return };
        let principal = Principal::new("someone", &self.org, 1 << 40).unwrap();
        let grants = self.patterns.iter().map(|pattern| principal.grant_subscribe(pattern.clone()).unwrap()).collect();
        let answer = Answer::new(None, Reply::Subscribed { rooms: self.patterns.clone(), position: None });
        self.seen.push(Seen::Connected { since: self.position });
        if link.subscribe(grants, self.position, answer).await.is_ok() {
            self.connection = Some(Connection { queue, link, partial: Vec::new() });
        }
    }

    pub async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.queue.shut();
            connection.link.detach().await;
        }
    }

    /// The node under the connection is gone.
    pub fn cut(&mut self) {
        self.connection = None;
    }

    /// Reads up to `room` bytes; whether there were any.
    pub async fn read(&mut self, mut room: usize) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let mut taken = Vec::new();
        let _ = connection.queue.flush(|slices| {
            let before = taken.len();
            for slice in slices {
                let count = slice.len().min(room);
                taken.extend_from_slice(&slice[..count]);
                room -= count;
            }
            if taken.len() == before { Err(std::io::ErrorKind::WouldBlock.into()) } else { Ok(taken.len() - before) }
        });
        if connection.queue.take_drained() {
            let _ = connection.link.drained().await;
        }
        connection.partial.extend_from_slice(&taken);
        let mut lines: Vec<Vec<u8>> = connection.partial.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        connection.partial = lines.pop().unwrap_or_default();
        for line in lines {
            self.note(&serde_json::from_slice(&line).unwrap());
        }
        if std::mem::take(&mut self.refused) {
            self.disconnect().await;
        }
        !taken.is_empty()
    }

    pub async fn heartbeat(&self) {
        if let Some(connection) = &self.connection {
            let _ = connection.link.heartbeat().await;
        }
    }

    fn note(&mut self, message: &Value) {
        if self.refused {
            // Not being subscribed, it is entitled to nothing, and what it is told of positions means nothing.
            return;
        }
        let position = |value: &Value| value.as_str().map(|text| text.parse::<Position>().unwrap());
        let data = &message["data"];
        let seen = match message["event"].as_str().unwrap() {
            "gap" => {
                let (from, to) = (position(&data["from"]), position(&data["to"]).unwrap());
                Some(Seen::Gap { from, to, reason: data["reason"].as_str().unwrap().to_owned() })
            }
            "position" | "subscribed" => position(&data["position"]).map(Seen::At),
            "error" => {
                self.refused = true;
                None
            }
            _ => {
                Some(Seen::Publication { position: position(&message["id"]).unwrap(), room: message["room"].as_str().unwrap().to_owned() })
            }
        };
        if let Some(Seen::Publication { position, .. } | Seen::Gap { to: position, .. } | Seen::At(position)) = &seen {
            self.position = Some(*position);
        }
        self.seen.extend(seen);
    }
}
