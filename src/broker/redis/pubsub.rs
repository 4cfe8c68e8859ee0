//! Who wants to hear of which org, and the supervised connection that brings it.
//!
//! Joining and leaving only change what is wanted; the supervisor makes the connection agree with it, over and over. A feed
//! reads "interrupted" whenever its subscription was lost, and once it is live again and the log has been opened.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use redis::aio::AsyncPushSender;
use redis::{ErrorKind, PushInfo, PushKind, RedisError, RedisResult, Value};
use tokio::sync::{Notify, mpsc};

use super::connection::{Connection, Link, reason, within};
use super::keys::Keys;
use super::log;
use crate::broker::{ControlMessage, Feed, OrgEvent, envelope};
use crate::protocol::{OrgId, RoomSyntax};

/// Topics that one round of subscribing takes on.
const BATCH_MAX: usize = 512;
/// Calls that run at once while subscriptions are settled.
const CALLS_MAX: usize = 32;
/// In a Cluster, every how many probes some live topics are subscribed to again: servers forget them when slots move.
const HEAL_EVERY: u32 = 2;

/// How far a wanted subscription has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Wanted,
    /// Redis has confirmed it; the log is still to be opened and the feed to be told.
    Subscribed,
    Live,
}

struct Member {
    org: OrgId,
    feed: Feed,
    stage: Stage,
}

/// What this node wants to hear.
pub(super) struct Members {
    by_topic: Mutex<HashMap<String, Member>>,
    control: Mutex<Option<mpsc::Sender<ControlMessage>>>,
    changed: Notify,
    syntax: RoomSyntax,
    fault: Mutex<Option<String>>,
}

impl Members {
    pub(super) fn new(syntax: RoomSyntax) -> Self {
        Self {
            by_topic: Mutex::default(),
            control: Mutex::default(),
            changed: Notify::new(),
            syntax,
            fault: Mutex::new(Some("not subscribed yet".into())),
        }
    }

    pub(super) fn join(&self, topic: String, org: &OrgId, feed: Feed) {
        let mut members = self.by_topic.lock();
        let stage = match members.get(&topic) {
            Some(member) if member.stage != Stage::Wanted => Stage::Subscribed,
            _ => Stage::Wanted,
        };
        members.insert(topic, Member { org: org.clone(), feed, stage });
        drop(members);
        self.changed.notify_one();
    }

    pub(super) fn leave(&self, topic: &str) {
        self.by_topic.lock().remove(topic);
        self.changed.notify_one();
    }

    pub(super) fn orgs(&self) -> Vec<OrgId> {
        self.by_topic.lock().values().map(|member| member.org.clone()).collect()
    }

    pub(super) fn set_control(&self, sender: mpsc::Sender<ControlMessage>) {
        *self.control.lock() = Some(sender);
    }

    /// Why nothing is heard, if so.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }

    /// The logs have to be opened again, because the commands go over a new connection, perhaps to another server.
    pub(super) fn reopen(&self) {
        for member in self.by_topic.lock().values_mut() {
            if member.stage == Stage::Live {
                member.stage = Stage::Subscribed;
            }
        }
        self.changed.notify_one();
    }

    /// All subscriptions are lost.
    fn interrupt_all(&self) {
        for member in self.by_topic.lock().values_mut() {
            member.stage = Stage::Wanted;
            member.feed.send(OrgEvent::Interrupted);
        }
        self.changed.notify_one();
    }

    /// One subscription is lost, unless it was given up.
    fn interrupt(&self, topic: &str) {
        if let Some(member) = self.by_topic.lock().get_mut(topic) {
            member.stage = Stage::Wanted;
            member.feed.send(OrgEvent::Interrupted);
            self.changed.notify_one();
        }
    }

    fn deliver(&self, topic: &str, payload: Vec<u8>) {
        let found = self.by_topic.lock().get(topic).map(|member| (member.org.clone(), member.feed.clone()));
        let Some((org, feed)) = found else {
            return self.deliver_control(payload);
        };
        match envelope::bus_message(&Bytes::from(payload), &org, &self.syntax) {
            Ok(event) => feed.send(event),
            Err(envelope::Unreadable) => {
                metrics::counter!("roomcast_bus_unreadable_total").increment(1);
                // It may have been an entry: the log knows.
                feed.send(OrgEvent::Interrupted);
            }
        }
    }

    fn deliver_control(&self, payload: Vec<u8>) {
        if let Some(control) = self.control.lock().as_ref() {
            // Whoever asked counts the answers, so a note that finds no room is a node that did not answer.
            let _ = control.try_send(ControlMessage(payload.into()));
        }
    }

    fn at_stage(&self, stage: Stage) -> Vec<(String, OrgId)> {
        let members = self.by_topic.lock();
        let found = members.iter().filter(|(_, member)| member.stage == stage);
        found.take(BATCH_MAX).map(|(topic, member)| (topic.clone(), member.org.clone())).collect()
    }

    fn advance(&self, topic: &str, from: Stage, to: Stage) {
        if let Some(member) = self.by_topic.lock().get_mut(topic).filter(|member| member.stage == from) {
            member.stage = to;
            if to == Stage::Live {
                member.feed.send(OrgEvent::Interrupted);
            }
        }
    }

    fn takes(&self, topic: &str) -> bool {
        self.by_topic.lock().contains_key(topic)
    }
}

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
                    *self.members.fault.lock() = None;
                    pause = self.link.pause();
                    let error = self.keep(connection, &lost).await;
                    self.members.interrupt_all();
                    error
                }
                Err(error) => error,
            };
            if self.members.fault.lock().replace(reason(&error)).is_none() {
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
                () = self.members.changed.notified() => {}
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
