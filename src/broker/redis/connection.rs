//! Connections to Redis: how they are made in each mode, and the supervised one that commands share.
//!
//! `redis.rs` starts the supervisor; `pubsub` and `ingest` make their own connections through [`Endpoint`]. Functions are loaded
//! by every new connection, so a server that was restarted or promoted has them before the first call.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;
use rand::seq::SliceRandom;
use redis::aio::{AsyncPushSender, ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, RedisResult, ServerErrorKind, TlsCertificates, TlsMode, Value, cmd,
};
use tokio::sync::Notify;

use super::config::{Config, Mode};
use super::keys::Keys;
use super::scripts::{Function, Scripts};

/// First pause between attempts to connect again.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Probes of a Cluster that may fail in a row before all its connections are made anew; one failing node is the crate's to replace.
const CLUSTER_FAILURES_MAX: u32 = 5;

/// The configuration cannot lead to any Redis.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("broker.redis.{field} is no Redis URL")]
    Url { field: &'static str },
    #[error("broker.redis.nodes names no node")]
    NoNodes,
    #[error("broker.redis.tls_ca_file: {0}")]
    Certificates(std::io::Error),
    #[error("broker.redis.{field} must not be 0")]
    Zero { field: &'static str },
}

/// Where Redis is and how to get there.
pub(super) struct Endpoint {
    mode: Mode,
    primary: ConnectionInfo,
    nodes: Vec<ConnectionInfo>,
    sentinel_primary: String,
    certificates: Option<TlsCertificates>,
    connect_timeout: Duration,
    commands_max: usize,
}

impl Endpoint {
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let info = |url: &str, field| url.into_connection_info().map_err(|_| ConfigError::Url { field });
        let nodes = config.nodes.iter().map(|url| info(url, "nodes")).collect::<Result<Vec<_>, _>>()?;
        if config.mode != Mode::Standalone && nodes.is_empty() {
            return Err(ConfigError::NoNodes);
        }
        let certificates = match config.tls_ca_file.as_str() {
            "" => None,
            path => {
                let pem = std::fs::read(path).map_err(ConfigError::Certificates)?;
                Some(TlsCertificates { client_tls: None, root_cert: Some(pem) })
            }
        };
        Ok(Self {
            mode: config.mode,
            primary: info(&config.url, "url")?,
            nodes,
            sentinel_primary: config.sentinel_primary.clone(),
            certificates,
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            commands_max: config.commands_max,
        })
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.mode == Mode::Cluster
    }

    fn settings(&self) -> RedisConnectionInfo {
        self.primary.redis_settings().clone().set_protocol(ProtocolVersion::RESP3)
    }

    fn tls_mode(&self) -> Option<TlsMode> {
        matches!(self.primary.addr(), redis::ConnectionAddr::TcpTls { .. }).then_some(TlsMode::Secure)
    }

    /// A new connection. Each server on the way (Sentinels, nodes of a Cluster) may take the connect timeout.
    pub(super) async fn connect(&self, response_timeout: Duration, push: Option<Arc<dyn AsyncPushSender>>) -> RedisResult<Connection> {
        let connecting = async {
            match self.mode {
                Mode::Cluster => self.connect_cluster(response_timeout, push).await.map(Connection::Cluster),
                Mode::Standalone | Mode::Sentinel => {
                    let client = self.client().await?;
                    let mut config = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(self.connect_timeout))
                        .set_response_timeout(Some(response_timeout))
                        .set_concurrency_limit(self.commands_max);
                    if let Some(push) = push {
                        config = config.set_push_sender(push);
                    }
                    client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Single)
                }
            }
        };
        let servers = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX).saturating_add(1);
        within(self.connect_timeout.saturating_mul(servers), connecting).await
    }

    async fn client(&self) -> RedisResult<Client> {
        if self.mode == Mode::Standalone {
            let info = self.primary.clone().set_redis_settings(self.settings());
            return match &self.certificates {
                Some(certificates) => Client::build_with_tls(info, certificates.clone()),
                None => Client::open(info),
            };
        }
        let mut node = SentinelNodeConnectionInfo::default().set_redis_connection_info(self.settings());
        if let Some(tls_mode) = self.tls_mode() {
            node = node.set_tls_mode(tls_mode);
        }
        // Made anew each time and asked in random order: a cached connection, or the first Sentinel, may be the one that hangs.
        let mut nodes = self.nodes.clone();
        nodes.shuffle(&mut rand::rng());
        let mut sentinels = SentinelClient::build(nodes, &self.sentinel_primary, Some(node), SentinelServerType::Master)?;
        sentinels.async_get_client().await
    }

    async fn connect_cluster(&self, response_timeout: Duration, push: Option<Arc<dyn AsyncPushSender>>) -> RedisResult<ClusterConnection> {
        let mut builder = ClusterClientBuilder::new(self.nodes.clone())
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(self.connect_timeout)
            .response_timeout(response_timeout)
            .overall_response_timeout(Some(response_timeout))
            .connection_concurrency_limit(self.commands_max);
        if let Some(username) = self.primary.redis_settings().username() {
            builder = builder.username(username);
        }
        if let Some(password) = self.primary.redis_settings().password() {
            builder = builder.password(password);
        }
        if let Some(tls_mode) = self.tls_mode() {
            builder = builder.tls(tls_mode);
        }
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        if let Some(push) = push {
            builder = builder.push_sender(push);
        }
        builder.build()?.get_async_connection().await
    }

    /// One probe: the server answers, and under Sentinel it still is the primary.
    pub(super) async fn probe(&self, connection: &mut Connection, timeout: Duration) -> RedisResult<()> {
        let probing = async {
            if self.mode != Mode::Sentinel {
                return connection.query::<Value>(&cmd("PING")).await.map(|_| ());
            }
            let role: Vec<Value> = connection.query(&cmd("ROLE")).await?;
            match role.first() {
                Some(Value::BulkString(role)) if role == b"master" => Ok(()),
                _ => Err(RedisError::from((ErrorKind::Server(ServerErrorKind::ReadOnly), "the server is no longer the primary"))),
            }
        };
        within(timeout, probing).await
    }

    /// Probes until the connection is lost; the answer says why.
    pub(super) async fn watch(&self, connection: &mut Connection, interval: Duration, hint: &Notify) -> RedisError {
        let mut failures = 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = hint.notified() => if !self.is_cluster() {
                    return RedisError::from((ErrorKind::Io, "a command found the connection broken"));
                },
            }
            match self.probe(connection, interval * 2).await {
                Ok(()) => failures = 0,
                Err(error) => failures += if self.is_cluster() { 1 } else { return error },
            }
            if failures >= CLUSTER_FAILURES_MAX {
                return RedisError::from((ErrorKind::Io, "the Cluster does not answer"));
            }
        }
    }
}

/// `future`, or a timeout error.
pub(super) async fn within<T>(timeout: Duration, future: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    tokio::time::timeout(timeout, future)
        .await
        .unwrap_or_else(|_| Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))))
}

/// A connection that many calls may share: clones lead to the same one.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Single(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Sends both commands in one go to the server that `key` belongs to, so that the second sees what the first did.
    pub(super) async fn query_both(&mut self, first: &Cmd, second: &Cmd, key: &str) -> RedisResult<Vec<Value>> {
        let mut pipeline = redis::pipe();
        pipeline.add_command(first.clone()).add_command(second.clone());
        match self {
            Self::Single(connection) => connection.req_packed_commands(&pipeline, 0, 2).await,
            Self::Cluster(connection) => {
                let route = SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master));
                connection.route_pipeline(pipeline, 0, 2, route).await
            }
        }
    }

    /// Subscribes to topics of one server, or, in a Cluster, to topics whose slot is the same.
    pub(super) async fn subscribe(&mut self, topics: &[String]) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.subscribe(topics).await,
            Self::Cluster(connection) => connection.ssubscribe(topics).await,
        }
    }

    pub(super) async fn unsubscribe(&mut self, topics: &[String]) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.unsubscribe(topics).await,
            Self::Cluster(connection) => connection.sunsubscribe(topics).await,
        }
    }

    /// Subscribes to topics that every server of a Cluster passes on.
    pub(super) async fn subscribe_everywhere(&mut self, topics: &[String]) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.subscribe(topics).await,
            Self::Cluster(connection) => connection.subscribe(topics).await,
        }
    }
}

/// The connection that commands share, while there is one.
pub(super) struct Link {
    pub(super) endpoint: Endpoint,
    scripts: Scripts,
    publish_sha_key: String,
    timeout: Duration,
    interval: Duration,
    pause_max: Duration,
    connection: Mutex<Option<Connection>>,
    /// Publishes that wait for replicas block their connection, so they have one to themselves.
    waiting: Mutex<Option<Connection>>,
    fault: Mutex<Option<String>>,
    stale: Notify,
    by_script: AtomicBool,
}

impl Link {
    pub(super) fn new(config: &Config, keys: &Keys) -> Result<Self, ConfigError> {
        for (field, value) in [
            ("command_timeout_ms", config.command_timeout_ms),
            ("connect_timeout_ms", config.connect_timeout_ms),
            ("watchdog_interval_ms", config.watchdog_interval_ms),
            ("lease_ms", config.lease_ms),
            ("trim_interval_s", config.trim_interval_s),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { field });
            }
        }
        Ok(Self {
            endpoint: Endpoint::new(config)?,
            scripts: Scripts::new(config),
            publish_sha_key: keys.publish_sha(),
            timeout: Duration::from_millis(config.command_timeout_ms),
            interval: Duration::from_millis(config.watchdog_interval_ms),
            pause_max: Duration::from_millis(config.reconnect_pause_max_ms),
            connection: Mutex::default(),
            waiting: Mutex::default(),
            fault: Mutex::new(Some("not connected yet".into())),
            stale: Notify::new(),
            by_script: AtomicBool::new(false),
        })
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn pause(&self) -> Pause {
        Pause { next: PAUSE_MIN, max: self.pause_max.max(PAUSE_MIN) }
    }

    /// Why there is no connection, if there is none.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }

    /// Keeps the connection up for as long as it is polled. `on_connected` runs after each (re)connection.
    pub(super) async fn supervise(&self, on_connected: impl Fn()) {
        let mut pause = self.pause();
        loop {
            let lost = match self.establish().await {
                Ok(mut connection) => {
                    *self.connection.lock() = Some(connection.clone());
                    *self.fault.lock() = None;
                    tracing::info!("connected to Redis");
                    pause = self.pause();
                    on_connected();
                    self.endpoint.watch(&mut connection, self.interval, &self.stale).await
                }
                Err(error) => error,
            };
            *self.connection.lock() = None;
            *self.waiting.lock() = None;
            if self.fault.lock().replace(reason(&lost)).is_none() {
                tracing::warn!(reason = reason(&lost), "lost the connection to Redis");
            }
            pause.wait().await;
        }
    }

    async fn establish(&self) -> RedisResult<Connection> {
        let mut connection = self.endpoint.connect(self.timeout, None).await?;
        self.load(&mut connection).await?;
        Ok(connection)
    }

    /// Loads the functions, or the scripts where functions are refused.
    async fn load(&self, connection: &mut Connection) -> RedisResult<()> {
        let mut load = cmd("FUNCTION");
        load.arg("LOAD").arg("REPLACE").arg(&self.scripts.library);
        match connection.query::<Value>(&load).await {
            Ok(_) => {
                self.by_script.store(false, Ordering::Release);
                Ok(())
            }
            Err(error) if no_functions(&error) => {
                let publish = self.scripts.script(Function::Publish);
                connection.query::<Value>(cmd("SCRIPT").arg("LOAD").arg(&publish.source)).await?;
                connection.query::<Value>(cmd("SET").arg(&self.publish_sha_key).arg(&publish.sha)).await?;
                self.by_script.store(true, Ordering::Release);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Calls a function on one key.
    pub(super) async fn call<T: FromRedisValue>(&self, function: Function, key: &str, args: &[&[u8]]) -> RedisResult<T> {
        let mut connection = self.connection()?;
        let value = self.call_on(&mut connection, function, key, args, None).await?;
        T::from_redis_value(value).map_err(RedisError::from)
    }

    /// Calls a function and waits for a replica to have its writes. A connection of its own: WAIT blocks all behind it.
    pub(super) async fn call_and_wait(&self, function: Function, key: &str, args: &[&[u8]], wait: Duration) -> RedisResult<(Value, u64)> {
        let known = self.waiting.lock().clone();
        let mut connection = match known {
            Some(connection) => connection,
            None => {
                let connection = self.endpoint.connect(self.timeout + wait, None).await?;
                self.waiting.lock().insert(connection).clone()
            }
        };
        let mut wait_command = cmd("WAIT");
        wait_command.arg(1).arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let answer = self.call_on(&mut connection, function, key, args, Some(&wait_command)).await;
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Io) {
            *self.waiting.lock() = None;
        }
        let both: Vec<Value> = Vec::from_redis_value(answer?).map_err(RedisError::from)?;
        let mut both = both.into_iter();
        let first = both.next().unwrap_or_default().extract_error()?;
        let replicas = u64::from_redis_value(both.next().unwrap_or_default()).map_err(RedisError::from)?;
        Ok((first, replicas))
    }

    /// A function that is missing (a server was flushed, or joined the Cluster) is loaded and called again, once.
    async fn call_on(
        &self,
        connection: &mut Connection,
        function: Function,
        key: &str,
        args: &[&[u8]],
        then: Option<&Cmd>,
    ) -> RedisResult<Value> {
        let answer = self.attempt(connection, function, key, args, then).await;
        let missing = answer.as_ref().is_err_and(is_missing);
        let answer = if missing {
            self.load(connection).await?;
            self.attempt(connection, function, key, args, then).await
        } else {
            answer
        };
        if let Err(error) = &answer {
            self.suspect(error);
        }
        answer
    }

    async fn attempt(
        &self,
        connection: &mut Connection,
        function: Function,
        key: &str,
        args: &[&[u8]],
        then: Option<&Cmd>,
    ) -> RedisResult<Value> {
        let by_script = self.by_script.load(Ordering::Acquire);
        let script = self.scripts.script(function);
        let mut command = if by_script { cmd("EVALSHA") } else { cmd("FCALL") };
        if by_script {
            command.arg(&script.sha);
        } else {
            command.arg(function.name());
        }
        command.arg(1).arg(key).arg(args);
        let answer = send(connection, &command, key, then).await;
        if !by_script || !answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            return answer;
        }
        let mut command = cmd("EVAL");
        command.arg(&script.source).arg(1).arg(key).arg(args);
        send(connection, &command, key, then).await
    }

    /// A plain command.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let mut connection = self.connection()?;
        let answer = connection.query(command).await;
        if let Err(error) = &answer {
            self.suspect(error);
        }
        answer
    }

    fn connection(&self) -> RedisResult<Connection> {
        self.connection.lock().clone().ok_or_else(|| RedisError::from((ErrorKind::Io, "not connected")))
    }

    /// Wakes the supervisor when an error says that the connection leads nowhere, or to a server that is not the primary.
    fn suspect(&self, error: &RedisError) {
        let read_only = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
        if read_only || (error.is_connection_dropped() && !error.is_timeout()) {
            self.stale.notify_one();
        }
    }
}

async fn send(connection: &mut Connection, command: &Cmd, key: &str, then: Option<&Cmd>) -> RedisResult<Value> {
    let Some(then) = then else {
        return connection.query(command).await;
    };
    let answers = connection.query_both(command, then, key).await?;
    // The first one's error decides whether to load and call again.
    if let Some(Value::ServerError(error)) = answers.first() {
        return Err(error.clone().into());
    }
    Ok(Value::Array(answers))
}

fn is_missing(error: &RedisError) -> bool {
    error.to_string().contains("Function not found")
}

/// Whether the server has no functions, or does not let us load any.
fn no_functions(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) || error.to_string().contains("unknown command")
}

/// What went wrong, for people, on one line and of bounded length.
pub(super) fn reason(error: &RedisError) -> String {
    error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

/// Pauses between attempts: doubling up to a maximum, with jitter so that nodes do not come back in step.
pub(super) struct Pause {
    next: Duration,
    max: Duration,
}

impl Pause {
    pub(super) async fn wait(&mut self) {
        let share = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(self.next.mul_f64(share)).await;
        self.next = (self.next * 2).min(self.max);
    }
}
