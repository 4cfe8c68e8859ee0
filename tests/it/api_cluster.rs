//! Questions over REST for a whole cluster: two nodes on one Redis, each with its own API.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::{Method, Request, StatusCode};
use roomcast::api::{self, Cluster, Parts, Phase};
use roomcast::auth::{self, Authenticator, MintRequest, Scope, SigningKey, Verifier, mint};
use roomcast::broker::redis::{Config, RedisBroker};
use roomcast::broker::{Broker, NodeInfo};
use roomcast::hub::{self, Hub, NoSink, SendQueue};
use roomcast::limit::Rate;
use roomcast::protocol::command::Subscribe;
use roomcast::protocol::{CloseCode, EventRules, SessionId};
use roomcast::session::machine::Rules;
use roomcast::session::{self, Language, Registry, Session};
use roomcast::telemetry::counters::Counters;
use roomcast::transport::http_session::{self, Sessions};
use roomcast::transport::websocket::wire;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::broker_contract::{ready, syntax};
use crate::support::eventually;
use crate::support::redis::Redis;

const ACME: &str = "acme";

/// One node without its sockets.
struct Node {
    info: NodeInfo,
    broker: Arc<RedisBroker>,
    sessions: Arc<session::Parts>,
    router: Router,
    internal: Router,
    answering: JoinHandle<()>,
    auth: auth::Config,
}

impl Node {
    async fn start(redis: &Redis, id: &str, auth: &auth::Config) -> Self {
        let config = Config { url: redis.url(), watchdog_interval_ms: 200, command_timeout_ms: 1_000, ..Config::default() };
        let broker = RedisBroker::start(config, syntax(), id).unwrap();
        ready(&*broker).await;
        let shared: Arc<dyn Broker> = broker.clone();
        let verifier = Arc::new(Verifier::new(auth, syntax()).unwrap());
        let counters = Arc::<Counters>::default();
        let limits = hub::Limits { subscriptions_max: 16, room_members_max: 100 };
        let hub = Arc::new(Hub::new(hub::Config::default(), limits, Arc::clone(&shared), Arc::clone(&counters), 7));
        let (registry, started) = (Arc::<Registry>::default(), Instant::now());
        let rules = Arc::new(Rules { syntax: syntax(), events: EventRules::new(["chat:*"]) });
        let settings = session::Settings {
            config: session::Config::default(),
            rate: Rate::default(),
            auth_timeout_ms: 10_000,
            ping_interval_ms: 25_000,
            stale_after_ms: 60_000,
            org_connections_max: 0,
        };
        let sessions = Arc::new(session::Parts {
            hub: Arc::clone(&hub),
            broker: Arc::clone(&shared),
            verifier: Arc::clone(&verifier),
            registry: Arc::clone(&registry),
            quotas: Arc::default(),
            rules: Arc::clone(&rules),
            settings,
            counters: Arc::clone(&counters),
            alarms: session::Alarms::start(started),
            started,
        });
        let info = NodeInfo {
            id: id.into(),
            address: "127.0.0.1:1".into(),
            version: "0".into(),
            started_at_ms: 1,
            sessions: 0,
            ..NodeInfo::default()
        };
        broker.renew(&info).await.unwrap();
        let revoking = session::Revoking::new(Arc::clone(&shared), Arc::clone(&registry), session::Config::default(), started);
        let parts = Arc::new(Parts {
            node: info.clone(),
            config: api::Config { scatter_timeout_ms: 500, ..api::Config::default() },
            hub,
            broker: shared,
            registry,
            revoking,
            rules,
            authenticator: Arc::new(Authenticator::new(&[], verifier).unwrap()),
            counters,
            http_sessions: Sessions::new(id, http_session::Config::default()),
            cluster: Cluster::default(),
            phase: Arc::<Phase>::default(),
            started,
        });
        let answering = tokio::spawn(api::cluster::answer_notes(Arc::clone(&parts)));
        parts.phase.note_started();
        let internal = api::internal_router(Arc::clone(&parts));
        Self { info, broker, sessions, router: api::router(parts).unwrap(), internal, answering, auth: auth.clone() }
    }

    fn token(&self, user: &str, org: Option<&str>, scopes: &[Scope]) -> String {
        let issued_at_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() - 10;
        let (sub, org, scopes) = (user.into(), org.map(str::to_owned), scopes.to_vec());
        let request = MintRequest { sub, org, grants: None, scopes, token_id: None, issued_at_s, lifetime_s: 600 };
        mint(&request, &self.auth, &SigningKey::of_config(&self.auth).unwrap()).unwrap()
    }

    async fn connect(&self, user: &str, rooms: &[&str]) -> (SessionId, Arc<SendQueue>) {
        let queue = Arc::new(SendQueue::new(self.sessions.queue_limits(), NoSink));
        let mut session = Session::new(Arc::clone(&self.sessions), Language::native(wire::json(), &self.sessions.rules), queue);
        let (id, queue) = (session.id(), Arc::clone(session.queue()));
        session.present(self.token(user, Some(ACME), &[]), Subscribe::default());
        session.on_message(json!({"event": "subscribe", "data": {"rooms": rooms}}).to_string().as_bytes());
        tokio::spawn(async move {
            loop {
                session.progress().await;
            }
        });
        let org = roomcast::protocol::OrgId::parse(ACME).unwrap();
        eventually("the session is subscribed", async || {
            let subscribed = self.sessions.hub.subscriptions(&org, vec![id]).await;
            subscribed.first().is_some_and(|(_, patterns)| patterns.len() == rooms.len() + 2).then_some(())
        })
        .await;
        (id, queue)
    }

    async fn ask(&self, method: Method, path: &str) -> (StatusCode, Value) {
        self.send(method, path, Value::Null).await
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let token = self.token("operator", None, &[Scope::Admin]);
        let request = Request::builder().method(method).uri(format!("/api/ws{path}")).header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
        read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    async fn probe(&self, path: &str) -> (StatusCode, Value) {
        read(self.internal.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }
}

async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    (status, serde_json::from_slice(&to_bytes(response.into_body(), 1 << 24).await.unwrap()).unwrap())
}

async fn two_nodes(redis: &Redis) -> (Node, Node) {
    let auth = auth::Config::development().unwrap();
    let nodes = (Node::start(redis, "n1", &auth).await, Node::start(redis, "n2", &auth).await);
    eventually("both nodes answer each other", async || {
        for node in [&nodes.0, &nodes.1] {
            let stats = node.get("/stats").await;
            if !stats["partial"].is_null() || node.broker.nodes().await.ok()?.len() < 2 {
                return None;
            }
        }
        Some(())
    })
    .await;
    nodes
}

#[tokio::test]
async fn any_node_answers_for_all() {
    let redis = Redis::start(&[]).await;
    let (one, two) = two_nodes(&redis).await;
    let (alice, _) = one.connect("alice", &["kpi:acme", "kpi:acme:d"]).await;
    let (bob, _) = two.connect("bob", &["kpi:acme", "kpi:acme:d:q"]).await;
    for node in [&one, &two] {
        let list = node.get("/connections").await;
        let ids: Vec<&str> = list["connections"].as_array().unwrap().iter().map(|it| it["socket_id"].as_str().unwrap()).collect();
        assert_eq!(ids, [alice.to_string(), bob.to_string()]);
        assert_eq!((&list["total_count"], &list["partial"]), (&json!(2), &Value::Null));
        assert_eq!(node.get("/connections?node=n2").await["connections"][0]["user_id"], "bob");
        let page = node.get("/connections?limit=1").await;
        assert_eq!(
            node.get(&format!("/connections?limit=1&cursor={}", page["next_cursor"].as_str().unwrap())).await["connections"][0]["user_id"],
            "bob"
        );
        assert_eq!(node.get(&format!("/connections/{bob}")).await["connection"]["subscriptions"][2], "kpi:acme");
        let rooms = node.get("/rooms").await;
        assert_eq!(rooms["rooms"][0], json!({"room": "kpi:acme", "type": "org", "organization_id": "acme", "sessions": 2}));
        assert_eq!(rooms["rooms"].as_array().unwrap().len(), 3);
        let stats = &node.get("/stats").await["stats"];
        assert_eq!(
            (&stats["active_connections"], &stats["connections_by_org"], &stats["active_rooms"]),
            (&json!(2), &json!({"acme": 2}), &json!(3))
        );
        assert_eq!(node.get("/stats?node=n1").await["stats"]["active_connections"], 1);
    }
}

#[tokio::test]
async fn a_disconnect_reaches_the_node_that_has_the_session() {
    let redis = Redis::start(&[]).await;
    let (one, two) = two_nodes(&redis).await;
    let (bob, queue) = two.connect("bob", &["kpi:acme"]).await;
    let (status, body) = one.ask(Method::DELETE, &format!("/connections/{bob}")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(queue.close_asked().unwrap().code, CloseCode::Disconnected);
    let (status, _) = one.ask(Method::DELETE, &format!("/connections/{}", uuid::Uuid::nil())).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_node_that_hangs_or_is_cut_off_is_named() {
    let mut redis = Redis::start(&[]).await;
    let (one, two) = two_nodes(&redis).await;
    one.connect("alice", &["kpi:acme"]).await;
    two.connect("bob", &["kpi:acme"]).await;
    // It keeps its lease but answers nothing any more.
    two.answering.abort();
    let list = one.get("/connections").await;
    assert_eq!((&list["total_count"], &list["partial"]), (&json!(1), &json!([two.info.id])));
    redis.kill();
    eventually("the node notices that it is alone", async || one.broker.nodes().await.is_err().then_some(())).await;
    let alone = tokio::time::timeout(Duration::from_secs(10), one.get("/connections")).await.unwrap();
    assert_eq!((&alone["total_count"], &alone["partial"]), (&json!(1), &json!([two.info.id])));
    assert_eq!(one.get("/connections?node=n1").await["partial"], Value::Null);
}

#[tokio::test]
async fn without_redis_nothing_is_acknowledged_and_the_node_stays_in_service() {
    let mut redis = Redis::start(&[]).await;
    let node = Node::start(&redis, "n1", &auth::Config::development().unwrap()).await;
    let publication = json!({"event": "kpi:update", "target": {"room": "kpi:acme"}, "data": 1});
    assert_eq!(node.send(Method::POST, "/broadcast", publication.clone()).await.0, StatusCode::OK);
    redis.kill();
    eventually("readiness tells it", async || {
        let (status, body) = node.probe("/readyz").await;
        assert_eq!(status, StatusCode::OK);
        (body["status"] == "degraded" && body["reason"].is_string()).then_some(())
    })
    .await;
    for (method, path, body) in [
        (Method::POST, "/broadcast", publication.clone()),
        (Method::POST, "/broadcast", json!({"event": "system:broadcast", "target": {"all_organizations": true}, "data": 1})),
        (Method::GET, "/log?organization_id=acme", Value::Null),
    ] {
        let (status, problem) = node.send(method, path, body).await;
        assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("BROKER_UNAVAILABLE")), "{path}: {problem}");
        assert!(problem["retry_after_ms"].is_u64());
    }
    let (status, answer) = node.send(Method::POST, "/revoke", json!({"organization_id": "other"})).await;
    assert_eq!((status, &answer["pending"]), (StatusCode::ACCEPTED, &json!(true)), "{answer}");
    let batch = json!({"publications": [publication, publication]});
    let (_, batch) = node.send(Method::POST, "/publish/batch", batch).await;
    assert_eq!((&batch["accepted"], &batch["results"][1]["code"]), (&json!(0), &json!("BROKER_UNAVAILABLE")));
    redis.restart().await;
    eventually("publishing works again", async || {
        (node.send(Method::POST, "/broadcast", publication.clone()).await.0 == StatusCode::OK).then_some(())
    })
    .await;
    eventually("readiness recovers", async || (node.probe("/readyz").await.1["status"] == "ready").then_some(())).await;
}
