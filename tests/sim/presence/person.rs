//! One session of a user at a time: it enters rooms, tells of itself, watches, and believes what it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use roomcast::auth::Principal;
use roomcast::auth::grant::GrantList;
use roomcast::hub::presence::Ask;
use roomcast::hub::send_queue::Limits;
use roomcast::hub::{Hub, OrgLink};
use roomcast::protocol::codec::Wire;
use roomcast::protocol::presence::Member;
use roomcast::protocol::{OrgId, RoomName, RoomSyntax, SessionId};
use serde_json::{Value, json};

use super::roster::Roster;
use crate::lines::Lines;
use crate::socket::{Socket, command_id};

/// What waits for one person: a few diffs, before some are dropped.
const LIMITS: Limits = Limits { bytes_max: 1_200, replies_bytes_max: 100_000 };
/// How long a person waits for an answer.
const PATIENCE: Duration = Duration::from_millis(300);

pub struct Person {
    pub name: String,
    pub user: String,
    pub org: OrgId,
    principal: Principal,
    /// Reads whatever comes at once.
    pub is_attentive: bool,
    pub node: usize,
    connection: Option<Connection>,
    /// The rooms it is in, as it was answered.
    pub is_in: BTreeMap<RoomName, Arc<Member>>,
    pub rosters: BTreeMap<RoomName, Roster>,
    pub fault: Option<String>,
}

struct Connection {
    session: SessionId,
    socket: Socket,
    link: OrgLink,
    asked: Vec<Asked>,
    /// How many of these have been answered, as far as the person has read.
    answered: usize,
}

#[derive(Clone, Debug)]
pub enum Asked {
    Enter(RoomName, Arc<Member>),
    Update(RoomName, Arc<Member>),
    Leave(RoomName),
    Watch(RoomName),
    Unwatch(RoomName),
}

impl Person {
    pub fn new(name: String, user: &str, org: &OrgId, is_attentive: bool, syntax: &RoomSyntax) -> Self {
        let grants = GrantList::read(Some(&json!([format!("presence:chat:{org}:**")])), &[], org, syntax).unwrap();
        let principal = Principal::new(user, org, 1 << 40).unwrap().with_grants(grants);
        let user = user.to_owned();
        let (is_in, rosters) = (BTreeMap::new(), BTreeMap::new());
        Self { name, user, org: org.clone(), principal, is_attentive, node: 0, connection: None, is_in, rosters, fault: None }
    }

    pub fn session(&self) -> Option<SessionId> {
        self.connection.as_ref().map(|connection| connection.session)
    }

    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub async fn connect(&mut self, hub: &Hub, node: usize, id: u128) {
        let (session, socket) = (SessionId(uuid::Uuid::from_u128(id)), Socket::new(LIMITS));
        let wire: Arc<dyn Wire> = Arc::new(Lines);
        let link = tokio::time::timeout(PATIENCE, hub.attach(&self.org, session, &socket.queue, &wire)).await;
        if let Ok(Ok(link)) = link {
            self.node = node;
            self.connection = Some(Connection { session, socket, link, asked: Vec::new(), answered: 0 });
        }
    }

    /// The connection ends; `lingers` as when nobody said why.
    pub async fn disconnect(&mut self, lingers: bool) {
        if let Some(connection) = self.connection.take() {
            connection.socket.queue.shut();
            if lingers { connection.link.detach().await } else { connection.link.cast_out().await }
        }
        self.cut();
    }

    /// The node under the connection is gone.
    pub fn cut(&mut self) {
        self.connection = None;
        self.is_in.clear();
        self.rosters.clear();
    }

    /// Asks, and waits until the server has taken it up; who waits for too long goes.
    pub async fn ask(&mut self, asked: Asked) {
        let Some(connection) = &mut self.connection else { return };
        let grant = |room: &RoomName| self.principal.grant_presence(room.clone()).unwrap();
        let ask = match &asked {
            Asked::Enter(room, member) => Ask::Enter { grant: grant(room), status: member.status, state: member.state.clone() },
            Asked::Update(room, member) => {
                Ask::Update { room: room.clone(), status: Some(member.status), state: Some(member.state.clone()) }
            }
            Asked::Leave(room) => Ask::Leave(room.clone()),
            Asked::Watch(room) => {
                let command = connection.asked.len();
                let again = |roster: &mut Roster| roster.expect_again(command);
                self.rosters.entry(room.clone()).and_modify(again).or_insert_with(|| Roster::expect(command));
                Ask::Watch(grant(room))
            }
            Asked::Unwatch(room) => {
                self.rosters.remove(room);
                Ask::Unwatch(room.clone())
            }
        };
        connection.asked.push(asked);
        let id = command_id(connection.asked.len() - 1);
        let handled = tokio::time::timeout(PATIENCE, connection.link.presence(Some(id), ask)).await;
        if !matches!(handled, Ok(Ok(()))) {
            self.disconnect(true).await;
        }
    }

    /// Reads up to `room` bytes. Who was seen leaving which room.
    pub async fn read(&mut self, room: usize) -> Vec<(RoomName, String)> {
        let Some(connection) = &mut self.connection else { return Vec::new() };
        let messages = connection.socket.read(room).unwrap_or_default();
        if connection.socket.queue.take_drained() {
            let _ = connection.link.drained().await;
        }
        let mut left = Vec::new();
        for message in &messages {
            if let Err(why) = self.note(message, &mut left) {
                self.fault.get_or_insert(format!("{why}: {message}"));
            }
        }
        left
    }

    /// The rooms that it is in and has not asked to leave.
    pub fn surely_in(&self) -> impl Iterator<Item = &RoomName> {
        let asked = self.connection.as_ref().map_or(&[][..], |connection| &connection.asked[connection.answered..]);
        let leaves = |room: &RoomName| asked.iter().any(|asked| matches!(asked, Asked::Leave(left) if left == room));
        self.is_in.keys().filter(move |room| !leaves(room))
    }

    /// Rooms that it has to watch again.
    pub fn broken(&self) -> Vec<RoomName> {
        self.rosters.iter().filter(|(_, roster)| roster.is_broken).map(|(room, _)| room.clone()).collect()
    }

    fn note(&mut self, message: &Value, left: &mut Vec<(RoomName, String)>) -> Result<(), String> {
        let data = &message["data"];
        let event = message["event"].as_str().unwrap();
        if matches!(event, "gap" | "position") {
            // They are about the log.
            return Ok(());
        }
        if event == "presence:diff" {
            let roster = self.rosters.iter_mut().find(|(room, _)| data["room"] == room.as_str());
            let Some((room, roster)) = roster else { return Ok(()) };
            let gone = roster.diff(data)?;
            left.extend(gone.into_iter().map(|user| (room.clone(), user)));
            return Ok(());
        }
        let number = usize::try_from(message["id"].as_u64().ok_or("an answer to nothing")?).unwrap();
        let connection = self.connection.as_mut().ok_or("an answer to nobody")?;
        let asked = connection.asked.get(number).cloned().ok_or("an answer to what nobody asked")?;
        connection.answered = number + 1;
        match (event, asked) {
            ("presence:entered", Asked::Enter(room, member)) | ("presence:updated", Asked::Update(room, member)) => {
                self.is_in.insert(room, member);
            }
            // A leave that could not be told takes effect all the same.
            ("presence:left" | "error", Asked::Leave(room)) => drop(self.is_in.remove(&room)),
            ("presence:snapshot", Asked::Watch(room)) => {
                self.roster_asked_by(number, &room).map_or(Ok(()), |roster| roster.snapshot(data))?;
            }
            ("error", Asked::Watch(room)) => self.roster_asked_by(number, &room).into_iter().for_each(Roster::refused),
            ("presence:unwatched", Asked::Unwatch(_)) => {}
            ("error", Asked::Enter(..) | Asked::Update(..)) if data["code"] == "BROKER_UNAVAILABLE" => {}
            ("error", Asked::Update(room, _)) if data["code"] == "ROOM_NOT_FOUND" && !self.is_in.contains_key(&room) => {}
            (event, asked) => return Err(format!("{event} answers {asked:?}")),
        }
        Ok(())
    }

    fn roster_asked_by(&mut self, command: usize, room: &RoomName) -> Option<&mut Roster> {
        self.rosters.get_mut(room).filter(|roster| roster.command == command)
    }
}
