//! A client as the hub sees it, and what it remembers: it reads its queue when the world lets it, subscribes and unsubscribes,
//! and resumes by the rule of docs/protocol.md.

use std::sync::Arc;

use roomcast::auth::{GrantList, Principal};
use roomcast::hub::latest::Wish;
use roomcast::hub::send_queue::Limits;
use roomcast::hub::{Hub, OrgLink};
use roomcast::protocol::codec::Wire;
use roomcast::protocol::latest::Latest;
use roomcast::protocol::push::{Answer, Reply};
use roomcast::protocol::{CommandId, OrgId, Position, RoomSyntax, SessionId};
use serde_json::Value;

use super::lines::Lines;
use super::socket::{Socket, command_id};
use super::wanted::Wanted;

/// Publications that may wait for one client, in bytes: a handful.
const QUEUE_BYTES_MAX: usize = 600;
/// The most that one push brings, in bytes: a queue takes one of any size when nothing waits, and the events that a feed holds
/// are one batch.
const PUSH_BYTES_MAX: usize = 2_500;
const REPLIES_BYTES_MAX: usize = 10_000;

/// What a client did and saw, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A new connection began, from this position.
    Connected {
        session: SessionId,
        since: Option<Position>,
    },
    Publication {
        position: Option<Position>,
        room: String,
        data: u64,
        /// It says that it came ahead of its turn.
        overtook: bool,
        /// How many others it says it stands for.
        conflated: u64,
    },
    /// The server said that some of low priority do not come.
    Conflated {
        from: Position,
        to: Position,
        left_out: u64,
    },
    Gap {
        from: Option<Position>,
        to: Position,
        reason: String,
        known: usize,
    },
    /// The server said where the client stands.
    At(Position),
    /// A subscription was answered: whatever matches comes from `since` on, or, without it, from now on, when the log held
    /// `known` records.
    Subscribed {
        pattern: Wanted,
        since: Option<Position>,
        known: usize,
    },
    /// How the rooms of a subscription stand at a position: the places and numbers of their last publications.
    Told {
        pattern: Wanted,
        at: Position,
        values: Vec<(Position, u64)>,
    },
    /// A subscription was answered that the client has given up meanwhile.
    Begins(Wanted),
    /// The client gives up a subscription. It has what came up to here.
    Leaves {
        pattern: Wanted,
        at: Option<Position>,
    },
    /// From here on the subscription brings nothing more.
    Left(Wanted),
}

pub struct Client {
    pub name: String,
    pub org: OrgId,
    /// Those whose answers were read; with a new connection they are asked for anew.
    pub patterns: Vec<Wanted>,
    pub seen: Vec<Seen>,
    pub position: Option<Position>,
    pub node: usize,
    /// What broke a promise while the history ran.
    pub fault: Option<String>,
    /// The node could not serve the subscription; the client goes elsewhere.
    refused: bool,
    connection: Option<Connection>,
}

struct Connection {
    session: SessionId,
    socket: Socket,
    link: OrgLink,
    /// Commands under way by their ids: the patterns of subscriptions with where they begin, and those given up.
    asked: Vec<Asked>,
}

#[derive(Clone)]
enum Asked {
    Subscribe(Vec<Wanted>, Option<Position>),
    Unsubscribe(Wanted),
}

impl Client {
    pub fn new(name: String, org: OrgId, patterns: Vec<Wanted>) -> Self {
        Self { name, org, patterns, seen: Vec::new(), position: None, node: 0, fault: None, refused: false, connection: None }
    }

    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub fn session(&self) -> Option<SessionId> {
        self.connection.as_ref().map(|connection| connection.session)
    }

    pub async fn connect(&mut self, hub: &Hub, node: usize, id: u128) {
        self.node = node;
        self.refused = false;
        let session = SessionId(uuid::Uuid::from_u128(id));
        let limits = Limits { bytes_max: QUEUE_BYTES_MAX, replies_bytes_max: REPLIES_BYTES_MAX };
        let socket = Socket::new(limits);
        let wire: Arc<dyn Wire> = Arc::new(Lines);
        let Ok(link) = hub.attach(&self.org, session, &socket.queue, &wire).await else { return };
        self.seen.push(Seen::Connected { session, since: self.position });
        self.connection = Some(Connection { session, socket, link, asked: Vec::new() });
        self.subscribe(self.patterns.clone(), self.position).await;
    }

    /// Asks how the rooms of a subscription stand, and begins it there.
    pub async fn look(&mut self, hub: &Hub, wanted: Wanted) {
        let rights = ["*:ORG:**", "org:ORG"].map(|pattern| format!("history:{}", pattern.replace("ORG", self.org.as_str())));
        let grants = GrantList::read(None, &rights, &self.org, &RoomSyntax::new(4, ["kpi", "chat"])).unwrap();
        let principal = Principal::new("someone", &self.org, 1 << 40).unwrap().with_grants(grants);
        let live = principal.grant_subscribe(wanted.pattern.clone()).unwrap().filtered(wanted.filter());
        let wish = Wish::new(principal.grant_history(wanted.pattern.clone()).unwrap(), &live);
        if let Ok((latest, at)) = hub.latest().ask(&self.org, vec![wish]).await {
            self.enter(vec![wanted], Some(at), Some(latest)).await;
        }
    }

    pub async fn subscribe(&mut self, wanted: Vec<Wanted>, since: Option<Position>) {
        self.enter(wanted, since, None).await;
    }

    async fn enter(&mut self, wanted: Vec<Wanted>, since: Option<Position>, latest: Option<Arc<Latest>>) {
        let Some(connection) = &mut self.connection else { return };
        let principal = Principal::new("someone", &self.org, 1 << 40).unwrap();
        let grant = |wanted: &Wanted| principal.grant_subscribe(wanted.pattern.clone()).unwrap().filtered(wanted.filter());
        let grants = wanted.iter().map(grant).collect();
        let rooms = wanted.iter().map(|wanted| wanted.pattern.clone()).collect();
        let id = connection.ask(Asked::Subscribe(wanted, since));
        let answer = Answer::new(Some(id), Reply::Subscribed { rooms, position: None, latest });
        if connection.link.subscribe(grants, since, answer).await.is_err() {
            self.connection = None;
        }
    }

    pub async fn unsubscribe(&mut self, pattern: Wanted) {
        let Some(connection) = &mut self.connection else { return };
        self.patterns.retain(|held| *held != pattern);
        self.seen.push(Seen::Leaves { pattern: pattern.clone(), at: self.position });
        let id = connection.ask(Asked::Unsubscribe(pattern.clone()));
        let answer = Answer::new(Some(id), Reply::Unsubscribed { rooms: vec![pattern.pattern.clone()] });
        if connection.link.unsubscribe(vec![pattern.named()], Some(answer)).await.is_err() {
            self.connection = None;
        }
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

    /// Reads up to `room` bytes, while the log holds `known` records; whether there were any.
    pub async fn read(&mut self, room: usize, known: usize) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        let messages = connection.socket.read(room);
        if connection.socket.queue.take_drained() {
            let _ = connection.link.drained().await;
        }
        for message in messages.iter().flatten() {
            self.note(message, known);
        }
        if std::mem::take(&mut self.refused) {
            self.disconnect().await;
        }
        messages.is_some()
    }

    pub async fn heartbeat(&self) {
        if let Some(connection) = &self.connection {
            connection.link.heartbeat();
        }
    }

    /// Whether no more waits for the client than may.
    pub fn check_bounds(&mut self) {
        let waiting = self.connection.as_ref().map_or(0, |connection| connection.socket.queue.bytes());
        if waiting > QUEUE_BYTES_MAX.max(PUSH_BYTES_MAX) + REPLIES_BYTES_MAX {
            self.fault.get_or_insert(format!("{waiting} bytes wait for {}", self.name));
        }
    }

    fn note(&mut self, message: &Value, known: usize) {
        if self.refused {
            // Not being subscribed, it is entitled to nothing, and what it is told of positions means nothing.
            return;
        }
        let position = |value: &Value| value.as_str().map(|text| text.parse::<Position>().unwrap());
        let data = &message["data"];
        match message["event"].as_str().unwrap() {
            "gap" => {
                let (from, to) = (position(&data["from"]), position(&data["to"]).unwrap());
                self.see(Seen::Gap { from, to, reason: data["reason"].as_str().unwrap().to_owned(), known }, Some(to));
            }
            "conflated" => {
                let (from, to) = (position(&data["from"]).unwrap(), position(&data["to"]).unwrap());
                self.see(Seen::Conflated { from, to, left_out: data["left_out"].as_u64().unwrap() }, None);
            }
            "position" => self.see(Seen::At(position(&data["position"]).unwrap()), position(&data["position"])),
            "subscribed" => {
                self.note_told(&message["id"], &data["latest"]);
                self.note_subscribed(&message["id"], position(&data["position"]), known);
            }
            "unsubscribed" => {
                if let Some(Asked::Unsubscribe(pattern)) = self.asked(&message["id"]) {
                    self.see(Seen::Left(pattern), None);
                }
            }
            "error" => self.refused = true,
            _ => {
                let (position, room) = (position(&message["id"]), message["room"].as_str().unwrap().to_owned());
                let (overtook, conflated) = (message["overtook"] == true, message["conflated"].as_u64().unwrap_or(0));
                // What came ahead of its turn is no place to resume from.
                let place = position.filter(|_| !overtook);
                self.see(Seen::Publication { position, room, data: data.as_u64().unwrap(), overtook, conflated }, place);
            }
        }
    }

    fn note_told(&mut self, id: &Value, latest: &Value) {
        let Some(told) = latest["publications"].as_array() else { return };
        if latest["complete"] != true {
            self.fault.get_or_insert("was told of fewer rooms than there are".to_owned());
        }
        if let Some(Asked::Subscribe(patterns, Some(at))) = self.asked(id) {
            let value = |value: &Value| (value["id"].as_str().unwrap().parse().unwrap(), value["data"].as_u64().unwrap());
            let values = told.iter().map(value).collect();
            self.see(Seen::Told { pattern: patterns[0].clone(), at, values }, None);
        }
    }

    fn note_subscribed(&mut self, id: &Value, at: Option<Position>, known: usize) {
        let Some(Asked::Subscribe(patterns, since)) = self.asked(id) else { return };
        for pattern in patterns {
            if self.gave_up(&pattern, id) {
                self.see(Seen::Begins(pattern), None);
                continue;
            }
            if !self.patterns.contains(&pattern) {
                self.patterns.push(pattern.clone());
            }
            self.see(Seen::Subscribed { pattern, since: since.or(at), known }, None);
        }
        if let Some(at) = at {
            self.see(Seen::At(at), Some(at));
        }
    }

    fn see(&mut self, seen: Seen, position: Option<Position>) {
        self.seen.push(seen);
        self.position = position.or(self.position);
    }

    /// Whether the client gave up the pattern after the command with this id.
    fn gave_up(&self, pattern: &Wanted, id: &Value) -> bool {
        let later = self.connection.iter().flat_map(|connection| &connection.asked).skip(id.as_u64().map_or(0, |id| id as usize + 1));
        later.into_iter().any(|asked| matches!(asked, Asked::Unsubscribe(left) if left == pattern))
    }

    fn asked(&self, id: &Value) -> Option<Asked> {
        let index = usize::try_from(id.as_u64()?).ok()?;
        self.connection.as_ref()?.asked.get(index).cloned()
    }
}

impl Connection {
    /// The id of the command.
    fn ask(&mut self, asked: Asked) -> CommandId {
        self.asked.push(asked);
        command_id(self.asked.len() - 1)
    }
}
