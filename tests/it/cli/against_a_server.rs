//! The commands that talk to a node, against a scripted server: what they send, and how they take what a node may answer.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use fastwebsockets::{FragmentCollector, Frame, Payload, upgrade};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn roomcast(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
    command.args(args).env_clear().env("ROOMCAST_TOKEN", "tok").kill_on_drop(true).output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn health_says_by_its_exit_code_what_the_probe_says() {
    let ready = serve(Router::new().route("/readyz", get(|| async { "ready\n" }))).await;
    let output = roomcast(&["health", "--url", &ready]).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "ready\n".to_owned()));
    let draining = serve(Router::new().route("/readyz", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "draining") }))).await;
    let output = roomcast(&["health", "--url", &draining]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("draining"));
}

#[tokio::test]
async fn health_finds_the_node_by_its_configuration() {
    let ready = serve(Router::new().route("/readyz", get(|| async { "ready" }))).await;
    let port = ready.rsplit(':').next().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_roomcast"))
        .arg("health")
        .env_clear()
        .env("ROOMCAST_INTERNAL__LISTEN", format!("0.0.0.0:{port}"))
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[tokio::test]
async fn publish_posts_the_data_untouched_and_prints_the_answer() {
    let answer = |headers: HeaderMap, body: String| async move {
        assert_eq!(headers["authorization"], "Bearer tok");
        Json(json!({ "success": true, "sent": body })).into_response()
    };
    let server = serve(Router::new().route("/api/ws/broadcast", post(answer))).await;
    let output = roomcast(&["publish", "kpi:acme", "kpi:update", "{\"n\": 1.50}", "--url", &server, "--ephemeral"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sent = answer["sent"].as_str().unwrap();
    assert!(sent.contains("\"data\":{\"n\": 1.50}"), "{sent}");
    let sent: Value = serde_json::from_str(sent).unwrap();
    assert_eq!((&sent["target"]["room"], &sent["log"], &sent["event"]), (&json!("kpi:acme"), &json!(false), &json!("kpi:update")));
    let output = roomcast(&["publish", "kpi:acme", "kpi:update", "bare words", "--url", &server]).await;
    assert!(!output.status.success() && text(&output.stderr).contains("not JSON"));
}

#[tokio::test]
async fn publish_fails_with_what_the_server_says() {
    let refuse = || async { (StatusCode::SERVICE_UNAVAILABLE, "{\"code\":\"BROKER_UNAVAILABLE\"}") };
    let server = serve(Router::new().route("/api/ws/broadcast", post(refuse))).await;
    let output = roomcast(&["publish", "kpi:acme", "kpi:update", "1", "--url", &server]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("BROKER_UNAVAILABLE"));
}

type Socket = FragmentCollector<TokioIo<Upgraded>>;

/// Hands every WebSocket to the test.
async fn sockets() -> (String, mpsc::Receiver<Socket>) {
    let (sender, receiver) = mpsc::channel(4);
    let router = Router::new().route("/ws", get(accept)).with_state(Arc::new(sender));
    (serve(router).await, receiver)
}

async fn accept(State(sender): State<Arc<mpsc::Sender<Socket>>>, mut request: Request) -> Response {
    let (response, socket) = upgrade::upgrade(&mut request).unwrap();
    tokio::spawn(async move { sender.send(FragmentCollector::new(socket.await.unwrap())).await });
    response.into_response()
}

/// The next connection; the deadline is far beyond any wait of the command.
async fn next(accepted: &mut mpsc::Receiver<Socket>) -> Socket {
    tokio::time::timeout(Duration::from_secs(20), accepted.recv()).await.expect("the command did not connect").unwrap()
}

async fn receive(socket: &mut Socket) -> Value {
    serde_json::from_slice(&socket.read_frame().await.unwrap().payload).unwrap()
}

async fn send(socket: &mut Socket, message: Value) {
    socket.write_frame(Frame::text(Payload::Owned(message.to_string().into_bytes()))).await.unwrap();
}

fn authenticated() -> Value {
    let data = json!({ "session_id": "s", "user_id": "alice", "organization_id": "acme", "rooms": ["kpi:acme"], "position": "1-0-0" });
    json!({ "event": "authenticated", "id": 1, "data": data })
}

fn publication(id: &str) -> Value {
    json!({ "event": "kpi:update", "room": "kpi:acme", "id": id, "ts": "2026-01-02T03:04:05.678Z", "data": { "id": id } })
}

#[tokio::test]
async fn tail_resumes_where_it_was_and_shows_gaps() {
    let (server, mut accepted) = sockets().await;
    let tail = tokio::spawn(async move { roomcast(&["tail", "kpi:acme", "--url", &server, "--count", "2"]).await });

    let mut socket = next(&mut accepted).await;
    let command = receive(&mut socket).await;
    assert_eq!(command, json!({ "event": "authenticate", "id": 1, "data": { "token": "tok", "rooms": ["kpi:acme"] } }));
    send(&mut socket, authenticated()).await;
    send(&mut socket, publication("1-1-1")).await;
    socket.write_frame(Frame::close(4_000, br#"{"retry_after_ms":1}"#)).await.unwrap();

    let mut socket = next(&mut accepted).await;
    assert_eq!(receive(&mut socket).await["data"]["since"], "1-1-1");
    send(&mut socket, authenticated()).await;
    send(&mut socket, json!({ "event": "gap", "data": { "from": "1-1-1", "to": "1-4-4", "reason": "trimmed" } })).await;
    send(&mut socket, publication("1-5-5")).await;

    let output = tail.await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    let expected = [
        "connected as alice of acme: kpi:acme",
        "03:04:05.678 kpi:acme kpi:update {\"id\":\"1-1-1\"}",
        "connected as alice of acme: kpi:acme",
        "GAP (trimmed) after 1-1-1 up to 1-4-4",
        "03:04:05.678 kpi:acme kpi:update {\"id\":\"1-5-5\"}",
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn tail_gives_up_at_once_when_its_token_is_refused() {
    let (server, mut accepted) = sockets().await;
    let tail = tokio::spawn(async move { roomcast(&["tail", "kpi:acme", "--url", &server, "--json"]).await });
    let mut socket = next(&mut accepted).await;
    receive(&mut socket).await;
    send(&mut socket, json!({ "event": "error", "id": 1, "data": { "code": "AUTH_FAILED", "message": "the token expired" } })).await;
    let output = tail.await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("AUTH_FAILED: the token expired"), "{}", text(&output.stderr));
}

/// Reads one command, and answers `authenticate`; the rest of the script is the test's.
async fn welcomed(accepted: &mut mpsc::Receiver<Socket>) -> (Socket, Value) {
    let mut socket = next(accepted).await;
    let command = receive(&mut socket).await;
    send(&mut socket, authenticated()).await;
    (socket, command)
}

fn own_publication(command: &Value, id: &str) -> Value {
    json!({ "event": "system:notification", "room": command["data"]["room"], "id": id, "data": command["data"]["data"] })
}

#[tokio::test]
async fn selftest_fails_when_what_was_missed_comes_with_a_gap() {
    let (server, mut accepted) = sockets().await;
    let selftest = tokio::spawn(async move { roomcast(&["selftest", "--url", &server]).await });
    let (mut socket, _) = welcomed(&mut accepted).await;
    let subscribe = receive(&mut socket).await;
    assert_eq!(subscribe["data"], json!({ "rooms": ["system:acme:selftest"] }));
    send(&mut socket, json!({ "event": "subscribed", "id": subscribe["id"], "data": {} })).await;
    let publish = receive(&mut socket).await;
    send(&mut socket, own_publication(&publish, "1-1-1")).await;
    send(&mut socket, json!({ "event": "published", "id": publish["id"], "data": { "id": "1-1-1" } })).await;

    let (mut socket, _) = welcomed(&mut accepted).await;
    let publish = receive(&mut socket).await;
    send(&mut socket, json!({ "event": "published", "id": publish["id"], "data": { "id": "1-2-2" } })).await;

    let (mut socket, resume) = welcomed(&mut accepted).await;
    assert_eq!((&resume["data"]["since"], &resume["data"]["rooms"]), (&json!("1-1-1"), &json!(["system:acme:selftest"])));
    send(&mut socket, json!({ "event": "gap", "data": { "from": "1-1-1", "to": "1-2-2", "reason": "trimmed" } })).await;
    let output = selftest.await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("ok  publish and receive it"), "{}", text(&output.stdout));
    let errors = text(&output.stderr);
    assert!(errors.contains("FAILED resume") && errors.contains("the server told a gap (trimmed)"), "{errors}");
}

#[tokio::test]
async fn selftest_says_which_step_took_too_long() {
    let (server, mut accepted) = sockets().await;
    let selftest = tokio::spawn(async move { roomcast(&["selftest", "--url", &server, "--timeout-ms", "300"]).await });
    let socket = next(&mut accepted).await;
    let output = selftest.await.unwrap();
    drop(socket);
    assert_eq!(output.status.code(), Some(1));
    let errors = text(&output.stderr);
    assert!(errors.contains("FAILED connect and authenticate") && errors.contains("longer than 300 ms"), "{errors}");
}
