//! The routes as callers meet them, on the embedded broker, with real sessions.

mod cluster;
mod collections;
mod guards;
mod publishing;
mod reading;

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use super::*;
use crate::auth::{self, MintRequest, Scope, SigningKey, Verifier, api_key, mint};
use crate::broker::memory::{self, MemoryBroker};
use crate::hub::{self, NoSink, SendQueue};
use crate::limit::Rate;
use crate::protocol::command::Subscribe;
use crate::protocol::{EventRules, RoomSyntax, SessionId};
use crate::session::{self, Language, Session};
use crate::transport::http_session;
use crate::transport::websocket::wire;

/// Keys of one scope for all orgs are called after the scope; `acme` may do everything, but only in acme.
const ACME: &str = "acme-key";
const ADMIN: &str = "admin";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn code(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body["code"].as_str().unwrap_or_default())
    }
}

/// A node's API without its sockets.
struct Node {
    parts: Arc<Parts>,
    router: Router,
    sessions: Arc<session::Parts>,
    auth: auth::Config,
}

struct Client {
    id: SessionId,
    queue: Arc<SendQueue>,
}

impl Client {
    /// Everything that was sent to it so far, frames and all.
    fn received(&self) -> String {
        let mut bytes = Vec::new();
        self.queue
            .flush(|slices| {
                let before = bytes.len();
                slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
                Ok(bytes.len() - before)
            })
            .unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    async fn receives(&self, text: &str) {
        let mut seen = String::new();
        eventually(text, || {
            seen += &self.received();
            seen.contains(text)
        })
        .await;
    }
}

/// Waits for a condition, giving the other tasks their turns.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), waiting).await.is_ok(), "never: {what}");
}

fn keys() -> Vec<api_key::Config> {
    let key = |id: &str, scopes: &[Scope], org: Option<&str>| api_key::Config {
        id: id.into(),
        sha256: Some(Sha256::digest(id).iter().map(|byte| format!("{byte:02x}")).collect()),
        scopes: scopes.to_vec(),
        organization_id: org.map(str::to_owned),
        ..api_key::Config::default()
    };
    let but_admin = [Scope::Publish, Scope::Read, Scope::Connections, Scope::Revoke];
    Scope::ALL.into_iter().map(|scope| key(scope.as_str(), &[scope], None)).chain([key(ACME, &but_admin, Some("acme"))]).collect()
}

impl Node {
    fn start() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let auth = auth::Config::development().unwrap();
        let syntax = RoomSyntax::new(4, ["kpi", "backlog", "attendance", "alerts", "system", "chat", "sync"]);
        let verifier = Arc::new(Verifier::new(&auth, syntax.clone()).unwrap());
        let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::new(memory::Config { entries_max: 20, ..memory::Config::default() }));
        let counters = Arc::<Counters>::default();
        let limits = hub::Limits { subscriptions_max: 16, room_members_max: 100 };
        let hub = Arc::new(Hub::new(hub::Config::default(), limits, Arc::clone(&broker), Arc::clone(&counters), 7));
        let (registry, started) = (Arc::<Registry>::default(), Instant::now());
        let rules = Arc::new(Rules { syntax, events: EventRules::new(["chat:*"]) });
        let sessions = Arc::new(session::Parts {
            hub: Arc::clone(&hub),
            broker: Arc::clone(&broker),
            verifier: Arc::clone(&verifier),
            registry: Arc::clone(&registry),
            quotas: Arc::default(),
            rules: Arc::clone(&rules),
            settings: session::Settings {
                config: session::Config::default(),
                rate: Rate::default(),
                auth_timeout_ms: 10_000,
                ping_interval_ms: 25_000,
                stale_after_ms: 60_000,
                org_connections_max: 0,
            },
            counters: Arc::clone(&counters),
            alarms: session::Alarms::start(started),
            started,
        });
        let authenticator = Arc::new(Authenticator::new(&keys(), verifier).unwrap());
        let node = NodeInfo {
            id: "n1".into(),
            address: "127.0.0.1:1".into(),
            version: "0".into(),
            started_at_ms: 0,
            sessions: 0,
            ..NodeInfo::default()
        };
        let (cluster, phase) = (Cluster::default(), Arc::<Phase>::default());
        let revoking = session::Revoking::new(Arc::clone(&broker), Arc::clone(&registry), session::Config::default(), started);
        let http_sessions = Sessions::new("n1", http_session::Config::default());
        let parts = Arc::new(Parts {
            node,
            config,
            hub,
            broker,
            registry,
            revoking,
            rules,
            authenticator,
            counters,
            http_sessions,
            cluster,
            phase,
            started,
        });
        parts.phase.note_started();
        let router = router(Arc::clone(&parts)).unwrap();
        Self { parts, router, sessions, auth }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        Self::ask(self.router.clone(), request).await
    }

    async fn ask(router: Router, request: Request<Body>) -> Answer {
        let response = router.oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 24).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, key: &str, path: &str) -> Answer {
        self.send(request(Method::GET, key, path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, key: &str, path: &str, body: Value) -> Answer {
        let request = request(Method::POST, key, path).header("content-type", "application/json");
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    async fn internal(&self, path: &str) -> Answer {
        Self::ask(internal_router(Arc::clone(&self.parts)), Request::get(path).body(Body::empty()).unwrap()).await
    }

    fn token(&self, user: &str, org: Option<&str>, scopes: &[Scope]) -> String {
        let request = MintRequest {
            sub: user.into(),
            org: org.map(str::to_owned),
            grants: None,
            scopes: scopes.to_vec(),
            token_id: Some(format!("token-of-{user}")),
            issued_at_s: self.parts.now().unix_ms / 1_000 - 10,
            lifetime_s: 600,
        };
        mint(&request, &self.auth, &SigningKey::of_config(&self.auth).unwrap()).unwrap()
    }

    /// A session that is subscribed to the rooms.
    async fn connect(&self, user: &str, org: &str, rooms: &[&str]) -> Client {
        let queue = Arc::new(SendQueue::new(self.sessions.queue_limits(), NoSink));
        let mut session = Session::new(Arc::clone(&self.sessions), Language::native(wire::json(), &self.sessions.rules), queue);
        let client = Client { id: session.id(), queue: Arc::clone(session.queue()) };
        session.present(self.token(user, Some(org), &[]), Subscribe::default());
        if !rooms.is_empty() {
            session.on_message(json!({"event": "subscribe", "data": {"rooms": rooms}}).to_string().as_bytes());
        }
        tokio::spawn(async move {
            loop {
                session.progress().await;
            }
        });
        client.receives(if rooms.is_empty() { "\"authenticated\"" } else { "\"subscribed\"" }).await;
        client
    }
}

fn request(method: Method, key: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("/api/ws{path}")).header("authorization", format!("Bearer {key}"))
}
