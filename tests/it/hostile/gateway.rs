//! A gateway process of one's own, on free ports, with its log kept for inspection.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use roomcast::auth::mint::{MintRequest, SigningKey, mint};
use roomcast::auth::{Config, Scope, Secret};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::support::eventually;

pub const SECRET: &str = "a secret of the tests, longer than 32 bytes";

pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Gateway {
    /// Starts a node with these variables besides the addresses and the secret, and waits until it serves.
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roomcast"));
        command.arg("serve").env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.env("ROOMCAST_SERVER__ADDRESS", "127.0.0.1:0").env("ROOMCAST_INTERNAL__LISTEN", "127.0.0.1:0");
        command.env("ROOMCAST_AUTH__SECRET", SECRET).env("ROOMCAST_TELEMETRY__LOG__FORMAT", "json");
        command.env("ROOMCAST_TELEMETRY__LOG__FILTER", "info,roomcast=debug").envs(variables.iter().copied());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        keep_lines(child.stderr.take().unwrap(), &log);
        keep_lines(child.stdout.take().unwrap(), &log);
        let address = eventually("the gateway serves", async || {
            let kept = log.lock();
            kept.lines().find_map(served_address)
        })
        .await;
        Self { child, address, log }
    }

    pub fn log(&self) -> String {
        self.log.lock().clone()
    }

    /// Where probes and metrics are, as the node said.
    pub fn internal_address(&self) -> String {
        let log = self.log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let serving = lines.find(|line| line["message"] == "serving").expect("it serves, and logs JSON");
        serving["internal"].as_str().unwrap().to_owned()
    }

    /// Resident memory of the process, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().expect("it runs"))).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    /// # Panics
    /// When the process ended, a task of it panicked, or a line of its log is not one that it wrote.
    pub fn assert_well(&mut self) {
        let log = self.log();
        assert!(self.child.try_wait().unwrap().is_none(), "the gateway ended:\n{log}");
        assert!(!log.contains("panicked"), "a task of the gateway panicked:\n{log}");
        for line in log.lines() {
            assert!(is_of_a_node(line), "an injected line: {line:?}");
        }
    }
}

/// Everything that the process says, on whatever stream.
fn keep_lines(stream: impl AsyncRead + Unpin + Send + 'static, log: &Arc<Mutex<String>>) {
    let kept = Arc::clone(log);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut kept = kept.lock();
            kept.push_str(&line);
            kept.push('\n');
        }
    });
}

/// The address in the line that says so, in either format of the log.
fn served_address(line: &str) -> Option<SocketAddr> {
    match serde_json::from_str::<Value>(line) {
        Ok(line) if line["message"] == "serving" => line["address"].as_str()?.parse().ok(),
        Ok(_) => None,
        Err(_) => line.split_once("serving address=")?.1.split(' ').next()?.parse().ok(),
    }
}

/// Whether the line is one that a node writes: a JSON object, or time and level first and no control character.
fn is_of_a_node(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let time = words.next().is_some_and(|word| word.len() == 27 && word.starts_with("20") && word.ends_with('Z'));
    let level = words.next().is_some_and(|word| ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&word));
    let pretty = time && level && !line.contains(char::is_control);
    pretty || serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object())
}

pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token for an hour; `None` leaves the default grant.
pub fn token(user: &str, org: &str, grants: Option<&[&str]>) -> String {
    token_for(user, org, grants, 3_600)
}

/// A token for REST in one org.
pub fn service_token(org: &str, scopes: &[Scope]) -> String {
    signed(&MintRequest { scopes: scopes.to_vec(), ..request("backend", org, None, 3_600) })
}

pub fn token_for(user: &str, org: &str, grants: Option<&[&str]>, lifetime_s: u64) -> String {
    signed(&request(user, org, grants, lifetime_s))
}

fn request(user: &str, org: &str, grants: Option<&[&str]>, lifetime_s: u64) -> MintRequest {
    MintRequest {
        sub: user.into(),
        org: Some(org.into()),
        grants: grants.map(|grants| grants.iter().map(ToString::to_string).collect()),
        scopes: Vec::new(),
        token_id: None,
        issued_at_s: now_s(),
        lifetime_s,
    }
}

fn signed(request: &MintRequest) -> String {
    let config = Config { secret: Some(Secret::new(SECRET)), ..Config::default() };
    mint(request, &config, &SigningKey::of_config(&config).unwrap()).unwrap()
}
