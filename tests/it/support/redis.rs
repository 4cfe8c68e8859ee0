//! Real Redis servers for tests: each on a free port of loopback, in a directory of its own, killed when dropped.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::{clock, eventually};

/// One server process.
pub struct Redis {
    pub port: u16,
    directory: TempDir,
    args: Vec<String>,
    /// How wrong its clock is, in seconds.
    clock_shift_s: i64,
    process: Option<Child>,
}

/// A port that was free a moment ago, low enough that Cluster's bus port (10,000 higher) exists too.
pub fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        if port < 55_000 {
            return port;
        }
    }
}

impl Redis {
    /// Starts a server without persistence, plus `args`, and waits until it answers.
    pub async fn start(args: &[&str]) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let args = args.iter().map(ToString::to_string).collect();
        let mut redis = Self { port: free_port(), directory, args, clock_shift_s: 0, process: None };
        redis.run().await;
        redis
    }

    /// Starts a replica of what listens on `primary_port` and waits until it is in step.
    pub async fn start_replica(primary_port: u16) -> Self {
        let port = primary_port.to_string();
        let replica = Self::start(&["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"]).await;
        eventually("the replica is in step", || async {
            let info: String = replica.try_ask(redis::cmd("INFO").arg("replication")).await?;
            info.contains("master_link_status:up").then_some(())
        })
        .await;
        replica
    }

    /// Starts a Sentinel that watches `primary` as "mymaster", alone (quorum 1).
    pub async fn start_sentinel(primary: &Self) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let config = format!(
            "sentinel monitor mymaster 127.0.0.1 {} 1\nsentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 5000\n",
            primary.port
        );
        std::fs::write(directory.path().join("sentinel.conf"), config).expect("the directory is ours");
        let mut sentinel = Self { port: free_port(), directory, args: vec!["--sentinel".into()], clock_shift_s: 0, process: None };
        sentinel.run().await;
        sentinel
    }

    async fn run(&mut self) {
        let mut command = Command::new("redis-server");
        if self.args.iter().any(|arg| arg == "--sentinel") {
            command.arg(self.directory.path().join("sentinel.conf"));
        }
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]).arg(self.path());
        command.args(&self.args).stdout(Stdio::null()).stderr(Stdio::null());
        if self.clock_shift_s != 0 {
            clock::shift(&mut command, self.clock_shift_s);
        }
        self.process = Some(command.spawn().expect("redis-server is installed"));
        eventually("redis-server answers", || async { self.answers().then_some(()) }).await;
    }

    /// Whether it has loaded its data. A server that wants a password says so, which is an answer too.
    fn answers(&self) -> bool {
        let answer = self.cli(&["PING"]);
        answer == "PONG" || answer.starts_with("NOAUTH")
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs a command on a connection of its own; `None` on any failure.
    pub async fn try_ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        let client = redis::Client::open(self.url()).expect("our URL is well-formed");
        let asking = async {
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            command.query_async(&mut connection).await.ok()
        };
        tokio::time::timeout(Duration::from_secs(5), asking).await.ok()?
    }

    /// Makes the server sleep for so many seconds, and returns when it is awake again; DEBUG must be enabled.
    pub async fn sleeps(&self, seconds: u32) {
        let mut sleep = tokio::process::Command::new("redis-cli");
        sleep.args(["-p", &self.port.to_string(), "DEBUG", "SLEEP", &seconds.to_string()]);
        let output = sleep.output().await.expect("redis-cli is installed");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "OK");
    }

    /// Whether the process has not been killed.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Runs a command that must succeed.
    pub async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        let client = redis::Client::open(self.url()).expect("our URL is well-formed");
        let mut connection = client.get_multiplexed_async_connection().await.expect("the test's Redis is up");
        command.query_async(&mut connection).await.expect("the command succeeds")
    }

    /// Runs redis-cli against this server, as a person would.
    pub fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(args).output().expect("redis-cli is installed");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// SIGSTOP: connections stay open, nothing answers.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().expect("the server runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill is installed").success());
    }

    pub async fn restart(&mut self) {
        self.kill();
        self.run().await;
    }

    /// Starts again with nothing of what was there, and with a clock that is `clock_shift_s` ahead.
    pub async fn restart_empty(&mut self, clock_shift_s: i64) {
        self.kill();
        self.clock_shift_s = clock_shift_s;
        self.directory = TempDir::new().expect("a temporary directory");
        self.run().await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Rounds in which a slot's keys are moved, a hundred at a time.
const MOVE_ROUNDS_MAX: usize = 1_000;

/// A Cluster of three primaries, each with as many replicas as asked for.
pub struct Cluster {
    pub servers: Vec<Redis>,
}

impl Cluster {
    /// With further arguments for every server.
    pub async fn start(replicas: usize, more: &[&str]) -> Self {
        let mut servers = Vec::new();
        for _ in 0..3 * (1 + replicas) {
            let args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"];
            servers.push(Redis::start(&[&args, more].concat()).await);
        }
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        for server in &servers {
            create.arg(format!("127.0.0.1:{}", server.port));
        }
        let output = create.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]).output().expect("redis-cli is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        for server in &servers {
            eventually("the Cluster is up", || async {
                let info: String = server.try_ask(redis::cmd("CLUSTER").arg("INFO")).await?;
                info.contains("cluster_state:ok").then_some(())
            })
            .await;
            // A replica that never was in step cannot take over.
            eventually("replicas are in step", || async {
                (!server.cli(&["INFO", "replication"]).contains("link_status:down")).then_some(())
            })
            .await;
        }
        Self { servers }
    }

    /// Which server has the slot of `key`.
    pub fn owner_of(&self, key: &str) -> usize {
        self.servers.iter().position(|server| !server.cli(&["GET", key]).starts_with("MOVED")).expect("some server has the slot")
    }

    fn is_primary(server: &Redis) -> bool {
        server.cli(&["ROLE"]).starts_with("master")
    }

    /// Moves the slot of `key` to another primary, with its keys, as a rebalancing does.
    pub fn move_slot_of(&self, key: &str) {
        let slot = self.servers[0].cli(&["CLUSTER", "KEYSLOT", key]);
        let source = &self.servers[self.owner_of(key)];
        let others = || self.servers.iter().filter(|server| server.port != source.port && Self::is_primary(server));
        let target = others().next().expect("there are several primaries");
        let (source_id, target_id) = (source.cli(&["CLUSTER", "MYID"]), target.cli(&["CLUSTER", "MYID"]));
        target.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]);
        source.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]);
        let port = target.port.to_string();
        // Whatever is written meanwhile moves with the next round.
        let moved = (0..MOVE_ROUNDS_MAX).any(|_| {
            let keys = source.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            for key in keys.lines() {
                let outcome = source.cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]);
                assert!(["OK", "NOKEY"].contains(&outcome.as_str()), "{key} does not move: {outcome}");
            }
            keys.is_empty()
        });
        assert!(moved, "the slot of {key} moves");
        for server in [target, source].into_iter().chain(others()) {
            server.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]);
        }
    }

    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Redis::url).collect()
    }
}
