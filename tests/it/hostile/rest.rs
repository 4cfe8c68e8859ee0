//! Requests to the REST API that are malformed, too large, or ask for what is not theirs: a status and a code, every time.

use roomcast::auth::Scope;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Client, within};
use super::gateway::{Gateway, service_token, token};
use super::stage::Stage;

/// Sends the bytes and reads the whole answer: status, content type, body.
async fn exchange(gateway: &Gateway, request: &[u8]) -> (u16, String, String) {
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    // The answer to a body that is too long may come before all of it was sent.
    let _ = within("sending", socket.write_all(request)).await;
    let mut answer = Vec::new();
    let _ = within("the answer", socket.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    (status, kind.to_owned(), body.to_owned())
}

fn request(method: &str, path: &str, lines: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}")
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn get(path: &str) -> String {
    let token = service_token("acme", &[Scope::Read, Scope::Connections, Scope::Publish, Scope::Revoke]);
    request("GET", path, &bearer(&token), "")
}

fn post(path: &str, body: &str) -> String {
    let token = service_token("acme", &[Scope::Read, Scope::Connections, Scope::Publish, Scope::Revoke]);
    request("POST", path, &format!("{}Content-Type: application/json\r\n", bearer(&token)), body)
}

fn broadcast(with: &Value) -> String {
    let mut body = json!({"event": "kpi:update", "target": {"organization_id": "acme"}, "data": 1});
    body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    post("/api/ws/broadcast", &body.to_string())
}

/// Input, status, code, reason.
fn refused() -> Vec<(String, u16, &'static str, &'static str)> {
    let deep = format!(r#"{{"event":"kpi:update","data":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    let (user, reader) = (token("alice", "acme", None), service_token("acme", &[Scope::Read]));
    let many = json!({"publications": vec![json!({"event": "kpi:update", "data": 1}); 1_001]}).to_string();
    let json = "Content-Type: application/json\r\n";
    let good = json!({"event": "kpi:update", "data": 1}).to_string();
    vec![
        (request("GET", "/api/ws/stats", "", ""), 401, "AUTH_FAILED", "no credentials"),
        (request("GET", "/api/ws/stats", "Authorization: Bearer x\r\n", ""), 401, "AUTH_FAILED", "no token"),
        (request("GET", "/api/ws/stats", "Authorization: Basic eDp5\r\n", ""), 401, "AUTH_FAILED", "another scheme"),
        (request("GET", "/api/ws/stats", "X-API-Key: guess\r\n", ""), 401, "AUTH_FAILED", "a key that is not known"),
        (request("GET", &format!("/api/ws/stats?token={reader}"), "", ""), 401, "AUTH_FAILED", "a token in the address"),
        (request("GET", "/api/ws/stats", &bearer(&user), ""), 403, "UNAUTHORIZED", "a user's token has no scope"),
        (request("POST", "/api/ws/broadcast", &(bearer(&reader) + json), &good), 403, "UNAUTHORIZED", "a scope that is for something else"),
        (broadcast(&json!({"target": {"organization_id": "other"}})), 403, "UNAUTHORIZED", "another org"),
        (broadcast(&json!({"target": {"room": "kpi:other"}})), 403, "UNAUTHORIZED", "another org by its room"),
        (get("/api/ws/log?organization_id=other"), 403, "UNAUTHORIZED", "another org's log"),
        (get("/api/ws/connections?organization_id=other"), 403, "UNAUTHORIZED", "another org's connections"),
        (post("/api/ws/revoke", r#"{"organization_id":"other"}"#), 403, "UNAUTHORIZED", "another org's credentials"),
        (get("/api/ws/nothing"), 404, "INVALID_MESSAGE", "no such path"),
        (get("/api/ws/connections/00000000-0000-0000-0000-000000000000"), 404, "INVALID_MESSAGE", "nobody's session"),
        (get("/api/ws/connections/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), 400, "INVALID_MESSAGE", "a path into files"),
        (get("/api/ws/connections/' OR 1=1".replace(' ', "%20").as_str()), 400, "INVALID_MESSAGE", "a query as an id"),
        (post("/api/ws/stats", "{}"), 405, "INVALID_MESSAGE", "another method"),
        (request("POST", "/api/ws/broadcast", &bearer(&reader.clone()), &good), 403, "UNAUTHORIZED", "rights are looked at before bodies"),
        (post("/api/ws/broadcast", "").replace("application/json", "text/plain"), 415, "INVALID_MESSAGE", "another content type"),
        (post("/api/ws/broadcast", ""), 400, "INVALID_MESSAGE", "no body"),
        (post("/api/ws/broadcast", "{"), 400, "INVALID_MESSAGE", "half a body"),
        (post("/api/ws/broadcast", r#"["kpi:update",1]"#), 400, "INVALID_MESSAGE", "a list"),
        (post("/api/ws/broadcast", &deep), 400, "INVALID_MESSAGE", "65 levels"),
        (post("/api/ws/broadcast", &"[".repeat(100_000)), 400, "INVALID_MESSAGE", "brackets without end"),
        (post("/api/ws/broadcast", &format!("{{\"data\":\"{}\"}}", "x".repeat(1 << 20))), 413, "MESSAGE_TOO_LARGE", "beyond 1 MiB"),
        (broadcast(&json!({"prioritty": "low"})), 400, "INVALID_MESSAGE", "a misspelt field"),
        (broadcast(&json!({"event": "nope"})), 400, "INVALID_MESSAGE", "an event that is not known"),
        (broadcast(&json!({"event": "kpi:update\r\nX: y"})), 400, "INVALID_MESSAGE", "a line end in an event"),
        (broadcast(&json!({"target": {"room": "kpi:acme:*"}})), 400, "INVALID_ROOM", "a pattern as a target"),
        (
            broadcast(&json!({"target": {"organization_id": "acme", "department_id": "a:b"}})),
            400,
            "INVALID_ROOM",
            "a colon in a department",
        ),
        (broadcast(&json!({"target": {"organization_id": "{acme}"}})), 400, "INVALID_ROOM", "a hash tag of Redis"),
        (broadcast(&json!({"target": {"session_ids": vec!["x"; 3]}})), 400, "INVALID_MESSAGE", "session ids that are none"),
        (broadcast(&json!({"idempotency_key": "x".repeat(129)})), 400, "INVALID_MESSAGE", "a key of 129 bytes"),
        (broadcast(&json!({"ttl_ms": -1})), 400, "INVALID_MESSAGE", "a negative time to live"),
        (post("/api/ws/publish/batch", &many), 400, "INVALID_MESSAGE", "1,001 publications at once"),
        (get("/api/ws/connections?limit=0"), 400, "INVALID_MESSAGE", "a page of nothing"),
        (get("/api/ws/connections?limit=1000000000"), 400, "INVALID_MESSAGE", "an endless page"),
        (get("/api/ws/connections?limit=-1"), 400, "INVALID_MESSAGE", "a negative page"),
        (get("/api/ws/connections?cursor=%00"), 400, "INVALID_MESSAGE", "a cursor of one's own making"),
        (get("/api/ws/log?since=yesterday"), 400, "INVALID_MESSAGE", "no position"),
        (get("/api/ws/log?room=kpi:*"), 400, "INVALID_ROOM", "all orgs"),
        (get("/api/ws/log?sinse=1"), 400, "INVALID_MESSAGE", "a misspelt parameter"),
        (get("/api/ws/rooms?organization_id=%0d%0aX"), 400, "INVALID_ROOM", "a line end in an org"),
        (post("/api/ws/revoke", "{}"), 400, "INVALID_MESSAGE", "nothing to revoke"),
        (
            post("/api/ws/revoke", r#"{"user_id":"a","session_id":"00000000-0000-0000-0000-000000000000"}"#),
            400,
            "INVALID_MESSAGE",
            "two things at once",
        ),
    ]
}

#[tokio::test]
async fn a_bad_request_gets_its_status_and_code_as_a_problem() {
    let stage = Stage::start(&[]).await;
    let mut wrong = Vec::new();
    for (input, status, code, reason) in refused() {
        let (got, kind, body) = exchange(&stage.gateway, input.as_bytes()).await;
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        let told = problem["status"] == status && problem["code"] == code && body.len() < 1_500;
        if got != status || kind != "application/problem+json" || !told {
            wrong.push(format!("{reason}: expected {status} {code}, got {got} {kind} {body:.300}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    stage.end().await;
}

#[tokio::test]
async fn bodies_that_do_not_end_are_cut_off() {
    let limits = [("ROOMCAST_API__REQUEST_TIMEOUT_MS", "1500"), ("ROOMCAST_API__SCATTER_TIMEOUT_MS", "500")];
    let stage = Stage::start(&limits).await;
    let whole = post("/api/ws/broadcast", r#"{"event":"kpi:update"}"#);
    let cut = whole.replace("Content-Length: 22", "Content-Length: 2200");
    assert_eq!(exchange(&stage.gateway, cut.as_bytes()).await.0, 504, "a body that stops");
    let chunked = whole.replace("Content-Length: 22", "Transfer-Encoding: chunked");
    let (head, _) = chunked.split_once("\r\n\r\n").unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, " ".repeat(1 << 16));
    assert_eq!(exchange(&stage.gateway, format!("{head}\r\n\r\n{}", chunk.repeat(20)).as_bytes()).await.0, 413, "chunk after chunk");
    assert_eq!(exchange(&stage.gateway, format!("{head}\r\n\r\nfffffffffffffffff\r\n").as_bytes()).await.0, 400, "a chunk beyond counting");
    stage.end().await;
}

#[tokio::test]
async fn a_revoked_user_loses_the_session_and_the_token_and_others_keep_theirs() {
    let stage = Stage::start(&[]).await;
    let stolen = token("alice", "acme", None);
    let mut alice = Client::session(&stage.gateway, &stolen).await;
    let mut bob = Client::session(&stage.gateway, &token("bob", "acme", None)).await;
    let revoke = post("/api/ws/revoke", r#"{"organization_id":"acme","user_id":"alice"}"#);
    let (status, _, body) = exchange(&stage.gateway, revoke.as_bytes()).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(alice.closed().await, (4502, r#"{"code":"AUTH_FAILED"}"#.to_owned()));
    let mut again = Client::open(&stage.gateway, "/ws", &bearer(&stolen)).await;
    assert_eq!(again.message().await["data"]["code"], "AUTH_FAILED");
    assert_eq!(again.closed().await.0, 4502);
    bob.assert_alive("after another was revoked").await;
    stage.end().await;
}
