//! Requests to the REST API that are malformed, too large, or ask for what is not theirs: a status and a code, every time.

use roomcast::auth::Scope;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Client, within};
use super::gateway::{Gateway, service_token, token};
use super::stage::Stage;

/// Sends the bytes and reads until the node hangs up.
async fn whole_answer(gateway: &Gateway, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    // The answer to a body that is too long may come before all of it was sent.
    let _ = within("sending", socket.write_all(request)).await;
    let mut answer = Vec::new();
    let _ = within("the answer", socket.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends the bytes and reads the whole answer: status, content type, body.
pub async fn exchange(gateway: &Gateway, request: &[u8]) -> (u16, String, String) {
    let answer = whole_answer(gateway, request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    (status, kind.to_owned(), body.to_owned())
}

pub fn request(method: &str, path: &str, lines: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}")
}

pub fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn get(path: &str) -> String {
    let token = service_token("acme", &[Scope::Read, Scope::Connections, Scope::Publish, Scope::Revoke]);
    request("GET", path, &bearer(&token), "")
}

pub fn post(path: &str, body: &str) -> String {
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
    let deep_item = format!(r#"{{"publications":[{{"event":"kpi:update","data":{}{}}}]}}"#, "[".repeat(62), "]".repeat(62));
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
        (post("/api/ws/broadcast", "\u{feff}{}"), 400, "INVALID_MESSAGE", "a byte order mark"),
        (post("/api/ws/broadcast", r#"{"event":"kpi:update","data":NaN}"#), 400, "INVALID_MESSAGE", "no number"),
        (post("/api/ws/broadcast", r#"{"event":"kpi:update","data":"\ud800"}"#), 400, "INVALID_MESSAGE", "half a surrogate pair"),
        (post("/api/ws/broadcast", r#"{"event":"kpi:update","event":"kpi:alert","data":1}"#), 400, "INVALID_MESSAGE", "two events"),
        (
            post("/api/ws/broadcast", r#"{"event":"kpi:update","data":1}{"event":"kpi:update","data":2}"#),
            400,
            "INVALID_MESSAGE",
            "two bodies",
        ),
        (post("/api/ws/broadcast", &"{\"a\":".repeat(100_000)), 400, "INVALID_MESSAGE", "objects without end"),
        (post("/api/ws/publish/batch", &deep_item), 400, "INVALID_MESSAGE", "65 levels in an item of a batch"),
        (post("/api/ws/publish/batch", r#"{"publications":{}}"#), 400, "INVALID_MESSAGE", "a batch that is no list"),
        (post("/api/ws/revoke", r#"{"user_id":["alice"]}"#), 400, "INVALID_MESSAGE", "a list of users"),
        (post("/api/ws/revoke", r#"{"user_id":"a:b"}"#), 400, "INVALID_ROOM", "a colon in a user"),
        (broadcast(&json!({"event": 5})), 400, "INVALID_MESSAGE", "an event that is a number"),
        (broadcast(&json!({"event": null})), 400, "INVALID_MESSAGE", "an event that is null"),
        (broadcast(&json!({"target": "acme"})), 400, "INVALID_MESSAGE", "a target that is text"),
        (broadcast(&json!({"target": ["acme"]})), 400, "INVALID_MESSAGE", "a target that is a list"),
        (broadcast(&json!({"target": {"organization_id": 7}})), 400, "INVALID_MESSAGE", "an org that is a number"),
        (broadcast(&json!({"target": {"organization_id": "acme", "sessions": []}})), 400, "INVALID_MESSAGE", "a misspelt target"),
        (broadcast(&json!({"requires_ack": "yes"})), 400, "INVALID_MESSAGE", "a flag that is text"),
        (broadcast(&json!({"ttl_ms": 1e300})), 400, "INVALID_MESSAGE", "a time to live beyond time"),
        (broadcast(&json!({"headers": {"x": "x".repeat(5_000)}})), 400, "INVALID_MESSAGE", "headers beyond 4 KiB"),
        (broadcast(&json!({"idempotency_key": "a\r\nb"})), 400, "INVALID_MESSAGE", "a line end in a key"),
        (
            post("/api/ws/broadcast", "{}").replace("application/json", "application/x-www-form-urlencoded"),
            415,
            "INVALID_MESSAGE",
            "a form, which pages may send anywhere",
        ),
        (post("/api/ws/broadcast", "{}").replace("Content-Type: application/json\r\n", ""), 415, "INVALID_MESSAGE", "no content type"),
        (
            post("/api/ws/broadcast", "\u{1f}\u{8b}\u{8}").replace("Content-Type", "Content-Encoding: gzip\r\nContent-Type"),
            400,
            "INVALID_MESSAGE",
            "a compressed body, which nobody unpacks",
        ),
        (request("GET", "/api/ws/stats", "X-API-Key: a\r\nX-API-Key: b\r\n", ""), 401, "AUTH_FAILED", "two keys"),
        (request("GET", "/api/ws/stats", &format!("{0}{0}", bearer(&reader)), ""), 401, "AUTH_FAILED", "two credentials, be they the same"),
        (get(&format!("/api/ws/log?since={}", "f".repeat(8_000))), 400, "INVALID_MESSAGE", "an endless position"),
        (get("/api/ws/connections?limit=1&limit=2"), 400, "INVALID_MESSAGE", "a parameter twice"),
        (get("/api/ws/log?room=%ff"), 400, "INVALID_ROOM", "a parameter that is not UTF-8"),
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

/// Path and what the answer's status begins with. None of them may lead to what is behind the credentials, nor to the internal port.
fn crooked_paths() -> Vec<(String, u16, &'static str)> {
    let path = |path: &str, reason: &'static str| (path.to_owned(), 404, reason);
    vec![
        path("/api/ws/../ws/stats", "dots that a file system would resolve"),
        path("/api/ws/./stats", "a dot"),
        path("/api/ws/%2e%2e/ws/stats", "dots in percent signs"),
        path("/api/ws/%252e%252e/stats", "dots in percent signs twice over"),
        path("/api/ws/..%2fstats", "a slash in percent signs"),
        path("/api/ws\\stats", "a slash of another system"),
        path("//api/ws/stats", "two slashes to begin with"),
        path("/api//ws/stats", "two slashes in between"),
        path("/api/ws//stats", "two slashes before the end"),
        path("/api/ws/stats/", "a slash at the end"),
        path("/api/ws/stats%00", "a zero byte in percent signs"),
        path("/api/ws/stats%0d%0aX-Injected:%20x", "a line end in percent signs"),
        path("/api/ws/stats;jsessionid=1", "parameters of a path"),
        path("/api/ws/%73tats", "a letter in percent signs"),
        path("/API/WS/STATS", "capitals"),
        path("/api/ws/st\u{e4}ts", "letters that are not ASCII"),
        path("/api/ws/.", "a dot alone"),
        path("/metrics", "the metrics of the internal port"),
        path("/readyz", "a probe of the internal port"),
        path("/api/ws/../../metrics", "the metrics by dots"),
        path("/console/../api/ws/stats", "out of the page's folder"),
        path("/console/%2e%2e/%2e%2e/etc/passwd", "out of the page's folder in percent signs"),
        path("/console/..%2f..%2fCargo.toml", "out of the page's folder into the source"),
        path("/console//etc/passwd", "an absolute path"),
        path(&format!("/api/ws/{}", "a/".repeat(4_000)), "four thousand folders"),
        path(&format!("/api/ws/{}", "%41".repeat(3_000)), "nine thousand bytes of percent signs"),
        (format!("/api/ws/{}", "x".repeat(20_000)), 431, "an endless path"),
        ("/api/ws/st\0ats".to_owned(), 400, "a zero byte"),
        ("/api/ws/stats x".to_owned(), 400, "a space"),
        ("http://evil.example/api/ws/stats".to_owned(), 401, "another host in the request line, which changes nothing"),
        ("evil.example:443".to_owned(), 404, "no path at all"),
    ]
}

#[tokio::test]
async fn crooked_paths_lead_nowhere() {
    let stage = Stage::start(&[]).await;
    let mut wrong = Vec::new();
    for (path, status, reason) in crooked_paths() {
        let answer = whole_answer(&stage.gateway, request("GET", &path, "", "").as_bytes()).await;
        if !answer.starts_with(&format!("HTTP/1.1 {status} ")) || answer.to_ascii_lowercase().contains("x-injected") {
            wrong.push(format!("{reason}: expected {status}, got {answer:.300}"));
        }
    }
    for method in ["TRACE", "CONNECT", "PUT", "PATCH", "BREW", "get", "G\0T", ""] {
        let answer = whole_answer(&stage.gateway, request(method, "/api/ws/stats", "X-Secret: echo\r\n", "").as_bytes()).await;
        if !["HTTP/1.1 400", "HTTP/1.1 404", "HTTP/1.1 405"].iter().any(|status| answer.starts_with(status)) || answer.contains("echo") {
            wrong.push(format!("{method}: {answer:.300}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    stage.end().await;
}

/// A request line and headers, behind which a second request stands that a proxy would not have seen.
fn smuggling() -> Vec<(&'static str, &'static str)> {
    vec![
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "a length and chunks"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "chunks and a length"),
        ("Transfer-Encoding: chunked\r\n", "chunks alone"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "two lengths"),
        ("Content-Length: 5, 6\r\n", "two lengths in one line"),
        ("Content-Length: +5\r\n", "a length with a sign"),
        ("Content-Length: 0x5\r\n", "a length in another notation"),
        ("Content-Length: 5 \r\nContent-Length: 05\r\nX: y\r\nContent-Length: 7\r\n", "three lengths"),
        ("Content-Length: 99999999999999999999\r\n", "a length beyond counting"),
        ("Transfer-Encoding: xchunked\r\n", "an encoding that is none"),
        ("Transfer-Encoding: identity, chunked, identity\r\n", "chunks in the middle"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "two encodings"),
        ("Transfer-Encoding : chunked\r\n", "a space before the colon"),
        ("Transfer-Encoding:\x0bchunked\r\n", "a control character before the value"),
        ("Transfer_Encoding: chunked\r\nTransfer-Encoding: \r\n chunked\r\n", "a folded line"),
    ]
}

#[tokio::test]
async fn a_second_request_cannot_be_smuggled_behind_a_first_one() {
    let stage = Stage::start(&[]).await;
    let token = bearer(&service_token("acme", &[Scope::Publish]));
    let smuggled = "GET /api/ws/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (lines, reason) in smuggling() {
        // Read by its chunks the first body ends before the second request, read by its length in the midst of it.
        let input = format!(
            "POST /api/ws/broadcast HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{token}{lines}\r\n0\r\n\r\n{smuggled}"
        );
        let answer = whole_answer(&stage.gateway, input.as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{reason}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 400") && !answer.contains("uptime_seconds"), "{reason}: {answer}");
    }
    stage.end().await;
}

#[tokio::test]
async fn slow_heads_and_dripping_bodies_are_cut_off() {
    let limits = [
        ("ROOMCAST_SERVER__HEADER_TIMEOUT_MS", "800"),
        ("ROOMCAST_API__REQUEST_TIMEOUT_MS", "1500"),
        ("ROOMCAST_API__SCATTER_TIMEOUT_MS", "500"),
    ];
    let stage = Stage::start(&limits).await;
    for head in ["", "GET", "GET /api/ws/health HTTP/1.1\r\n", "GET /api/ws/health HTTP/1.1\r\nHost: a\r\nX-Slow: y"] {
        let answer = whole_answer(&stage.gateway, head.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{head:?}: {answer}");
    }
    let head = post("/api/ws/broadcast", &" ".repeat(10_000));
    let (head, _) = head.split_once("\r\n\r\n").unwrap();
    let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    writer.write_all(format!("{head}\r\n\r\n").as_bytes()).await.unwrap();
    // One byte after the other keeps the connection busy for as long as it is let.
    let drip = async {
        while writer.write_u8(b' ').await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        _ = within("the dripping body is cut", reader.read_to_end(&mut answer)) => {}
        () = drip => {}
    }
    assert!(answer.starts_with(b"HTTP/1.1 504"), "{}", String::from_utf8_lossy(&answer));
    stage.end().await;
}

#[tokio::test]
async fn no_answer_may_be_kept_framed_or_taken_for_a_page_and_other_origins_read_nothing() {
    let stage = Stage::start(&[]).await;
    let origin = "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n";
    for input in [
        get("/api/ws/stats"),
        request("GET", "/api/ws/stats", "", ""),
        request("GET", "/api/ws/%3Cscript%3Ealert(1)%3C/script%3E", "", ""),
        request("GET", "/api/ws/health", origin, ""),
        request("OPTIONS", "/api/ws/broadcast", origin, ""),
    ] {
        let answer = whole_answer(&stage.gateway, input.as_bytes()).await.to_ascii_lowercase();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        for header in ["x-content-type-options: nosniff", "cache-control: no-store", "frame-ancestors 'none'"] {
            assert!(head.contains(header), "{header} is missing: {head}");
        }
        assert!(!head.contains("access-control-allow") && !body.contains("<script>"), "{answer}");
    }
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
