//! Clients over plain HTTP that do as they are told: single requests, streams of events, and polls that wander from node to node.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::DEADLINE;

pub const SESSION: &str = "x-roomcast-session";
pub const NUMBER: &str = "x-roomcast-number";
pub const CURSOR: &str = "x-roomcast-cursor";

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// One request over a connection of its own; `None` when nobody is there or the connection breaks.
pub async fn send(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Response<Incoming>> {
    let socket = TcpStream::connect(at).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.ok()?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", at.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()).await.ok()
}

/// The same with the whole answer.
pub async fn try_ask(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
    let asking = async {
        let (head, body) = send(at, method, path, headers, body).await?.into_parts();
        let body = String::from_utf8(body.collect().await.ok()?.to_bytes().to_vec()).unwrap();
        Some(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    tokio::time::timeout(DEADLINE * 2, asking).await.unwrap_or_else(|_| panic!("{method} {path}: no answer"))
}

/// # Panics
/// When there is no answer.
pub async fn ask(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    try_ask(at, method, path, headers, body).await.unwrap_or_else(|| panic!("{method} {path}: the connection broke"))
}

/// A stream of server-sent events, read as browsers do.
pub struct Stream {
    pub session: String,
    pub headers: HeaderMap,
    body: Incoming,
    rest: String,
    /// What a browser would say when it comes back.
    pub last_id: Option<String>,
    pub retry_ms: Option<u64>,
}

#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    Message(Value),
    Close {
        code: u16,
        reason: Value,
    },
    /// The stream is over.
    End,
}

impl Event {
    pub fn message(self) -> Value {
        let Self::Message(message) = self else { panic!("no message: {self:?}") };
        message
    }
}

impl Stream {
    /// A browser's `EventSource`.
    pub async fn get(at: SocketAddr, query: &str, token: &str, last_id: Option<&str>) -> Self {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", &*bearer)];
        headers.extend(last_id.map(|id| ("last-event-id", id)));
        Self::open(send(at, "GET", &format!("/sse{query}"), &headers, "").await.unwrap())
    }

    /// The client library's way.
    pub async fn post(at: SocketAddr, command: &Value) -> Self {
        Self::open(send(at, "POST", "/sse", &[], &command.to_string()).await.unwrap())
    }

    fn open(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        assert_eq!((head.status.as_u16(), head.headers["content-type"].to_str().unwrap()), (200, "text/event-stream"));
        let session = head.headers.get(SESSION).map_or(String::new(), |name| name.to_str().unwrap().to_owned());
        Self { session, headers: head.headers, body, rest: String::new(), last_id: None, retry_ms: None }
    }

    /// The next event that is none of the heartbeat's.
    pub async fn event(&mut self) -> Event {
        loop {
            let Some((block, rest)) = self.rest.split_once("\n\n").map(|(block, rest)| (block.to_owned(), rest.to_owned())) else {
                let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await.expect("the stream goes on");
                let Some(Ok(frame)) = frame else { return Event::End };
                self.rest += str::from_utf8(&frame.into_data().unwrap()).expect("messages are not cut within characters here");
                continue;
            };
            self.rest = rest;
            if let Some(event) = self.read(&block) {
                return event;
            }
        }
    }

    fn read(&mut self, block: &str) -> Option<Event> {
        let (mut kind, mut data) = ("message", None);
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("retry", wait)) => self.retry_ms = wait.parse().ok(),
                Some(("id", id)) => self.last_id = Some(id.to_owned()),
                Some(("event", name)) => kind = if name == "close" { "close" } else { panic!("an event of no known kind: {name}") },
                Some(("data", text)) => data = Some(serde_json::from_str::<Value>(text).unwrap()),
                _ => assert!(line.starts_with(':'), "{line}"),
            }
        }
        let data = data?;
        if kind == "close" {
            let reason = serde_json::from_str(data["reason"].as_str().unwrap()).unwrap_or_default();
            return Some(Event::Close { code: u16::try_from(data["code"].as_u64().unwrap()).unwrap(), reason });
        }
        (data["event"] != "position").then_some(Event::Message(data))
    }

    /// The next message with this event; others before it are skipped.
    pub async fn until(&mut self, event: &str) -> Value {
        loop {
            let message = self.event().await.message();
            if message["event"] == event {
                return message;
            }
        }
    }

    /// The marks of the next `count` publications, which must come without a gap.
    pub async fn marks(&mut self, count: usize) -> Vec<String> {
        let mut marks = Vec::new();
        while marks.len() < count {
            let message = self.event().await.message();
            assert_ne!(message["event"], "gap", "{message}");
            marks.extend(message["data"]["mark"].as_str().map(str::to_owned));
        }
        marks
    }
}

/// Sends every request to the next node, as a balancer that knows nothing of sessions.
pub struct Balancer {
    pub nodes: Vec<SocketAddr>,
    next: std::sync::atomic::AtomicUsize,
}

impl Balancer {
    pub fn new(nodes: Vec<SocketAddr>) -> Self {
        Self { nodes, next: Default::default() }
    }

    fn turn(&self) -> SocketAddr {
        self.nodes[self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % self.nodes.len()]
    }

    /// Nodes that are gone are passed over.
    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        for _ in 0..self.nodes.len() * 2 {
            if let Some(answer) = try_ask(self.turn(), method, path, headers, body).await {
                return answer;
            }
        }
        panic!("{method} {path}: no node answers");
    }
}

/// Somebody who polls through a balancer, and begins anew with what it knows when its session is gone.
pub struct Poller {
    balancer: Balancer,
    enter: Value,
    session: Option<String>,
    cursor: String,
    pub position: Option<String>,
    pub marks: Vec<String>,
    pub gaps: usize,
    pub sessions: usize,
}

impl Poller {
    pub fn new(nodes: Vec<SocketAddr>, token: &str, rooms: &[&str]) -> Self {
        let enter = json!({ "event": "authenticate", "data": { "token": token, "rooms": rooms } });
        Self {
            balancer: Balancer::new(nodes),
            enter,
            session: None,
            cursor: "0".into(),
            position: None,
            marks: Vec::new(),
            gaps: 0,
            sessions: 0,
        }
    }

    /// One request and what it brings.
    pub async fn poll(&mut self) {
        let Some(session) = self.session.clone() else { return self.begin().await };
        let answer = self.balancer.ask("GET", "/poll", &[(SESSION, &session), (CURSOR, &self.cursor)], "").await;
        match answer.status {
            200 => self.take(&answer),
            // Where it is not known whether the node is there, asking again is as good as beginning anew.
            503 => {}
            404 => self.session = None,
            other => panic!("{other} {}", answer.body),
        }
    }

    async fn begin(&mut self) {
        let mut enter = self.enter.clone();
        if let Some(position) = &self.position {
            enter["data"]["since"] = json!(position);
        }
        let answer = self.balancer.ask("POST", "/poll", &[], &enter.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.session = Some(answer.header(SESSION).to_owned());
        self.sessions += 1;
        self.take(&answer);
    }

    fn take(&mut self, answer: &Answer) {
        let answer = answer.json();
        self.cursor = answer["cursor"].as_str().unwrap().to_owned();
        for message in answer["messages"].as_array().unwrap() {
            let position = if message["room"].is_string() { &message["id"] } else { &message["data"]["position"] };
            self.gaps += usize::from(message["event"] == "gap");
            self.position = position.as_str().map(str::to_owned).or(self.position.take());
            self.marks.extend(message["data"]["mark"].as_str().map(str::to_owned));
        }
        if answer.get("close").is_some() {
            self.session = None;
        }
    }
}
