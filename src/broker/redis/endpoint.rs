//! Where Redis is: how a connection is made in each mode, and how it is watched.
//!
//! `link`, `pubsub` and `ingest` connect through an [`Endpoint`]; retrying is theirs.

use std::sync::Arc;
use std::time::Duration;

use rand::seq::SliceRandom;
use redis::aio::AsyncPushSender;
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError,
    RedisResult, ServerErrorKind, TlsCertificates, TlsMode, Value, cmd,
};
use tokio::sync::Notify;

use super::config::{Config, Mode};
use super::connection::{Connection, within};

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
