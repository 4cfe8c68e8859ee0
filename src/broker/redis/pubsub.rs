//! The supervised connection that brings what happens in orgs.
//!
//! [`Members`] says what is wanted; the supervisor makes the connection agree with it, over and over. Logs are opened before their
//! feeds are told that they are live.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use redis::aio::AsyncPushSender;
use redis::{ErrorKind, PushInfo, PushKind, RedisError, RedisResult, Value};
use tokio::sync::Notify;

use super::connection::{Connection, reason, within};
use super::keys::Keys;
use super::link::Link;
use super::log;
use super::members::{BATCH_MAX, Members, Stage};

/// Calls that run at once while subscriptions are settled.
const CALLS_MAX: usize = 32;
/// In a Cluster, every how many probes some live topics are subscribed to again: servers forget them when slots move.
const HEAL_EVERY: u32 = 2;

/// The parts that the supervisor of subscriptions works with.
pub(super) struct Subscriber {
    pub(super) link: Arc<Link>,
    pub(super) members: Arc<Members>,
    pub(super) keys: Keys,
    /// Topics of notes to this node.
    pub(super) control_topics: [String; 2],
}

impl Subscriber {
    /// Keeps the subscriptions up for as long as it is polled.
    pub(super) async fn supervise(&self) {
        let mut pause = self.link.pause();
        loop {
            let lost = Arc::new(Notify::new());
            let error = match self.establish(&lost).await {
                Ok(connection) => {
                    self.members.set_fault(None);
                    pause = self.link.pause();
                    let error = self.keep(connection, &lost).await;
                    self.members.interrupt_all();
                    error
                }
                Err(error) => error,
            };
            if self.members.set_fault(Some(reason(&error))).is_none() {
                tracing::warn!(reason = reason(&error), "lost the subscriptions to Redis");
            }
            pause.wait().await;
        }
    }

    async fn establish(&self, lost: &Arc<Notify>) -> RedisResult<Connection> {
        let push = self.push_sender(Arc::clone(lost));
        let mut connection = self.link.endpoint.connect(self.link.timeout(), Some(push)).await?;
        within(self.link.timeout(), connection.subscribe_everywhere(&self.control_topics)).await?;
        Ok(connection)
    }

    /// Runs on the connection's own task for every push, so it only decodes and hands over.
    fn push_sender(&self, lost: Arc<Notify>) -> Arc<dyn AsyncPushSender> {
        let members = Arc::clone(&self.members);
        let cluster = self.link.endpoint.is_cluster();
        Arc::new(move |info: PushInfo| -> Result<(), redis::aio::SendError> {
            let mut data = info.data.into_iter();
            let topic = match data.next() {
                Some(Value::BulkString(topic)) => String::from_utf8(topic).unwrap_or_default(),
                _ => String::new(),
            };
            match (info.kind, data.next()) {
                (PushKind::Message | PushKind::SMessage, Some(Value::BulkString(payload))) => members.deliver(&topic, payload),
                (PushKind::Unsubscribe | PushKind::SUnsubscribe, _) => members.interrupt(&topic),
                // The Cluster's connection replaces the one to the lost server by itself; what it forgot is subscribed again.
                (PushKind::Disconnection, _) if cluster => members.interrupt_all(),
                (PushKind::Disconnection, _) => lost.notify_one(),
                _ => {}
            }
            Ok(())
        })
    }

    /// Makes the connection agree with what is wanted until it is lost; the answer says why.
    async fn keep(&self, mut connection: Connection, lost: &Notify) -> RedisError {
        let mut watched = connection.clone();
        let never = Notify::new();
        let watch = self.link.endpoint.watch(&mut watched, self.link.interval(), &never);
        tokio::select! {
            error = watch => error,
            () = lost.notified() => RedisError::from((ErrorKind::Io, "the connection was closed")),
            error = self.settle_forever(&mut connection) => error,
        }
    }

    async fn settle_forever(&self, connection: &mut Connection) -> RedisError {
        let mut actual = HashSet::new();
        let mut round = 0_u32;
        loop {
            if let Err(error) = self.settle(connection, &mut actual).await {
                if !self.link.endpoint.is_cluster() {
                    return error;
                }
                tracing::debug!(reason = reason(&error), "some topics could not be subscribed to; they will be tried again");
            }
            tokio::select! {
                () = self.members.changed() => {}
                () = tokio::time::sleep(self.link.interval()) => {
                    round = round.wrapping_add(1);
                    if self.link.endpoint.is_cluster() && round.is_multiple_of(HEAL_EVERY) {
                        self.heal(connection, &actual, round / HEAL_EVERY).await;
                    }
                }
            }
        }
    }

    async fn settle(&self, connection: &mut Connection, actual: &mut HashSet<String>) -> RedisResult<()> {
        loop {
            let wanted: Vec<String> = self.members.at_stage(Stage::Wanted).into_iter().map(|(topic, _)| topic).collect();
            if wanted.is_empty() {
                break;
            }
            let (done, failed) = self.subscribe(connection, wanted).await;
            for topic in done {
                self.members.advance(&topic, Stage::Wanted, Stage::Subscribed);
                actual.insert(topic);
            }
            if let Some(error) = failed {
                self.open_subscribed().await;
                return Err(error);
            }
        }
        self.open_subscribed().await;
        self.give_up(connection, actual).await
    }

    /// Subscribes in one command, or, in a Cluster, one by one. The answer is what was confirmed, and one failure if there was any.
    async fn subscribe(&self, connection: &Connection, topics: Vec<String>) -> (Vec<String>, Option<RedisError>) {
        let timeout = self.link.timeout();
        if !self.link.endpoint.is_cluster() {
            return match within(timeout, connection.clone().subscribe(&topics)).await {
                Ok(()) => (topics, None),
                Err(error) => (Vec::new(), Some(error)),
            };
        }
        let calls = stream::iter(topics).map(|topic| {
            let mut connection = connection.clone();
            async move {
                let answer = within(timeout, connection.subscribe(std::slice::from_ref(&topic))).await;
                (topic, answer)
            }
        });
        let answers: Vec<_> = calls.buffer_unordered(CALLS_MAX).collect().await;
        let (mut done, mut failed) = (Vec::new(), None);
        for (topic, answer) in answers {
            match answer {
                Ok(()) => done.push(topic),
                Err(error) => failed = Some(error),
            }
        }
        (done, failed)
    }

    /// Opens the logs of confirmed subscriptions and tells their feeds. What fails stays as it is for the next round.
    async fn open_subscribed(&self) {
        let subscribed = stream::iter(self.members.at_stage(Stage::Subscribed));
        subscribed
            .for_each_concurrent(CALLS_MAX, |(topic, org)| async move {
                if log::open(&self.link, &self.keys, &org).await.is_ok() {
                    self.members.advance(&topic, Stage::Subscribed, Stage::Live);
                }
            })
            .await;
    }

    async fn give_up(&self, connection: &mut Connection, actual: &mut HashSet<String>) -> RedisResult<()> {
        let left: Vec<String> = actual.iter().filter(|topic| !self.members.takes(topic)).cloned().collect();
        for topic in left {
            within(self.link.timeout(), connection.unsubscribe(std::slice::from_ref(&topic))).await?;
            actual.remove(&topic);
        }
        Ok(())
    }

    /// Subscribes again to some of the live topics, in turn.
    async fn heal(&self, connection: &Connection, actual: &HashSet<String>, turn: u32) {
        let batches = actual.len().div_ceil(BATCH_MAX).max(1);
        let skip = (turn as usize % batches) * BATCH_MAX;
        let topics = actual.iter().skip(skip).take(BATCH_MAX).cloned().collect();
        let (_, failed) = self.subscribe(connection, topics).await;
        if let Some(error) = failed {
            tracing::debug!(reason = reason(&error), "some topics could not be subscribed to again");
        }
    }
}
