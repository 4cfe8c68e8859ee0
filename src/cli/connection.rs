//! One WebSocket connection of `tail` and `selftest`, message by message.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, Role, WebSocket};
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::client;

/// How long the server may take to accept a connection.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// The server pings every 25 seconds by default, so a connection silent for longer than this is dead.
const SILENCE_MAX: Duration = Duration::from_secs(90);
/// More than any server sends in one frame.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// Close codes from here on say that reconnecting is of no use (docs/protocol.md).
const CLOSE_FATAL_MIN: u16 = 4_500;

/// How a connection ended.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Ended {
    pub reason: String,
    pub retry_after: Duration,
    /// Another attempt would end alike.
    pub fatal: bool,
}

impl Ended {
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry_after: Duration::ZERO, fatal: false }
    }

    /// By an error in answer to a command.
    pub fn refused(message: &Message) -> Self {
        let data: Value = message.data.as_deref().and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or_default();
        let [code, text] = ["code", "message"].map(|name| data[name].as_str().unwrap_or_default().to_owned());
        let retry_after = Duration::from_millis(data["retry_after_ms"].as_u64().unwrap_or_default());
        let passing = ["BROKER_UNAVAILABLE", "CONNECTION_LIMIT", "RATE_LIMIT_EXCEEDED", "ROOM_FULL", "INTERNAL_ERROR"];
        Self { fatal: !passing.contains(&code.as_str()), reason: format!("{code}: {text}"), retry_after }
    }

    fn closed(payload: &[u8]) -> Self {
        let (code, reason) = match payload {
            [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason).into_owned()),
            _ => return Self::because("the server closed the connection"),
        };
        let details: Value = serde_json::from_str(&reason).unwrap_or_default();
        let retry_after = Duration::from_millis(details["retry_after_ms"].as_u64().unwrap_or_default());
        Self { reason: format!("closed with {code} {reason}"), retry_after, fatal: (CLOSE_FATAL_MIN..5_000).contains(&code) }
    }
}

/// A message from the server, with the text that it came as.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Message {
    pub event: String,
    /// The id of the command that it answers, or a publication's position.
    #[serde(default)]
    pub id: Option<Value>,
    #[serde(default)]
    pub room: Option<String>,
    #[serde(default)]
    pub ts: Option<String>,
    #[serde(default)]
    pub priority: Option<String>,
    #[serde(default)]
    pub replayed: bool,
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
    #[serde(skip)]
    pub text: String,
}

impl Message {
    fn read(text: String) -> Result<Self, serde_json::Error> {
        let message: Self = serde_json::from_str(&text)?;
        Ok(Self { text, ..message })
    }

    /// Only publications have a room.
    pub fn is_publication(&self) -> bool {
        self.room.is_some()
    }

    /// An error in answer to `authenticate`, after which nothing would come.
    pub fn ends_attempt(&self) -> bool {
        self.event == "error" && self.id == Some(json!(COMMAND_ID))
    }

    /// The position that a later connection resumes from, when the message moves it. An urgent publication does not: it overtakes.
    pub fn position(&self) -> Option<String> {
        if self.is_publication() {
            let moves = self.priority.as_deref() != Some("urgent");
            return self.id.as_ref().filter(|_| moves).and_then(Value::as_str).map(str::to_owned);
        }
        let name = match self.event.as_str() {
            "authenticated" | "position" => "position",
            "gap" => "to",
            _ => return None,
        };
        let data: Value = serde_json::from_str(self.data.as_deref()?.get()).ok()?;
        data[name].as_str().map(str::to_owned)
    }
}

/// The id of `authenticate`, which is the first command.
const COMMAND_ID: u64 = 1;

pub(super) struct Connection {
    socket: FragmentCollector<TokioIo<Upgraded>>,
}

impl Connection {
    pub async fn open(base: &str, path: &str) -> anyhow::Result<Self> {
        tokio::time::timeout(OPEN_TIMEOUT, upgrade(base, path)).await.with_context(|| format!("{base} did not answer"))?
    }

    pub async fn authenticate(&mut self, token: &str, patterns: &[String], since: Option<&str>) -> Result<(), Ended> {
        let mut data = json!({ "token": token, "rooms": patterns });
        if let Some(since) = since {
            data["since"] = json!(since);
        }
        self.send(&json!({ "event": "authenticate", "id": COMMAND_ID, "data": data })).await
    }

    pub async fn send(&mut self, command: &Value) -> Result<(), Ended> {
        let frame = Frame::text(Payload::Owned(command.to_string().into_bytes()));
        self.socket.write_frame(frame).await.map_err(|error| Ended::because(format!("the connection broke: {error}")))
    }

    /// The next message; pings are answered on the way.
    pub async fn next(&mut self) -> Result<Message, Ended> {
        loop {
            // The read is not resumed after a timeout, so it does not matter that it cannot be.
            let read = tokio::time::timeout(SILENCE_MAX, self.socket.read_frame()).await;
            let frame = read
                .map_err(|_| Ended::because("the server fell silent"))?
                .map_err(|error| Ended::because(format!("the connection broke: {error}")))?;
            match frame.opcode {
                OpCode::Text => {
                    let text = String::from_utf8_lossy(&frame.payload).into_owned();
                    return Message::read(text).map_err(|error| Ended::because(format!("a message could not be read: {error}")));
                }
                OpCode::Close => return Err(Ended::closed(&frame.payload)),
                OpCode::Binary | OpCode::Ping | OpCode::Pong | OpCode::Continuation => {}
            }
        }
    }
}

async fn upgrade(base: &str, path: &str) -> anyhow::Result<Connection> {
    ensure!(path.starts_with('/'), "{path:?} is no path such as /ws");
    let uri = client::address(base, path)?;
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let request = Request::get(uri)
        .header(HOST, host)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, fastwebsockets::handshake::generate_key())
        .header(SEC_WEBSOCKET_PROTOCOL, "roomcast.v1")
        .body(Full::<Bytes>::default())?;
    let response = client::client().request(request).await.with_context(|| format!("{base} cannot be reached"))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        bail!("{base} did not accept a WebSocket on {path} ({})", response.status());
    }
    let mut socket = WebSocket::after_handshake(TokioIo::new(hyper::upgrade::on(response).await?), Role::Client);
    socket.set_max_message_size(FRAME_BYTES_MAX);
    Ok(Connection { socket: FragmentCollector::new(socket) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_come_from_what_moves_them() {
        let position = |json: &str| Message::read(json.to_owned()).unwrap().position();
        assert_eq!(position(r#"{"event":"kpi:update","room":"kpi:acme","id":"1-2-3","data":{}}"#).as_deref(), Some("1-2-3"));
        assert_eq!(position(r#"{"event":"kpi:update","room":"kpi:acme","id":"1-2-3","data":{},"priority":"urgent"}"#), None);
        assert_eq!(position(r#"{"event":"position","data":{"position":"a"}}"#).as_deref(), Some("a"));
        assert_eq!(position(r#"{"event":"gap","data":{"from":"a","to":"b","reason":"trimmed"}}"#).as_deref(), Some("b"));
        assert_eq!(position(r#"{"event":"authenticated","id":1,"data":{"position":null}}"#), None);
    }

    #[test]
    fn the_close_code_says_whether_to_come_back() {
        let close = |code: u16, reason: &str| Ended::closed(&[&code.to_be_bytes(), reason.as_bytes()].concat());
        assert!(close(4_500, r#"{"code":"AUTH_FAILED"}"#).fatal);
        let drain = close(4_000, r#"{"retry_after_ms":1500}"#);
        assert!(!drain.fatal && drain.retry_after == Duration::from_millis(1_500));
        assert!(!close(1_006, "").fatal && !Ended::closed(b"").fatal);
    }
}
