//! Carries out what a session's machine decides: checks tokens, enters the org, publishes, answers.
//!
//! A transport owns one [`Session`] per connection, hands it messages and polls [`Session::poll_progress`]; the session fills its
//! send queue, which the transport writes out. One command is carried out at a time, so answers come in the order of commands
//! and a slow broker holds back only those who publish. What takes time is boxed for as long as it takes: an idle session is a few
//! hundred bytes.

mod admission;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use self::admission::{Refusal, Verified};
use super::alarm::{Alarm, Alarms};
use super::config::Settings;
use super::language::Language;
use super::machine::{Action, Machine, Now, Rules, Terms};
use super::registry::{Entry, Registry};
use crate::auth::Verifier;
use crate::broker::faults::{refused, unread};
use crate::broker::{AckLevel, Broker, PublishError, Published, collections, submit};
use crate::hub::{Hub, OrgGone, OrgLink, SendQueue, send_queue};
use crate::limit::Quotas;
use crate::protocol::command::{CommandId, Subscribe, Unreadable};
use crate::protocol::push::{Answer, Reply};
use crate::protocol::{Close, CloseCode, Code, Command, Fault, Push, SessionId};
use crate::telemetry::counters::Counters;

/// What every session of a node shares.
pub struct Parts {
    pub hub: Arc<Hub>,
    pub broker: Arc<dyn Broker>,
    pub verifier: Arc<Verifier>,
    pub registry: Arc<Registry>,
    pub quotas: Arc<Quotas>,
    pub rules: Arc<Rules>,
    pub settings: Settings,
    pub counters: Arc<Counters>,
    pub alarms: Alarms,
    /// The zero of the sessions' clock, and of the alarms'.
    pub started: Instant,
}

impl Parts {
    fn terms<'a>(&'a self, language: &'a Language) -> Terms<'a> {
        Terms { rules: &language.rules, settings: &self.settings, dialect: language.dialect }
    }

    pub fn now(&self) -> Now {
        Now { mono_ms: millis(self.started.elapsed()), unix_ms: crate::clock::unix_ms() }
    }

    /// The bounds of a session's send queue.
    pub fn queue_limits(&self) -> send_queue::Limits {
        let hub = self.hub.config();
        send_queue::Limits { bytes_max: hub.queue_bytes_max, replies_bytes_max: hub.replies_bytes_max }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One connected client.
pub struct Session {
    parts: Arc<Parts>,
    machine: Machine,
    entry: Arc<Entry>,
    language: Arc<Language>,
    link: Option<OrgLink>,
    /// Whether a connection of the principal's org is leased.
    is_leased: bool,
    /// Commands that came with the one at hand, in one read.
    /// `None` mostly: an idle session keeps no buffer.
    inbox: Option<Box<VecDeque<Result<Command, Unreadable>>>>,
    pending: Option<Pending>,
    /// The org has to be told that the queue ran empty.
    drained: bool,
    alarm: Alarm,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.parts.alarms.cancel(&mut self.alarm);
    }
}

type Pending = Pin<Box<dyn Future<Output = Done> + Send>>;

/// The outcome of something that took time.
enum Done {
    Verified(Box<Verified>),
    Opened(Result<OrgLink, Refusal>),
    Published {
        id: Option<CommandId>,
        outcome: Result<Published, PublishError>,
    },
    /// A command has been carried out; this is what came of it.
    Answered(Box<Answer>),
    /// The org has carried out a command, or is gone.
    Settled(Result<(), OrgGone>),
}

impl Session {
    /// Registers a new session, which speaks through `queue`.
    pub fn new(parts: Arc<Parts>, language: Arc<Language>, queue: Arc<SendQueue>) -> Self {
        let now = parts.now();
        let id = SessionId(uuid::Builder::from_unix_timestamp_millis(now.unix_ms, &rand::random()).into_uuid());
        let entry = Arc::new(Entry::new(id, queue, now.unix_ms));
        parts.registry.enter(Arc::clone(&entry));
        let jitter_ms = rand::random_range(0..=parts.settings.ping_interval_ms / 2);
        let machine = Machine::new(id, &parts.settings, now, jitter_ms);
        let alarm = Alarm::default();
        Self { parts, machine, entry, language, link: None, is_leased: false, inbox: None, pending: None, drained: false, alarm }
    }

    pub fn id(&self) -> SessionId {
        self.machine.id()
    }

    pub fn queue(&self) -> &Arc<SendQueue> {
        &self.entry.queue
    }

    /// Starts with the credentials and wishes of the handshake instead of a first command.
    pub fn present(&mut self, token: String, subscribe: Subscribe) {
        self.verify(None, token, subscribe);
    }

    /// Says what the server says first in the client's language, and starts with the credentials of the handshake. Without any the client
    /// is awaited to send some, is a guest, or is refused.
    pub fn begin(&mut self, token: Option<String>) {
        let (parts, language) = (Arc::clone(&self.parts), Arc::clone(&self.language));
        let now = parts.now();
        let mut greeting = BytesMut::new();
        language.wire.greet(now.unix_ms, &mut greeting);
        self.say(greeting);
        match (token, language.dialect) {
            (Some(token), _) => self.present(token, Subscribe::default()),
            (None, Some(dialect)) if language.guest.is_some() || !dialect.authenticates_by_message => {
                let refused = || Fault::new(Code::AuthFailed, "a token is needed: append ?token=… to the address");
                let guest = language.guest.as_ref().map(|guest| guest.arriving(now.unix_ms / 1_000)).ok_or_else(refused);
                let verdict = guest.and_then(|principal| parts.registry.is_informed(now.mono_ms).map(|()| principal));
                self.log_verdict(&verdict);
                let mut actions = Vec::new();
                self.machine.on_nobody(verdict, &parts.terms(&language), now, &mut actions);
                self.perform(actions);
            }
            (None, _) => {}
        }
    }

    /// Whether more should be read from the client now.
    pub fn wants_input(&self) -> bool {
        self.pending.is_none() && self.inbox.is_none() && !self.entry.queue.replies_full()
    }

    /// Anything came from the client, a pong for instance.
    pub fn on_heard(&mut self) {
        let now = self.parts.now();
        self.machine.on_heard(now);
        self.entry.note_heard(now.unix_ms);
    }

    /// Whether the client's messages are binary.
    pub fn is_binary(&self) -> bool {
        self.language.is_binary
    }

    /// One message in the client's language. It is carried out by [`Session::progress`].
    pub fn on_message(&mut self, message: &[u8]) {
        self.inbox.get_or_insert_default().push_back((self.language.read)(message));
    }

    /// The queue ran empty; tells the hub if it wants to know. Whether it could not be told at once, so that there is something to do.
    pub fn on_flushed(&mut self) -> bool {
        self.drained |= self.entry.queue.take_drained();
        if self.drained
            && let Some(link) = &self.link
        {
            self.drained = !link.try_drained();
        }
        self.drained
    }

    /// Does the next thing that is due: a command, the end of a pending step, or a timeout. Cancel-safe.
    pub async fn progress(&mut self) {
        poll_fn(|context| self.poll_progress(context)).await;
    }

    /// As [`Session::progress`]; `Pending` when nothing is due.
    pub fn poll_progress(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(pending) = &mut self.pending {
            if let Poll::Ready(done) = pending.as_mut().poll(context) {
                self.pending = None;
                self.finish(done);
                return Poll::Ready(());
            }
        } else if self.drained {
            self.settle(|link| async move { link.drained().await });
            self.drained = false;
            return Poll::Ready(());
        } else if let Some(command) = self.next_command() {
            let mut actions = Vec::new();
            let (parts, language) = (Arc::clone(&self.parts), Arc::clone(&self.language));
            self.machine.on_command(command, &parts.terms(&language), parts.now(), &mut actions);
            self.perform(actions);
            return Poll::Ready(());
        }
        self.poll_timeout(context)
    }

    fn next_command(&mut self) -> Option<Result<Command, Unreadable>> {
        let inbox = self.inbox.as_mut()?;
        let command = inbox.pop_front();
        if inbox.is_empty() {
            self.inbox = None;
        }
        command
    }

    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let (due_ms, now) = (self.machine.timeout_ms(&self.parts.settings), self.parts.now());
        ready!(self.parts.alarms.poll(&mut self.alarm, due_ms, now.mono_ms, context));
        let mut actions = Vec::new();
        self.machine.on_timeout(&self.parts.settings, now, &mut actions);
        self.perform(actions);
        Poll::Ready(())
    }

    /// Whether commands that have been read are not carried out yet.
    pub fn is_busy(&self) -> bool {
        self.pending.is_some() || self.inbox.is_some()
    }

    /// Whether nobody knows who the client is, and no credentials of it are being looked at.
    pub fn is_stranger(&self) -> bool {
        !self.is_busy() && self.entry.principal().is_none()
    }

    /// Leaves the hub, the registry and the org's count; what waits in the send queue stays the transport's to write.
    pub async fn end(mut self: Box<Self>) {
        self.parts.registry.leave(self.machine.id());
        // A step that is under way may still take the lease or a place in the hub, so it is seen to its end.
        if let Some(pending) = self.pending.take()
            && let Done::Opened(outcome) = pending.await
        {
            self.opened(outcome);
        }
        // Whoever was revoked is not there any more; others may only be on their way to another node.
        let is_revoked = self.entry.queue.close_asked().is_some_and(|close| close.code == CloseCode::Revoked);
        if let Some(link) = self.link.take() {
            if is_revoked { link.cast_out().await } else { link.detach().await }
        }
        if self.is_leased
            && let Some(principal) = self.entry.principal()
        {
            self.parts.broker.release_connection(principal.org()).await;
        }
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Answer(answer) => self.answer(&answer),
                Action::Verify { id, authenticate } => self.verify(id, authenticate.token, authenticate.subscribe),
                Action::Open { principal, grants, from, answer } => self.open(&principal, grants, from, answer),
                Action::Renew { principal, grants, from, answer } => self.renew(principal, grants, from, answer),
                Action::Subscribe { grants, from, answer, instead_of } => self.subscribe(grants, from, answer, instead_of),
                Action::Unsubscribe { wanted, answer } => {
                    self.settle(|link| async move { link.unsubscribe(wanted, Some(answer)).await });
                }
                Action::Ack { id, positions } => {
                    let answer = id.map(|id| Answer::new(Some(id), Reply::Acked { count: 0 }));
                    self.settle(|link| async move { link.acknowledge(positions, answer).await });
                }
                Action::Publish { id, publication } => {
                    let broker = Arc::clone(&self.parts.broker);
                    self.pending = Some(Box::pin(async move {
                        let outcome = submit(broker.as_ref(), &publication, AckLevel::Primary).await;
                        Done::Published { id, outcome }
                    }));
                }
                Action::ReadHistory { id, past } => {
                    let (hub, session) = (Arc::clone(&self.parts.hub), self.id());
                    self.pending = Some(Box::pin(async move {
                        let reply =
                            hub.history(session, *past).await.map_or_else(|error| Reply::Error(unread("log", &error)), Reply::History);
                        Done::Answered(Box::new(Answer::new(id, reply)))
                    }));
                }
                Action::ReadItems { id, room, after } => {
                    let hub = Arc::clone(&self.parts.hub);
                    self.pending = Some(Box::pin(async move {
                        let reply = hub
                            .snapshots()
                            .page(room, after)
                            .await
                            .map_or_else(|error| Reply::Error(unread("collection", &error)), Reply::SyncSnapshot);
                        Done::Answered(Box::new(Answer::new(id, reply)))
                    }));
                }
                Action::WriteItem { id, write } => {
                    let broker = Arc::clone(&self.parts.broker);
                    self.pending = Some(Box::pin(async move {
                        let reply = match collections::write(broker.as_ref(), &write, AckLevel::Primary).await {
                            Ok(written) => Reply::SyncWritten { key: written.key, version: written.version, id: written.position },
                            Err(error) => Reply::Error(error.fault(&write)),
                        };
                        Done::Answered(Box::new(Answer::new(id, reply)))
                    }));
                }
                Action::Presence { id, ask } => self.settle(|link| async move { link.presence(id, ask).await }),
                Action::Heartbeat => self.heartbeat(),
                Action::WarnOfExpiry { expires_at_s } => self.push(&Push::TokenExpiring { expires_at: expires_at_s }),
                Action::Close(close) => self.entry.queue.close(close),
            }
        }
    }

    /// Asks something of the org; the next command waits until it is done.
    fn settle<F>(&mut self, ask: impl FnOnce(OrgLink) -> F)
    where
        F: Future<Output = Result<(), OrgGone>> + Send + 'static,
    {
        if let Some(link) = &self.link {
            let asked = ask(link.clone());
            self.pending = Some(Box::pin(async move { Done::Settled(asked.await) }));
        }
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Verified(verified) => self.verified(*verified),
            Done::Opened(outcome) => self.opened(outcome),
            Done::Published { id, outcome } => {
                let reply = match outcome {
                    Ok(published) => Reply::Published { id: published.position, duplicate: published.duplicate },
                    Err(error) => Reply::Error(refused(&error)),
                };
                self.answer(&Answer::new(id, reply));
            }
            Done::Answered(answer) => self.answer(&answer),
            Done::Settled(outcome) => self.check(&outcome),
        }
    }

    fn heartbeat(&self) {
        let mut ping = BytesMut::new();
        self.language.wire.ping(&mut ping);
        self.say(ping);
        if let Some(link) = &self.link {
            link.heartbeat();
        }
    }

    fn check(&self, outcome: &Result<(), OrgGone>) {
        if outcome.is_err() {
            self.entry.queue.close(Close::because(CloseCode::InternalError, Code::InternalError));
        }
    }

    fn answer(&self, answer: &Answer) {
        if let Reply::Error(fault) = &answer.reply {
            self.parts.counters.error(fault.code);
        }
        let mut out = BytesMut::new();
        self.language.wire.answer(answer, &mut out);
        self.say(out);
    }

    fn push(&self, push: &Push<'_>) {
        let mut out = BytesMut::new();
        self.language.wire.push(push, &mut out);
        self.say(out);
    }

    fn say(&self, bytes: BytesMut) {
        self.entry.queue.hold_reply(bytes.freeze());
    }
}
