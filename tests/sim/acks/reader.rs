//! A client that acknowledges some of what it gets, at once, late or never, and remembers how often it came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roomcast::auth::Principal;
use roomcast::hub::send_queue::Limits;
use roomcast::hub::{Hub, OrgLink};
use roomcast::protocol::codec::Wire;
use roomcast::protocol::push::{Answer, Reply};
use roomcast::protocol::{Pattern, Position, SessionId};
use serde_json::Value;

use crate::clock;
use crate::lines::Lines;
use crate::node::ACKS;
use crate::socket::{Socket, command_id};

const PATIENCE: Duration = Duration::from_millis(300);

pub struct Reader {
    pub name: String,
    pattern: Pattern,
    limits: Limits,
    pub node: usize,
    position: Option<Position>,
    connection: Option<Connection>,
    /// What came to which of its sessions, by the number in the log, which is never replaced here.
    pub got: BTreeMap<(SessionId, u64), Got>,
    pub fault: Option<String>,
}

struct Connection {
    session: SessionId,
    socket: Socket,
    link: OrgLink,
    /// By the number of the command, what it acknowledges.
    acking: Vec<Option<Position>>,
}

/// What became of one publication in one session.
#[derive(Clone, Copy, Debug)]
pub struct Got {
    pub position: Position,
    /// It came as it was published, not as the past.
    pub is_live: bool,
    /// How often it came again.
    pub again: u32,
    /// When it was acknowledged.
    pub acked_ms: Option<u64>,
    /// The server had waited for it.
    pub is_counted: bool,
    is_answered: bool,
}

impl Got {
    fn new(position: Position) -> Self {
        Self { position, is_live: false, again: 0, acked_ms: None, is_counted: false, is_answered: false }
    }
}

impl Reader {
    pub fn new(name: String, pattern: Pattern, bytes_max: usize) -> Self {
        let limits = Limits { bytes_max, replies_bytes_max: 10_000 };
        Self { name, pattern, limits, node: 0, position: None, connection: None, got: BTreeMap::new(), fault: None }
    }

    pub fn session(&self) -> Option<SessionId> {
        self.connection.as_ref().map(|connection| connection.session)
    }

    pub async fn connect(&mut self, hub: &Hub, node: usize, id: u128) {
        let opened = tokio::time::timeout(PATIENCE, self.open(hub, SessionId(uuid::Uuid::from_u128(id)))).await.ok().flatten();
        (self.node, self.connection) = (node, opened);
    }

    async fn open(&self, hub: &Hub, session: SessionId) -> Option<Connection> {
        let org = self.pattern.org();
        let (socket, wire): (_, Arc<dyn Wire>) = (Socket::new(self.limits), Arc::new(Lines));
        let link = hub.attach(org, session, &socket.queue, &wire).await.ok()?;
        let grant = Principal::new("someone", org, 1 << 40).unwrap().grant_subscribe(self.pattern.clone()).unwrap();
        let answer =
            Answer::new(Some(command_id(0)), Reply::Subscribed { rooms: vec![self.pattern.clone()], position: None, latest: None });
        link.subscribe(vec![grant], self.position, answer).await.ok()?;
        Some(Connection { session, socket, link, acking: vec![None] })
    }

    pub async fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.socket.queue.shut();
            connection.link.detach().await;
        }
    }

    /// The node under the connection is gone.
    pub fn cut(&mut self) {
        self.connection = None;
    }

    pub async fn read(&mut self, room: usize) {
        let Some(connection) = &mut self.connection else { return };
        let messages = connection.socket.read(room).unwrap_or_default();
        if connection.socket.queue.take_drained() {
            let _ = connection.link.drained().await;
        }
        for message in &messages {
            match self.note(message) {
                Ok(true) => {}
                Ok(false) => return self.disconnect().await,
                Err(why) => drop(self.fault.get_or_insert(format!("{} {why}", self.name))),
            }
        }
    }

    /// What this session got and has not acknowledged, the oldest first.
    pub fn owed(&self) -> Vec<Position> {
        let Some(session) = self.session() else { return Vec::new() };
        let owed = self.got.iter().filter(|((whose, _), got)| *whose == session && got.acked_ms.is_none());
        owed.map(|(_, got)| got.position).collect()
    }

    pub async fn acknowledge(&mut self, position: Position) {
        let Some(connection) = &mut self.connection else { return };
        connection.acking.push(Some(position));
        let answer = Answer::new(Some(command_id(connection.acking.len() - 1)), Reply::Acked { count: 0 });
        if let Some(got) = self.got.get_mut(&(connection.session, position.seq)) {
            got.acked_ms = Some(clock::now_ms());
        }
        let handled = tokio::time::timeout(PATIENCE, connection.link.acknowledge(vec![position], Some(answer))).await;
        if !matches!(handled, Ok(Ok(()))) {
            self.disconnect().await;
        }
    }

    /// `false` when the node cannot serve the subscription.
    fn note(&mut self, message: &Value) -> Result<bool, String> {
        let position = |value: &Value| value.as_str().map(|text| text.parse::<Position>().unwrap());
        let data = &message["data"];
        let connection = self.connection.as_ref().ok_or("hears something without a connection")?;
        match message["event"].as_str().unwrap() {
            "error" => return Ok(false),
            "subscribed" | "position" => self.position = position(&data["position"]).or(self.position),
            "gap" => self.position = position(&data["to"]),
            "acked" => {
                let number = usize::try_from(message["id"].as_u64().unwrap()).unwrap();
                let position = connection.acking[number].ok_or("is answered what it did not ask")?;
                let got = self.got.get_mut(&(connection.session, position.seq)).ok_or("is answered about what it never got")?;
                (got.is_answered, got.is_counted) = (true, data["count"] == 1);
            }
            _ => {
                let place = position(&message["id"]).ok_or("got what is not in the log")?;
                let times = u32::try_from(message["redelivered"].as_u64().unwrap_or(0)).unwrap();
                let got = self.got.entry((connection.session, place.seq));
                if times == 0 {
                    if let std::collections::btree_map::Entry::Occupied(_) = got {
                        return Err(format!("got {place} twice, and the second time not as one that comes again"));
                    }
                    got.or_insert_with(|| Got::new(place)).is_live = message["replayed"] != true;
                    self.position = Some(place);
                    return Ok(true);
                }
                let got = got.or_insert_with(|| Got::new(place));
                if got.is_answered {
                    return Err(format!("got {place} again, which it had acknowledged"));
                }
                // Those in between may have been dropped with what waited.
                if times <= got.again || times > ACKS.redeliveries_max {
                    return Err(format!("got {place} for the {times}. time again, after the {}.", got.again));
                }
                got.again = times;
            }
        }
        Ok(true)
    }
}
