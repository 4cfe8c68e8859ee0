//! Real gateway processes for tests: on free ports of loopback, killed when dropped, their log shown when the test fails.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roomcast::auth::{Config, MintRequest, Scope, SigningKey, mint};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{clock, eventually};

/// What all gateways of a test sign and verify tokens with.
pub const SECRET: &str = "a secret for tests, long enough for HS256";
/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The end of the log that is shown when a test fails, in bytes.
const LOG_SHOWN_BYTES: usize = 8 << 10;

/// One gateway process.
pub struct Gateway {
    pub id: String,
    pub address: SocketAddr,
    pub internal: SocketAddr,
    settings: Vec<(String, String)>,
    clock_shift_s: i64,
    process: Option<Child>,
    directory: TempDir,
}

impl Gateway {
    /// Starts a node with these settings, as names and values of `ROOMCAST_…`, and waits until it is ready.
    pub async fn start(id: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_with_clock(id, settings, 0).await
    }

    /// The same, with a wall clock that is `clock_shift_s` ahead.
    pub async fn start_with_clock(id: &str, settings: &[(&str, &str)], clock_shift_s: i64) -> Self {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Self {
            id: id.to_owned(),
            address: nowhere,
            internal: nowhere,
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            clock_shift_s,
            process: None,
            directory: TempDir::new().expect("a temporary directory"),
        };
        gateway.run().await;
        gateway
    }

    /// Starts the process again where the last one was: same name, same addresses.
    pub async fn restart(&mut self) {
        self.kill();
        self.run().await;
    }

    async fn run(&mut self) {
        let log = File::create(self.directory.path().join("log")).expect("the directory is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
        command.arg("serve").env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let (address, internal) = (self.address.to_string(), self.internal.to_string());
        let own = [("NODE__ID", &*self.id), ("AUTH__SECRET", SECRET), ("SERVER__ADDRESS", &address), ("INTERNAL__LISTEN", &internal)];
        for (name, value) in own.into_iter().chain(self.settings.iter().map(|(name, value)| (&**name, &**value))) {
            command.env(format!("ROOMCAST_{name}"), value);
        }
        if self.clock_shift_s != 0 {
            clock::shift(&mut command, self.clock_shift_s);
        }
        self.process = Some(command.spawn().expect("the binary was built"));
        (self.address, self.internal) = eventually("the node serves", async || self.announced()).await;
        eventually("the node is ready", async || self.is_ready().await.then_some(())).await;
    }

    /// Whether the probe says that it is ready, and not merely in service.
    pub async fn is_ready(&self) -> bool {
        self.probe("/readyz").await.is_some_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.contains("\"ready\""))
    }

    /// Whether the probe says that the node serves without its broker.
    pub async fn is_degraded(&self) -> bool {
        self.probe("/readyz").await.is_some_and(|answer| answer.starts_with("HTTP/1.1 200") && answer.contains("\"degraded\""))
    }

    /// What a path of the internal port answers, head and body; `None` while it does not.
    pub async fn probe(&self, path: &str) -> Option<String> {
        let asking = async {
            let mut stream = TcpStream::connect(self.internal).await.ok()?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            Some(answer)
        };
        tokio::time::timeout(PROBE_TIMEOUT, asking).await.ok()?
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

    /// SIGSTOP: connections stay open, nothing happens.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("-CONT");
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

    /// With a `jti`.
    pub fn named(mut self, id: &str) -> Self {
        self.request.token_id = Some(id.to_owned());
        self
    }

    pub fn issued_s_ago(mut self, seconds: u64) -> Self {
        self.request.issued_at_s = unix_s() - seconds;
        self
    }

    pub fn expiring_at_s(mut self, unix_s: i64) -> Self {
        self.request.lifetime_s = u64::try_from(unix_s).unwrap_or_default().saturating_sub(self.request.issued_at_s);
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
