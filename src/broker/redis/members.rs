//! Which orgs this node wants to hear of, and where what is heard goes.
//!
//! `redis.rs` joins and leaves, `pubsub` brings the subscriptions in line and hands over what comes. A feed reads "interrupted"
//! whenever its subscription was lost, and once it is live again. No call waits.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::broker::{ControlMessage, Feed, OrgEvent, envelope};
use crate::protocol::{OrgId, RoomSyntax};
use crate::telemetry::metrics;

/// Topics that one round of settling takes on.
pub(super) const BATCH_MAX: usize = 512;

/// How far a wanted subscription has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Wanted,
    /// Redis has confirmed it; the log is still to be opened and the feed to be told.
    Subscribed,
    Live,
}

struct Member {
    org: OrgId,
    feed: Feed,
    stage: Stage,
    /// Bytes that came since somebody asked.
    heard: u64,
}

/// What this node wants to hear.
pub(super) struct Members {
    by_topic: Mutex<HashMap<String, Member>>,
    control: Mutex<Option<mpsc::Sender<ControlMessage>>>,
    changed: Notify,
    syntax: RoomSyntax,
    data_bytes_max: usize,
    fault: Mutex<Option<String>>,
}

impl Members {
    pub(super) fn new(syntax: RoomSyntax, data_bytes_max: usize) -> Self {
        Self {
            by_topic: Mutex::default(),
            control: Mutex::default(),
            changed: Notify::new(),
            syntax,
            data_bytes_max,
            fault: Mutex::new(Some("not subscribed yet".into())),
        }
    }

    pub(super) fn join(&self, topic: String, org: &OrgId, feed: Feed) {
        let mut members = self.by_topic.lock();
        let stage = match members.get(&topic) {
            Some(member) if member.stage != Stage::Wanted => Stage::Subscribed,
            _ => Stage::Wanted,
        };
        members.insert(topic, Member { org: org.clone(), feed, stage, heard: 0 });
        drop(members);
        self.changed.notify_one();
    }

    pub(super) fn leave(&self, topic: &str) {
        self.by_topic.lock().remove(topic);
        self.changed.notify_one();
    }

    /// All orgs, each with the bytes that came of it since the last call.
    pub(super) fn heard(&self) -> Vec<(OrgId, u64)> {
        self.by_topic.lock().values_mut().map(|member| (member.org.clone(), std::mem::take(&mut member.heard))).collect()
    }

    pub(super) fn set_control(&self, sender: mpsc::Sender<ControlMessage>) {
        *self.control.lock() = Some(sender);
    }

    /// Why nothing is heard, if so.
    pub(super) fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }

    /// Remembers a fault, or that it is over; the answer is the one before.
    pub(super) fn set_fault(&self, fault: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.fault.lock(), fault)
    }

    /// Waits until something else is wanted than before.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
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
    pub(super) fn interrupt_all(&self) {
        for member in self.by_topic.lock().values_mut() {
            member.stage = Stage::Wanted;
            member.feed.send(OrgEvent::Interrupted);
        }
        self.changed.notify_one();
    }

    /// One subscription is lost, unless it was given up.
    pub(super) fn interrupt(&self, topic: &str) {
        if let Some(member) = self.by_topic.lock().get_mut(topic) {
            member.stage = Stage::Wanted;
            member.feed.send(OrgEvent::Interrupted);
            self.changed.notify_one();
        }
    }

    pub(super) fn deliver(&self, topic: &str, payload: Vec<u8>) {
        let found = self.by_topic.lock().get_mut(topic).map(|member| {
            member.heard = member.heard.saturating_add(payload.len() as u64);
            (member.org.clone(), member.feed.clone())
        });
        let Some((org, feed)) = found else {
            return self.deliver_control(payload);
        };
        match envelope::bus_message(&envelope::within(payload.into(), self.data_bytes_max), &org, &self.syntax) {
            Ok(event) => feed.send(event),
            Err(envelope::Unreadable) => {
                metrics::bus_unreadable().increment(1);
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

    pub(super) fn at_stage(&self, stage: Stage) -> Vec<(String, OrgId)> {
        let members = self.by_topic.lock();
        let found = members.iter().filter(|(_, member)| member.stage == stage);
        found.take(BATCH_MAX).map(|(topic, member)| (topic.clone(), member.org.clone())).collect()
    }

    pub(super) fn advance(&self, topic: &str, from: Stage, to: Stage) {
        if let Some(member) = self.by_topic.lock().get_mut(topic).filter(|member| member.stage == from) {
            member.stage = to;
            if to == Stage::Live {
                member.feed.send(OrgEvent::Interrupted);
            }
        }
    }

    pub(super) fn takes(&self, topic: &str) -> bool {
        self.by_topic.lock().contains_key(topic)
    }
}
