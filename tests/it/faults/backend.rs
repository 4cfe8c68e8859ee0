//! A backend's own way to Redis: it comes back after every failure, as the ones in production do.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, Value};

/// How long one command may take before the backend gives it up and retries.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Where backends find Redis.
#[derive(Clone)]
pub enum Address {
    /// One server; where it is may change, as behind a service name.
    Server(Arc<Mutex<String>>),
    Cluster(Vec<String>),
}

impl Address {
    pub fn server(url: impl Into<String>) -> Self {
        Self::Server(Arc::new(Mutex::new(url.into())))
    }

    /// From now on the server is elsewhere.
    pub fn lead_to(&self, url: impl Into<String>) {
        if let Self::Server(at) = self {
            *at.lock() = url.into();
        }
    }
}

/// One backend's connection.
pub struct Backend {
    address: Address,
    connection: Option<(String, Connection)>,
}

enum Connection {
    Server(MultiplexedConnection),
    Cluster(Box<ClusterConnection>),
}

impl Backend {
    pub fn new(address: Address) -> Self {
        Self { address, connection: None }
    }

    /// # Errors
    /// Whatever went wrong; the connection is made anew for the next command.
    pub async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let answer = tokio::time::timeout(TIMEOUT, self.try_ask(command)).await.unwrap_or_else(|_| Err(late()));
        if answer.as_ref().is_err_and(|error| error.is_io_error() || error.is_timeout() || error.is_connection_dropped()) {
            self.connection = None;
        }
        Ok(redis::from_redis_value(answer?)?)
    }

    async fn try_ask(&mut self, command: &Cmd) -> RedisResult<Value> {
        let there = match &self.address {
            Address::Server(at) => at.lock().clone(),
            Address::Cluster(_) => String::new(),
        };
        let mut connection = match self.connection.take() {
            Some((at, connection)) if at == there => connection,
            _ => self.connect(&there).await?,
        };
        let answer = match &mut connection {
            Connection::Server(connection) => connection.req_packed_command(command).await,
            Connection::Cluster(connection) => connection.req_packed_command(command).await,
        };
        self.connection = Some((there, connection));
        answer
    }

    async fn connect(&self, there: &str) -> RedisResult<Connection> {
        Ok(match &self.address {
            Address::Server(_) => {
                let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT)).set_connection_timeout(Some(TIMEOUT));
                Connection::Server(redis::Client::open(there)?.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Address::Cluster(urls) => {
                let client = redis::cluster::ClusterClientBuilder::new(urls.clone()).response_timeout(TIMEOUT).retries(0).build()?;
                Connection::Cluster(Box::new(client.get_async_connection().await?))
            }
        })
    }
}
