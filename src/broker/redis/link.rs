//! The supervised connection that all commands share, and the functions that it calls.
//!
//! `redis.rs` starts the supervisor; `log`, `registry` and `ingest` call. Functions are loaded by every new connection, so a server
//! that was restarted or promoted has them before the first call; but not over those of a later version whose nodes run (adr/0023).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind, Value, cmd};
use tokio::sync::Notify;

use super::aside::Aside;
use super::config::Config;
use super::connection::{Connection, Pause, reason};
use super::endpoint::{ConfigError, Endpoint};
use super::keys::Keys;
use super::scripts::{Function, Scripts, VERSION};
use crate::telemetry::metrics;

/// Whose functions a server has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// Of this node's version, perhaps with another node's settings.
    Ours,
    /// Of a later version, nodes of which run.
    Later,
    /// None, those of an earlier version, or what nodes of a later one left behind.
    Others,
}

/// The connection that commands share, while there is one.
pub(super) struct Link {
    pub(super) endpoint: Endpoint,
    scripts: Scripts,
    /// The key of the nodes' registry.
    nodes: String,
    /// The scripts that publishers call, and where their SHA-1 stands for them.
    shas: [(Function, String); 2],
    timeout: Duration,
    interval: Duration,
    pause_max: Duration,
    connection: Mutex<Option<Connection>>,
    /// Calls that wait for replicas block their connection, so they have one to themselves.
    waiting: Aside,
    /// Long answers take long to read, so what others wait for does not come behind them.
    reading: Aside,
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
            nodes: keys.nodes(),
            shas: [(Function::Publish, keys.publish_sha()), (Function::Sync, keys.sync_sha())],
            timeout: Duration::from_millis(config.command_timeout_ms),
            interval: Duration::from_millis(config.watchdog_interval_ms),
            pause_max: Duration::from_millis(config.reconnect_pause_max_ms),
            connection: Mutex::default(),
            waiting: Aside::default(),
            reading: Aside::default(),
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
        Pause::up_to(self.pause_max)
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
            self.waiting.forget();
            self.reading.forget();
            if self.fault.lock().replace(reason(&lost)).is_none() {
                metrics::redis_reconnects().increment(1);
                tracing::warn!(reason = reason(&lost), "lost the connection to Redis");
            }
            pause.wait().await;
        }
    }

    async fn establish(&self) -> RedisResult<Connection> {
        let mut connection = self.endpoint.connect(self.timeout, None).await?;
        if let Ok(Standing::Later) = self.standing(&mut connection).await {
            self.by_script.store(false, Ordering::Release);
            tracing::info!("left the functions of a later version in Redis, nodes of which run");
        } else {
            self.load(&mut connection).await?;
        }
        Ok(connection)
    }

    async fn standing(&self, connection: &mut Connection) -> RedisResult<Standing> {
        let mut ask = cmd("FCALL");
        ask.arg(Function::Version.name()).arg(1).arg(&self.nodes).arg(VERSION);
        match connection.query::<(u32, u32)>(&ask).await {
            Ok((VERSION, _)) => Ok(Standing::Ours),
            Ok((there, latest)) if there > VERSION && latest > VERSION => Ok(Standing::Later),
            Ok(_) => Ok(Standing::Others),
            Err(error) if is_missing(&error) => Ok(Standing::Others),
            Err(error) => Err(error),
        }
    }

    /// Puts the functions back that a node of an earlier version replaced, and those of this version in the place of later ones once no node
    /// brings such along any more.
    pub(super) async fn keep_functions(&self) {
        if self.by_script.load(Ordering::Acquire) {
            return;
        }
        let Ok(mut connection) = self.connection() else { return };
        if self.standing(&mut connection).await.is_ok_and(|standing| standing == Standing::Others)
            && let Err(error) = self.load(&mut connection).await
        {
            tracing::debug!(reason = reason(&error), "the functions could not be loaded; the next renewal tries again");
        }
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
                for (function, sha_key) in &self.shas {
                    let script = self.scripts.script(*function);
                    connection.query::<Value>(cmd("SCRIPT").arg("LOAD").arg(&script.source)).await?;
                    connection.query::<Value>(cmd("SET").arg(sha_key).arg(&script.sha)).await?;
                }
                self.by_script.store(true, Ordering::Release);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Calls a function on what belongs to one key.
    pub(super) async fn call<T: FromRedisValue>(&self, function: Function, key: &str, args: &[&[u8]]) -> RedisResult<T> {
        self.call_on_keys(function, &keys_of(function, key), args).await
    }

    /// Calls a function on several keys of one slot.
    pub(super) async fn call_on_keys<T: FromRedisValue>(&self, function: Function, keys: &[String], args: &[&[u8]]) -> RedisResult<T> {
        let mut connection = self.connection()?;
        let value = if function.answers_at_length() {
            // Boxed, as is all that publishing does not do: each publication has a future of this on the heap.
            Box::pin(self.call_aside(function, keys, args)).await?
        } else {
            self.call_on(&mut connection, function, keys, args, None).await?
        };
        T::from_redis_value(value).map_err(RedisError::from)
    }

    /// Nobody watches that connection, so a call that finds it dropped makes a new one, once.
    async fn call_aside(&self, function: Function, keys: &[String], args: &[&[u8]]) -> RedisResult<Value> {
        let mut connection = self.reading.get(&self.endpoint, self.timeout).await?;
        match self.call_on(&mut connection, function, keys, args, None).await {
            Err(error) if error.kind() == ErrorKind::Io => {
                self.reading.forget();
                if error.is_timeout() {
                    return Err(error);
                }
            }
            answer => return answer,
        }
        let mut connection = self.reading.get(&self.endpoint, self.timeout).await?;
        self.call_on(&mut connection, function, keys, args, None).await
    }

    /// Calls a function and waits for a replica to have its writes. A connection of its own: WAIT blocks all behind it.
    pub(super) async fn call_and_wait(&self, function: Function, key: &str, args: &[&[u8]], wait: Duration) -> RedisResult<(Value, u64)> {
        let mut connection = Box::pin(self.waiting.get(&self.endpoint, self.timeout + wait)).await?;
        let mut wait_command = cmd("WAIT");
        wait_command.arg(1).arg(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let answer = self.call_on(&mut connection, function, &keys_of(function, key), args, Some(&wait_command)).await;
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Io) {
            self.waiting.forget();
        }
        let both: Vec<Value> = Vec::from_redis_value(answer?).map_err(RedisError::from)?;
        let mut both = both.into_iter();
        let first = both.next().unwrap_or_default().extract_error()?;
        let replicas = u64::from_redis_value(both.next().unwrap_or_default()).map_err(RedisError::from)?;
        Ok((first, replicas))
    }

    /// A function that is missing (a server was flushed, or joined the Cluster) or does not know what is asked of it (a node of an earlier
    /// version loaded its own) is loaded and called again, once.
    async fn call_on(
        &self,
        connection: &mut Connection,
        function: Function,
        keys: &[String],
        args: &[&[u8]],
        then: Option<&Cmd>,
    ) -> RedisResult<Value> {
        let begun = Instant::now();
        let answer = self.attempt(connection, function, keys, args, then).await;
        metrics::redis_round_trip_seconds().record(begun.elapsed().as_secs_f64());
        let missing = answer.as_ref().is_err_and(is_missing);
        let answer = if missing {
            Box::pin(self.load(connection)).await?;
            self.attempt(connection, function, keys, args, then).await
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
        keys: &[String],
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
        command.arg(keys.len()).arg(keys).arg(args);
        let answer = send(connection, &command, &keys[0], then).await;
        if !by_script || !answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            return answer;
        }
        let mut command = cmd("EVAL");
        command.arg(&script.source).arg(keys.len()).arg(keys).arg(args);
        send(connection, &command, &keys[0], then).await
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

/// The key, and for functions on a log the log too. While a slot of a Cluster moves, no server has both (the base key is never
/// written), so it answers TRYAGAIN: otherwise the side that the log has not reached yet would begin another.
fn keys_of(function: Function, key: &str) -> Vec<String> {
    if function.is_on_a_log() { vec![key.to_owned(), Keys::log_of(key)] } else { vec![key.to_owned()] }
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
    let text = error.to_string();
    text.contains("Function not found") || text.contains("there is no such option")
}

/// Whether the server has no functions, or does not let us load any.
fn no_functions(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) || error.to_string().contains("unknown command")
}
