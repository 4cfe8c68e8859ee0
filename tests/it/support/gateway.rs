//! Real gateway processes for tests: on free ports of loopback, killed when dropped, their log shown when the test fails.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use roomcast::auth::{Config, MintRequest, Scope, SigningKey, mint};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::eventually;

/// What all gateways of a test sign and verify tokens with.
const SECRET: &str = "a secret for tests, long enough for HS256";
/// The end of the log that is shown when a test fails, in bytes.
const LOG_SHOWN_BYTES: usize = 8 << 10;

/// One gateway process.
pub struct Gateway {
    pub id: String,
    pub address: SocketAddr,
    pub internal: SocketAddr,
    process: Option<Child>,
    directory: TempDir,
}

impl Gateway {
    /// Starts a node with these settings, as names and values of `ROOMCAST_…`, and waits until it is ready.
    pub async fn start(id: &str, settings: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let log = File::create(directory.path().join("log")).expect("the directory is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
        command.arg("serve").env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let own = [("NODE__ID", id), ("AUTH__SECRET", SECRET), ("SERVER__ADDRESS", "127.0.0.1:0"), ("INTERNAL__LISTEN", "127.0.0.1:0")];
        for (name, value) in own.iter().chain(settings) {
            command.env(format!("ROOMCAST_{name}"), value);
        }
        let process = Some(command.spawn().expect("the binary was built"));
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self { id: id.to_owned(), address: nowhere, internal: nowhere, process, directory };
        (gateway.address, gateway.internal) = eventually("the node serves", async || gateway.announced()).await;
        eventually("the node is ready", async || gateway.is_ready().await.then_some(())).await;
        gateway
    }

    /// Whether the probe says that it is ready, and not merely in service.
    pub async fn is_ready(&self) -> bool {
        let asking = async {
            let mut stream = TcpStream::connect(self.internal).await.ok()?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            Some(answer)
        };
        asking.await.is_some_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.contains("\"ready\""))
    }

    fn announced(&self) -> Option<(SocketAddr, SocketAddr)> {
        let log = self.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let text = |line: &Value, name: &str| line["fields"][name].as_str().or(line[name].as_str()).map(str::to_owned);
        lines.into_iter().find_map(|line| {
            let address = |name| text(&line, name)?.parse().ok();
            (text(&line, "message")? == "serving").then(|| Some((address("address")?, address("internal")?)))?
        })
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// SIGTERM: the node drains.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid().to_string()]).status().expect("kill is installed").success());
    }

    fn pid(&self) -> u32 {
        self.process.as_ref().expect("the node runs").id()
    }

    /// Waits until the process has ended by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the node runs");
        eventually("the node exits", async || process.try_wait().expect("it is our child")).await
    }

    /// Resident memory in bytes (`VmRSS`, proc(5)).
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the node runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells the resident size");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
        kilobytes << 10
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let mut start = log.len().saturating_sub(LOG_SHOWN_BYTES);
            while !log.is_char_boundary(start) {
                start += 1;
            }
            eprintln!("--- the end of the log of {} ---\n{}", self.id, &log[start..]);
        }
        self.kill();
    }
}

/// Who a token is for and what it grants.
#[derive(Clone, Debug)]
pub struct Token {
    request: MintRequest,
}

impl Token {
    /// May do everything in the org, for an hour.
    pub fn of(org: &str, user: &str) -> Self {
        let rights = ["subscribe", "publish", "presence", "history"].map(|right| format!("{right}:*:{org}:**"));
        Self {
            request: MintRequest {
                sub: user.to_owned(),
                org: Some(org.to_owned()),
                grants: Some(rights.to_vec()),
                scopes: Vec::new(),
                token_id: None,
                issued_at_s: unix_s(),
                lifetime_s: 3_600,
            },
        }
    }

    /// A service's, for REST.
    pub fn service() -> Self {
        let mut token = Self::of("operations", "service");
        token.request.scopes = vec![Scope::Admin];
        (token.request.org, token.request.grants) = (None, None);
        token
    }

    pub fn granting(mut self, grants: &[&str]) -> Self {
        self.request.grants = Some(grants.iter().map(ToString::to_string).collect());
        self
    }

    pub fn lasting_s(mut self, seconds: u64) -> Self {
        self.request.lifetime_s = seconds;
        self
    }

    pub fn mint(&self) -> String {
        let config: Config = serde_json::from_value(serde_json::json!({ "secret": SECRET })).expect("the secret is well-formed");
        let key = SigningKey::of_config(&config).expect("the secret is long enough");
        mint(&self.request, &config, &key).expect("the claims do not contradict each other")
    }
}

pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970").as_secs()
}
