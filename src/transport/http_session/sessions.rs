//! The sessions over HTTP that this node holds, by the secret halves of their names.
//!
//! [`life`](super::life) enters and leaves; requests that came here, and those that other nodes carried here, find the session's
//! channels in this table. It never touches a session itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::errand::{Errand, Outcome, piece};
use super::name::{Name, NodeMark, Secret};
use super::{Config, request};
use crate::transport::poll::Ask;

/// Requests with commands that wait for one session; those that come while there are so many wait in front of the channel.
const POSTS_MAX: usize = 2;
/// Polls that wait to be looked at. The latest one counts, so there is no need for more.
const ASKS_MAX: usize = 2;

/// Commands on their way into a session.
pub struct Post {
    /// The client's count of its requests, from 1. Without one, nothing is known to be a repetition.
    pub number: Option<u64>,
    pub commands: Vec<Bytes>,
    pub outcome: oneshot::Sender<Outcome>,
}

/// The way into one session.
#[derive(Clone)]
struct Way {
    posts: mpsc::Sender<Post>,
    /// Only where messages are polled for.
    asks: Option<mpsc::Sender<Ask>>,
}

/// All of this node.
pub struct Sessions {
    node: NodeMark,
    config: Config,
    open: Mutex<HashMap<Secret, Way>>,
}

/// A session's place in the table, which it leaves when this is dropped.
pub struct Entered {
    pub name: Name,
    sessions: Arc<Sessions>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.sessions.open.lock().remove(&self.name.secret);
    }
}

/// What a session reads from.
pub struct Inlets {
    pub posts: mpsc::Receiver<Post>,
    pub asks: mpsc::Receiver<Ask>,
}

impl Sessions {
    pub fn new(node: &str, config: Config) -> Arc<Self> {
        Arc::new(Self { node: NodeMark::of(node), config, open: Mutex::default() })
    }

    /// Whether names with this mark are of this node.
    pub fn is_home(&self, node: NodeMark) -> bool {
        self.node == node
    }

    pub fn len(&self) -> usize {
        self.open.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A name and a place for a new session; `None` when there are as many as may be.
    pub fn enter(self: &Arc<Self>, polled: bool) -> Option<(Entered, Inlets)> {
        let (posts, posts_in) = mpsc::channel(POSTS_MAX);
        let (asks, asks_in) = mpsc::channel(ASKS_MAX);
        let name = Name::new(self.node, rand::random());
        let mut open = self.open.lock();
        if open.len() >= self.config.sessions_max {
            return None;
        }
        open.insert(name.secret, Way { posts, asks: polled.then_some(asks) });
        Some((Entered { name, sessions: Arc::clone(self) }, Inlets { posts: posts_in, asks: asks_in }))
    }

    fn way(&self, session: Secret) -> Option<Way> {
        self.open.lock().get(&session).cloned()
    }

    /// Runs an errand that came here in a note; its answer is cut into pieces.
    pub async fn run(&self, errand: &Errand) -> Outcome {
        match errand {
            Errand::Post { session, number, commands } => self.post(*session, *number, &Bytes::copy_from_slice(commands.as_bytes())).await,
            Errand::Poll { session, cursor, wait_ms, from } => match self.poll(*session, *cursor, *wait_ms).await {
                Ok(answer) => piece(&answer, *from),
                Err(outcome) => outcome,
            },
        }
    }

    /// How long an errand may take where it is run.
    pub fn patience(&self, errand: &Errand) -> Duration {
        match errand {
            Errand::Post { .. } => Duration::from_millis(self.config.post_wait_ms),
            Errand::Poll { wait_ms, .. } => Duration::from_millis(*wait_ms.min(&self.config.poll_wait_ms)),
        }
    }

    /// Hands commands to their session and waits until they are its own.
    pub async fn post(&self, session: Secret, number: Option<u64>, body: &Bytes) -> Outcome {
        let Some(way) = self.way(session) else { return Outcome::Unknown };
        let Some(commands) = request::commands(body, self.config.post_commands_max) else { return Outcome::Malformed };
        let (outcome, decided) = oneshot::channel();
        let handed = async {
            way.posts.send(Post { number, commands, outcome }).await.ok()?;
            decided.await.ok()
        };
        let limit = Duration::from_millis(self.config.post_wait_ms);
        // A session that ends drops what waits for it.
        tokio::time::timeout(limit, handed).await.map_or(Outcome::Busy, |outcome| outcome.unwrap_or(Outcome::Unknown))
    }

    /// The answer to a poll as JSON.
    ///
    /// # Errors
    /// What there is instead of an answer.
    pub async fn poll(&self, session: Secret, cursor: u64, wait_ms: u64) -> Result<Bytes, Outcome> {
        let asks = self.way(session).and_then(|way| way.asks).ok_or(Outcome::Unknown)?;
        let (answer, answered) = oneshot::channel();
        let wait = Duration::from_millis(wait_ms.min(self.config.poll_wait_ms));
        asks.send(Ask { cursor, wait, answer }).await.map_err(|_| Outcome::Unknown)?;
        answered.await.unwrap_or(Err(Outcome::Unknown))
    }
}
