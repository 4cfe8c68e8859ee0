//! Secrets and tokens never come out of a node again: not in its log at the loudest level, not in answers and closes, not in metrics, probes,
//! traces or faults of the configuration.

use std::io::{Read, Write};
use std::process::{Command, Output};
use std::sync::Arc;

use parking_lot::Mutex;
use roomcast::auth::Scope;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{close, request as handshake, text, within};
use super::gateway::{Gateway, SECRET, service_token, token};
use super::rest::{bearer, request};
use super::tokens::forged;
use crate::support::eventually;
use crate::support::redis::Redis;

const API_KEY: &str = "api-key-5e8f0c9b7d";
const REDIS_PASSWORD: &str = "redis-password-41c7aa";
const OTLP_KEY: &str = "otlp-key-93bd5e";
const FURTHER_SECRET: &str = "the-further-secret-of-an-HS512-key-d81b";

/// What must not be seen, by its name.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn configured() -> Self {
        let named =
            [("auth.secret", SECRET), ("API key", API_KEY), ("password", REDIS_PASSWORD), ("OTLP", OTLP_KEY), ("key", FURTHER_SECRET)];
        Self(named.map(|(name, secret)| (name.to_owned(), secret.to_owned())).to_vec())
    }

    /// A token's signature is what makes it worth stealing.
    fn token(&mut self, name: &str, token: String) -> String {
        self.0.push((name.to_owned(), token.rsplit('.').next().unwrap().to_owned()));
        token
    }

    fn assert_absent(&self, output: &str, place: &str) {
        for (name, secret) in &self.0 {
            if let Some(at) = output.find(secret.as_str()) {
                let around: String = output[..at].chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
                panic!("{place} shows {name}, behind {around:?}");
            }
        }
    }
}

/// A collector that keeps what it is sent, without the line that carries its own key.
fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::<Mutex<Vec<u8>>>::default();
    let heard = Arc::clone(&kept);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(mut socket) = socket else { return };
            let heard = Arc::clone(&heard);
            std::thread::spawn(move || collect(&mut socket, &heard));
        }
    });
    (address, kept)
}

fn collect(socket: &mut std::net::TcpStream, heard: &Mutex<Vec<u8>>) {
    let (mut request, mut chunk) = (Vec::new(), [0; 16 << 10]);
    while let Ok(count @ 1..) = socket.read(&mut chunk) {
        request.extend_from_slice(&chunk[..count]);
        let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&request[..end]).into_owned();
        let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if request.len() < end + 4 + length.unwrap_or(0) {
            continue;
        }
        let mut heard = heard.lock();
        heard.extend(head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("x-key")).flat_map(str::bytes));
        heard.extend_from_slice(&request[end..]);
        request.clear();
        if socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// Sends everything at once and reads until the node hangs up.
async fn talk(address: &str, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let _ = socket.write_all(bytes).await;
    let mut heard = Vec::new();
    let _ = within("the node hangs up", socket.read_to_end(&mut heard)).await;
    String::from_utf8_lossy(&heard).into_owned()
}

/// A handshake with these lines, some commands, a close.
fn session(path: &str, lines: &str, commands: &[serde_json::Value]) -> Vec<u8> {
    let commands = commands.iter().flat_map(|command| text(&command.to_string()));
    handshake(path, lines).into_bytes().into_iter().chain(commands).chain(close(1000, b"")).collect()
}

fn authenticate(token: &str) -> serde_json::Value {
    json!({"event": "authenticate", "data": {"token": token, "rooms": ["kpi:acme"]}})
}

/// Every way in, for a token that may be good or bad.
fn ways_in(token: &str) -> Vec<Vec<u8>> {
    let publish = json!({"event": "publish", "data": {"event": "kpi:update", "room": "kpi:acme", "data": 1}});
    vec![
        session("/ws", &bearer(token), std::slice::from_ref(&publish)),
        session("/ws", &format!("Sec-WebSocket-Protocol: roomcast.v1, bearer.{token}\r\n"), &[]),
        session(&format!("/ws?token={token}"), "", &[]),
        session("/ws", &format!("Cookie: session={token}\r\nOrigin: https://app.example.com\r\n"), &[]),
        session("/ws", "", &[authenticate(token), publish]),
        session("/ws", "", &[json!({"event": "authenticate", "data": {"token": [token]}})]),
        session("/ws", "", &[json!({"event": token, "data": {"token": token}})]),
        session("/ws", &format!("Authorization: Bearer {token} {token}\r\n"), &[]),
        session("/ws", &format!("Origin: https://evil.example\r\n{}", bearer(token)), &[]),
        session(&format!("/nowhere?token={token}"), &bearer(token), &[]),
        // Streams and polls that end by themselves, because what they wish for is not granted.
        request("GET", "/sse?rooms=kpi:other", &bearer(token), "").into_bytes(),
        request("GET", &format!("/sse?rooms=kpi:other&token={token}"), "", "").into_bytes(),
        request("GET", &format!("/sse?rooms={token}&since={token}"), &bearer(token), "").into_bytes(),
        request("POST", "/poll", "", &authenticate(token).to_string()).into_bytes(),
        request("POST", "/poll", "", &format!("[{token}]")).into_bytes(),
        request("GET", "/poll", &format!("Cookie: session={token}\r\nOrigin: https://app.example.com\r\n"), "").into_bytes(),
        request("POST", "/sse", &format!("X-Roomcast-Session: {token}\r\n"), "{}").into_bytes(),
        request("GET", "/api/ws/stats", &bearer(token), "").into_bytes(),
        request("GET", &format!("/api/ws/stats?token={token}"), "", "").into_bytes(),
        request("POST", "/api/ws/broadcast", &format!("{}Content-Type: application/json\r\n", bearer(token)), "{").into_bytes(),
    ]
}

/// A session over HTTP that is used in every way: its name is a secret too.
async fn over_http(address: &str, token: &str, secrets: &mut Secrets) {
    let begun = talk(address, request("POST", "/poll", "", &authenticate(token).to_string()).as_bytes()).await;
    let name = begun.lines().find_map(|line| line.strip_prefix("x-roomcast-session: ")).unwrap().to_owned();
    let named = format!("X-Roomcast-Session: {name}\r\n");
    secrets.0.push(("the name of a session over HTTP".to_owned(), name[16..].to_owned()));
    for (method, lines, body) in [
        ("POST", format!("{named}X-Roomcast-Number: 1\r\n"), r#"{"event":"client:ping"}"#.to_owned()),
        ("POST", format!("{named}X-Roomcast-Number: 9\r\n"), "{}".to_owned()),
        ("POST", named.clone(), name.clone()),
        ("POST", named.clone(), "[7]".to_owned()),
        ("GET", format!("{named}X-Roomcast-Cursor: 1\r\n"), String::new()),
        ("GET", format!("{named}X-Roomcast-Cursor: {name}\r\n"), String::new()),
        ("GET", format!("{named}{named}"), String::new()),
        ("PUT", named.clone(), String::new()),
    ] {
        let answer = talk(address, request(method, "/poll", &lines, &body).as_bytes()).await;
        secrets.assert_absent(&answer, &format!("the answer to {method} with {lines:?}"));
    }
}

#[tokio::test]
async fn no_secret_and_no_token_comes_out_of_a_node_that_logs_everything() {
    let redis = Redis::start(&["--requirepass", REDIS_PASSWORD]).await;
    let (collector, exported) = collector();
    let digest: String = Sha256::digest(API_KEY).iter().map(|byte| format!("{byte:02x}")).collect();
    let gateway = Gateway::start(&[
        ("ROOMCAST_TELEMETRY__LOG__FILTER", "trace"),
        ("ROOMCAST_BROKER__KIND", "redis"),
        ("ROOMCAST_BROKER__REDIS__URL", &format!("redis://:{REDIS_PASSWORD}@127.0.0.1:{}", redis.port)),
        ("ROOMCAST_AUTH__KEYS", &format!(r#"[{{ id = "further", algorithm = "HS512", secret = "{FURTHER_SECRET}" }}]"#)),
        ("ROOMCAST_AUTH__API_KEYS", &format!(r#"[{{ id = "backend", scopes = ["publish", "read"], sha256 = "{digest}" }}]"#)),
        ("ROOMCAST_TELEMETRY__OTLP__ENDPOINT", &collector),
        ("ROOMCAST_TELEMETRY__OTLP__HEADERS", &format!("x-key={OTLP_KEY}")),
        ("ROOMCAST_WEBSOCKET__QUERY_TOKEN", "true"),
        ("ROOMCAST_WEBSOCKET__TOKEN_COOKIE", "session"),
        ("ROOMCAST_WEBSOCKET__ALLOWED_ORIGINS", "https://app.example.com"),
    ])
    .await;
    let address = gateway.address.to_string();
    let mut secrets = Secrets::configured();
    let good = secrets.token("a good token", token("alice", "acme", Some(&["subscribe:*:acme:**", "publish:kpi:acme"])));
    let service = secrets.token("a service token", service_token("acme", &[Scope::Read, Scope::Publish]));
    let forged = secrets.token("a forged token", forged());
    let mangled = secrets.token("a mangled token", format!("{good}mangled"));
    for token in [&good, &service, &forged, &mangled] {
        for (way, bytes) in ways_in(token).iter().enumerate() {
            secrets.assert_absent(&talk(&address, bytes).await, &format!("the answer to way {way}"));
        }
    }
    for lines in [
        format!("X-API-Key: {API_KEY}\r\n"),
        bearer(API_KEY),
        format!("X-API-Key: {API_KEY}x\r\n"),
        format!("Authorization: Basic {API_KEY}\r\n"),
    ] {
        let lines = format!("{lines}Content-Type: application/json\r\n");
        let body = r#"{"event":"kpi:update","target":{"organization_id":"acme"},"data":1}"#;
        secrets
            .assert_absent(&talk(&address, request("POST", "/api/ws/broadcast", &lines, body).as_bytes()).await, "an answer to an API key");
    }
    over_http(&address, &good, &mut secrets).await;
    let internal = gateway.internal_address();
    for path in ["/metrics", "/readyz", "/livez", "/nothing"] {
        let answer = talk(&internal, request("GET", path, "", "").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
        secrets.assert_absent(&answer, path);
    }
    eventually("traces are exported", async || exported.lock().windows(7).any(|window| window == b"publish").then_some(())).await;
    secrets.assert_absent(&String::from_utf8_lossy(&exported.lock()), "the traces");
    let log = gateway.log();
    assert!(log.contains("good credentials") && log.contains("refused credentials") && log.contains("\"TRACE\""), "it was loud");
    secrets.assert_absent(&log, "the log");
}

#[tokio::test]
async fn a_password_that_redis_refuses_is_told_as_refused_and_not_shown() {
    let redis = Redis::start(&["--requirepass", "another one"]).await;
    let url = format!("redis://user:{REDIS_PASSWORD}@127.0.0.1:{}", redis.port);
    let gateway = Gateway::start(&[
        ("ROOMCAST_TELEMETRY__LOG__FILTER", "trace"),
        ("ROOMCAST_BROKER__KIND", "redis"),
        ("ROOMCAST_BROKER__REDIS__URL", &url),
    ])
    .await;
    let secrets = Secrets::configured();
    let ready = talk(&gateway.internal_address(), request("GET", "/readyz", "", "").as_bytes()).await;
    secrets.assert_absent(&ready, "/readyz");
    let good = token("alice", "acme", None);
    let answer = talk(&gateway.address.to_string(), &session("/ws", &bearer(&good), &[])).await;
    secrets.assert_absent(&answer, "the answer");
    let log = gateway.log();
    assert!(log.contains("the broker is not reachable") && log.contains("WRONGPASS"), "{log}");
    secrets.assert_absent(&log, "the log");
}

fn roomcast(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_roomcast")).args(arguments).env_clear().envs(variables.iter().copied()).output().unwrap()
}

/// Variables of a configuration that is wrong in some way, near a secret.
fn faulty() -> Vec<(&'static str, String)> {
    let (keys, url, nodes) = ("ROOMCAST_AUTH__KEYS", "ROOMCAST_BROKER__REDIS__URL", "ROOMCAST_BROKER__REDIS__NODES");
    vec![
        ("ROOMCAST_AUTH__SECRET", REDIS_PASSWORD.into()),
        ("ROOMCAST_AUTH__SECRT", SECRET.into()),
        (keys, SECRET.into()),
        (keys, format!(r#"[{{ secret = "{SECRET}" "#)),
        (keys, format!(r#"[{{ secret = ["{SECRET}"] }}]"#)),
        (keys, format!(r#"[{{ sekret = "{SECRET}" }}]"#)),
        (keys, format!(r#"["{SECRET}"]"#)),
        (keys, format!(r#"[{{ algorithm = "HS999", secret = "{SECRET}" }}]"#)),
        (keys, format!(r#"[{{ algorithm = "RS256", secret = "{SECRET}" }}]"#)),
        (keys, format!(r#"[{{ algorithm = "RS256", public_key = "-----BEGIN PRIVATE KEY-----{SECRET}" }}]"#)),
        (keys, format!(r#"[{{ algorithm = "HS256", secret = "{SECRET}", secret_base64 = true }}]"#)),
        ("ROOMCAST_AUTH__API_KEYS", format!(r#"[{{ id = "a", secret = "{API_KEY}" }}]"#)),
        ("ROOMCAST_AUTH__API_KEYS", format!(r#"[{{ id = "a", sha256 = "{API_KEY}" }}]"#)),
        (url, format!("redis://:{REDIS_PASSWORD}@host:port")),
        (url, format!("reddis://:{REDIS_PASSWORD}@host:6379")),
        (url, format!("redis://:{REDIS_PASSWORD}@host:6379/database")),
        (nodes, format!("redis://:{REDIS_PASSWORD}@host:port")),
        (nodes, format!("redis://:{REDIS_PASSWORD}@host:6379")),
        (nodes, format!(r#"["redis://:{REDIS_PASSWORD}@host:6379""#)),
        ("ROOMCAST_TELEMETRY__OTLP__HEADERS", OTLP_KEY.into()),
        ("ROOMCAST_TELEMETRY__OTLP__ENDPOINT", format!("http://user:{OTLP_KEY}@127.0.0.1:4318")),
        ("ROOMCAST_TELEMETRY__OTLP__ENDPOINT", format!("https://user:{OTLP_KEY}@collector")),
        ("ROOMCAST_AUTH__JWKS__URL", format!("https://user:{OTLP_KEY}@idp.example.com/certs")),
    ]
}

#[test]
fn no_fault_of_the_configuration_shows_a_secret() {
    let secrets = Secrets::configured();
    let common =
        [("ROOMCAST_SERVER__ADDRESS", "127.0.0.1:0"), ("ROOMCAST_INTERNAL__LISTEN", "127.0.0.1:0"), ("ROOMCAST_BROKER__KIND", "redis")];
    for (variable, value) in faulty() {
        let output = roomcast(&["config", "check"], &[&common[..], &[(variable, value.as_str())]].concat());
        secrets.assert_absent(&said(&output), &format!("config check with {variable}={value}"));
    }
}

#[test]
fn no_node_that_does_not_start_shows_a_secret() {
    let secrets = Secrets::configured();
    // Where it would start, the taken port keeps it from that.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let common =
        [("ROOMCAST_SERVER__ADDRESS", address.as_str()), ("ROOMCAST_BROKER__KIND", "redis"), ("ROOMCAST_TELEMETRY__LOG__FILTER", "trace")];
    for (variable, value) in faulty() {
        let output = roomcast(&["serve"], &[&common[..], &[(variable, value.as_str())]].concat());
        assert!(!output.status.success(), "{variable}={value}");
        secrets.assert_absent(&said(&output), &format!("serve with {variable}={value}"));
    }
}

#[test]
fn no_file_of_the_configuration_is_quoted_where_a_secret_may_stand() {
    let secrets = Secrets::configured();
    for file in [
        format!("[auth]\nsecret = \"{SECRET}\n"),
        format!("[auth]\nsecret = [\"{SECRET}\"]\n"),
        format!("[auth]\nsecret = {{ value = \"{SECRET}\" }}\n"),
        format!("[auth]\nkeys = \"{SECRET}\"\n"),
        format!("auth = \"{SECRET}\"\n"),
        format!("[[auth.keys]]\nsecret = {{ text = \"{SECRET}\" }}\n"),
        format!("[[auth.keys]]\nalgorithm = {{ secret = \"{SECRET}\" }}\n"),
        format!("[broker.redis]\nurl = \"redis://:{REDIS_PASSWORD}@host\"\nurl = \"again\"\n"),
        format!("[broker]\nredis = \"redis://:{REDIS_PASSWORD}@host\"\n"),
        format!("broker = \"redis://:{REDIS_PASSWORD}@host\"\n"),
        format!("[telemetry.otlp]\nheaders = {{ x-key = \"{OTLP_KEY}\" }}\n"),
    ] {
        let mut toml = tempfile::NamedTempFile::new().unwrap();
        toml.write_all(file.as_bytes()).unwrap();
        let path = toml.path().to_str().unwrap();
        for command in [&["config", "check", "--config", path][..], &["serve", "--config", path]] {
            let output = roomcast(command, &[("ROOMCAST_SERVER__ADDRESS", "192.0.2.1:1")]);
            assert!(!output.status.success(), "{file}");
            secrets.assert_absent(&said(&output), &file);
        }
    }
}

#[test]
fn a_good_configuration_is_shown_without_its_secrets() {
    let output = roomcast(
        &["config", "check"],
        &[
            ("ROOMCAST_AUTH__SECRET", SECRET),
            ("ROOMCAST_AUTH__KEYS", &format!(r#"[{{ id = "further", algorithm = "HS512", secret = "{FURTHER_SECRET}" }}]"#)),
            ("ROOMCAST_BROKER__REDIS__URL", &format!("redis://:{REDIS_PASSWORD}@redis.example.com:6379")),
            ("ROOMCAST_BROKER__REDIS__NODES", &format!("redis://:{REDIS_PASSWORD}@sentinel.example.com:26379")),
            ("ROOMCAST_TELEMETRY__OTLP__HEADERS", &format!("x-key={OTLP_KEY}")),
        ],
    );
    let said = said(&output);
    assert!(output.status.success() && said.contains("broker.redis.nodes = (secret)"), "{said}");
    Secrets::configured().assert_absent(&said, "config check");
}

#[test]
fn a_token_or_key_that_a_command_was_given_is_not_in_what_it_says() {
    let mut secrets = Secrets::configured();
    let forged = secrets.token("a forged token", forged());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for command in [
        &["token", "inspect"][..],
        &["publish", "--url", &format!("http://{closed}"), "kpi:acme", "kpi:update", "1"],
        &["publish", "--url", &format!("http://user:{API_KEY}@{closed}"), "kpi:acme", "kpi:update", "1"],
    ] {
        let output = roomcast(command, &[("ROOMCAST_TOKEN", &forged), ("ROOMCAST_AUTH__SECRET", SECRET)]);
        assert!(!output.status.success());
        secrets.assert_absent(&said(&output), &format!("{command:?}"));
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
