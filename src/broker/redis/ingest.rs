//! The stream that backends write to, turned into publications and writes to collections.
//!
//! One node at a time owns a shard and takes its entries in order: publish, then delete and acknowledge. Whatever dies in between
//! leaves the entry pending; the next owner claims it and publishes it again under the same idempotency key, so that it is
//! logged once. What cannot be published goes to the dead letters with its reason; what cannot be published *now* is tried
//! again until it can, and what only its org's quota holds up waits aside, so that no other org waits with it. Nothing here is called by sessions or the hub.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::streams::{StreamAutoClaimReply, StreamId, StreamRangeReply, StreamReadReply};
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, cmd};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::RedisBroker;
use super::config::IngestConfig;
use super::connection::{Connection, reason, within};
use super::deferral::{Bounds, Deferral};
use super::scripts::Function;
use crate::broker::collections::{self, WriteError};
use crate::broker::ingest_entry::{self, Wish};
use crate::broker::{AckLevel, Broker};
use crate::protocol::OrgId;
use crate::telemetry::metrics::{self, IngestOutcome};

/// The consumer group that all nodes are in.
const GROUP: &str = "roomcast";
/// Where a stream begins, and what XAUTOCLAIM answers when there is nothing further.
const FIRST_ID: &str = "0-0";
/// How long one read waits for entries; ownership is renewed in between.
const BLOCK_MS: u64 = 1_000;
/// How much later than `BLOCK_MS` an answer may come.
const RESPONSE_MARGIN: Duration = Duration::from_secs(2);
/// How often a node asks for a shard that is another's.
const OWNER_POLL: Duration = Duration::from_millis(500);
/// What is kept of a refused entry: fields, and how much of each name and value.
const DEAD_FIELDS_MAX: usize = 16;
const DEAD_NAME_CHARS_MAX: usize = 64;
const DEAD_VALUE_BYTES_MAX: usize = 4_096;

/// The consumers of one node. Dropping it abandons them at once, which loses nothing.
pub struct Ingest {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Ingest {
    /// Lets the consumers finish the entry they are at and give their shards up.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl RedisBroker {
    /// Starts to consume the ingest streams, one task per shard; none when the configuration says so.
    pub fn spawn_ingest(self: &Arc<Self>) -> Ingest {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        if self.config.ingest.enabled {
            for shard in 0..self.config.ingest.shards {
                let consumer = Consumer {
                    broker: Arc::clone(self),
                    config: self.config.ingest.clone(),
                    shard,
                    stream: self.keys.ingest(shard),
                    stop: stop.clone(),
                };
                tasks.spawn(async move { consumer.run().await });
            }
        }
        Ingest { stop, tasks }
    }
}

/// Whether a shard is this node's to consume.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ownership {
    Other,
    Kept,
    New,
}

struct Consumer {
    broker: Arc<RedisBroker>,
    config: IngestConfig,
    shard: u32,
    stream: String,
    stop: CancellationToken,
}

impl Consumer {
    async fn run(&self) {
        let mut pause = self.broker.link.pause();
        while !self.stop.is_cancelled() {
            let wait = match self.consume().await {
                Ok(()) => {
                    pause = self.broker.link.pause();
                    self.stop.run_until_cancelled(tokio::time::sleep(OWNER_POLL)).await
                }
                Err(error) => {
                    tracing::debug!(shard = self.shard, reason = reason(&error), "ingest is interrupted and will be tried again");
                    self.stop.run_until_cancelled(pause.wait()).await
                }
            };
            if wait.is_none() {
                break;
            }
        }
        let _ = self.own(0).await;
    }

    /// Consumes for as long as the shard is this node's, Redis answers, and nobody says stop.
    async fn consume(&self) -> RedisResult<()> {
        if self.own(self.config.owner_lease_ms).await? == Ownership::Other {
            return Ok(());
        }
        let timeout = Duration::from_millis(BLOCK_MS) + RESPONSE_MARGIN;
        let mut connection = self.broker.link.endpoint.connect(timeout, None).await?;
        self.create_group(&mut connection).await?;
        let mut deferral = Deferral::default();
        // Where claiming what others left goes on; nothing when there is no more.
        let mut claim = Some(FIRST_ID.to_owned());
        while !self.stop.is_cancelled() {
            match self.own(self.config.owner_lease_ms).await? {
                Ownership::Other => return Ok(()),
                // What waited here may have been published by somebody else.
                Ownership::New => (claim, deferral) = (Some(FIRST_ID.to_owned()), Deferral::default()),
                Ownership::Kept => {}
            }
            if let Some(from) = claim {
                // Entries that an earlier owner left come first, so that order holds.
                claim = self.take_over(&mut connection, &from, &mut deferral).await?;
                continue;
            }
            self.retry(&mut connection, &mut deferral).await?;
            let entries = self.read(&mut connection, &deferral).await?;
            self.handle(&mut connection, &entries, &mut deferral).await?;
            metrics::ingest_deferred().set(deferral.len() as f64);
        }
        metrics::ingest_deferred().set(0.0);
        Ok(())
    }

    async fn own(&self, lease_ms: u64) -> RedisResult<Ownership> {
        let key = self.broker.keys.ingest_owner(self.shard);
        let lease = lease_ms.to_string();
        let args = [self.broker.node_id.as_bytes(), lease.as_bytes()];
        Ok(match self.broker.link.call::<u8>(Function::Own, &key, &args).await? {
            1 => Ownership::Kept,
            2 => Ownership::New,
            _ => Ownership::Other,
        })
    }

    async fn create_group(&self, connection: &mut Connection) -> RedisResult<()> {
        let mut command = cmd("XGROUP");
        command.arg("CREATE").arg(&self.stream).arg(GROUP).arg("0").arg("MKSTREAM");
        match connection.query::<Value>(&command).await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
            _ => Ok(()),
        }
    }

    /// Handles one batch of what is pending, whoever holds it: there is no other owner, and were one still at it, the idempotency
    /// keys keep the log right. Redis drops pending entries that have been deleted. The answer is where to go on.
    async fn take_over(&self, connection: &mut Connection, from: &str, deferral: &mut Deferral) -> RedisResult<Option<String>> {
        let mut command = cmd("XAUTOCLAIM");
        command.arg(&self.stream).arg(GROUP).arg(&*self.broker.node_id).arg(0).arg(from).arg("COUNT").arg(self.config.batch.max(1));
        let claimed: StreamAutoClaimReply = connection.query(&command).await?;
        self.handle(connection, &claimed.claimed, deferral).await?;
        Ok((claimed.next_stream_id != FIRST_ID).then_some(claimed.next_stream_id))
    }

    async fn read(&self, connection: &mut Connection, deferral: &Deferral) -> RedisResult<Vec<StreamId>> {
        // 0 would wait for ever.
        let block_ms = deferral.wait(Instant::now(), Duration::from_millis(BLOCK_MS)).as_millis().max(1);
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(GROUP).arg(&*self.broker.node_id).arg("COUNT").arg(self.config.batch.max(1));
        command.arg("BLOCK").arg(block_ms.to_string()).arg("STREAMS").arg(&self.stream).arg(">");
        let limit = Duration::from_millis(BLOCK_MS) + RESPONSE_MARGIN;
        let reply: Option<StreamReadReply> = within(limit, connection.query(&command)).await?;
        Ok(reply.unwrap_or_default().keys.into_iter().flat_map(|key| key.ids).collect())
    }

    /// Publishes entries one after another, so that order holds, then deletes and acknowledges them all, but for those that wait for their
    /// org's quota. An error leaves them pending; they are claimed again before anything later is read, and those that were published already
    /// are known by their keys.
    async fn handle(&self, connection: &mut Connection, entries: &[StreamId], deferral: &mut Deferral) -> RedisResult<()> {
        let mut done = Vec::with_capacity(entries.len());
        for entry in entries {
            let waits = match self.read_entry(entry) {
                Err(why) => {
                    self.bury(connection, entry, &why).await?;
                    false
                }
                Ok(wish) if deferral.holds(wish.org()) => self.defer(connection, entry, wish.org(), Instant::now(), deferral).await?,
                Ok(wish) => match self.publish(connection, entry, &wish).await? {
                    Some(due) => self.defer(connection, entry, wish.org(), due, deferral).await?,
                    None => false,
                },
            };
            if !waits {
                done.push(entry.id.as_str());
            }
        }
        self.acknowledge(connection, &done).await
    }

    async fn acknowledge(&self, connection: &mut Connection, ids: &[&str]) -> RedisResult<()> {
        if ids.is_empty() {
            return Ok(());
        }
        // Deleted first: an entry that was acknowledged and then not deleted would stay for ever, the reverse is cleaned up by a claim.
        connection.query::<u64>(cmd("XDEL").arg(&self.stream).arg(ids)).await?;
        connection.query::<u64>(cmd("XACK").arg(&self.stream).arg(GROUP).arg(ids)).await?;
        Ok(())
    }

    /// Tries the entries that wait and are due, some of each org.
    async fn retry(&self, connection: &mut Connection, deferral: &mut Deferral) -> RedisResult<()> {
        for org in deferral.due(Instant::now()) {
            for _ in 0..self.config.batch.max(1) {
                let Some(id) = deferral.first(&org).map(str::to_owned) else { break };
                let found: StreamRangeReply = connection.query(cmd("XRANGE").arg(&self.stream).arg(&id).arg(&id)).await?;
                // What somebody removed is none of ours any more.
                if let Some(entry) = found.ids.first()
                    && let Ok(wish) = self.read_entry(entry)
                    && let Some(due) = self.publish(connection, entry, &wish).await?
                {
                    deferral.put_off(&org, due);
                    break;
                }
                self.acknowledge(connection, &[&id]).await?;
                deferral.take_first(&org);
            }
        }
        Ok(())
    }

    fn read_entry(&self, entry: &StreamId) -> Result<Wish, String> {
        let read = ingest_entry::read(&fields(entry), &self.broker.syntax, self.broker.config.data_bytes_max);
        read.map(|mut wish| {
            wish.default_key(|| format!("ingest:{}:{}", self.shard, entry.id).into());
            wish
        })
    }

    /// Carries one entry out, or buries what is unfit. With the org's quota used up it does neither, and the answer is when to try again.
    async fn publish(&self, connection: &mut Connection, entry: &StreamId, wish: &Wish) -> RedisResult<Option<Instant>> {
        let why = match self.carry_out(wish).await {
            Ok(duplicate) => {
                metrics::ingested(if duplicate { IngestOutcome::Duplicate } else { IngestOutcome::Logged }).increment(1);
                return Ok(None);
            }
            Err(WriteError::Exceeded(exceeded)) => return Ok(Some(Instant::now() + Duration::from_millis(exceeded.retry_after_ms))),
            Err(WriteError::Unavailable(why)) => {
                return Err(RedisError::from((ErrorKind::Server(ServerErrorKind::TryAgain), "publish", why)));
            }
            Err(WriteError::Refused(why) | WriteError::Full(why)) => why,
            Err(WriteError::Conflict(conflict)) => match conflict.current {
                Some(item) => format!("conflict: the item has version {}", item.version),
                None => "conflict: there is no such item".to_owned(),
            },
        };
        self.bury(connection, entry, &why).await.map(|()| None)
    }

    /// Lets an entry wait; one for which there is no room is buried. Whether it waits.
    async fn defer(
        &self,
        connection: &mut Connection,
        entry: &StreamId,
        org: &OrgId,
        due: Instant,
        deferral: &mut Deferral,
    ) -> RedisResult<bool> {
        let bounds = Bounds { per_org_max: self.config.deferred_per_org_max, max: self.config.deferred_max };
        if deferral.put(org, &entry.id, due, bounds) {
            return Ok(true);
        }
        let why = "the organization publishes more than its quota, and too many of its entries wait already";
        self.bury(connection, entry, why).await.map(|()| false)
    }

    /// Whether its key had been used before.
    async fn carry_out(&self, wish: &Wish) -> Result<bool, WriteError> {
        match wish {
            Wish::Publish(publication) => Ok(self.broker.publish(publication, AckLevel::Primary).await?.duplicate),
            Wish::Write(write) => Ok(collections::write(&*self.broker, write, AckLevel::Primary).await?.duplicate),
        }
    }

    /// Keeps a refused entry for people to look at: why, where it came from, and the beginnings of its first fields. Whatever made it
    /// unfit may be its size, and ten thousand of those must fit.
    async fn bury(&self, connection: &mut Connection, entry: &StreamId, why: &str) -> RedisResult<()> {
        metrics::ingested(IngestOutcome::Dead).increment(1);
        let mut command = cmd("XADD");
        command.arg(self.broker.keys.ingest_dead()).arg("MAXLEN").arg("~").arg(self.config.dead_max.max(1)).arg("*");
        command.arg("reason").arg(why).arg("stream").arg(&self.stream).arg("id").arg(&entry.id);
        for (name, value) in fields(entry).into_iter().take(DEAD_FIELDS_MAX) {
            let name: String = name.chars().take(DEAD_NAME_CHARS_MAX).collect();
            command.arg(format!("field:{name}")).arg(&value[..value.len().min(DEAD_VALUE_BYTES_MAX)]);
        }
        connection.query::<String>(&command).await.map(|_| ())
    }
}

fn fields(entry: &StreamId) -> HashMap<&str, &[u8]> {
    let texts = entry.map.iter().filter_map(|(name, value)| match value {
        Value::BulkString(bytes) => Some((name.as_str(), bytes.as_slice())),
        _ => None,
    });
    texts.collect()
}
