//! Carries out what a session's machine decides: checks tokens, enters the org, publishes, answers.
//!
//! A transport owns one [`Session`] per connection, hands it messages and polls [`Session::poll_progress`]; the session fills its
//! send queue, which the transport writes out. One command is carried out at a time, so answers come in the order of commands
//! and a slow broker holds back only those who publish. What takes time is boxed for as long as it takes: an idle session is a few
//! hundred bytes.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::alarm::{Alarm, Alarms};
use super::config::Settings;
use super::language::Language;
use super::machine::{Action, Machine, Now, Rules, Start, Terms};
use super::registry::{Entry, Registry};
use crate::auth::{Grant, Principal, Verifier};
use crate::broker::{AckLevel, Broker, LeaseOutcome, PublishError, Published, ReadError, collections, quota, submit};
use crate::hub::{Hub, OrgGone, OrgLink, SendQueue, send_queue};
use crate::limit::Quotas;
use crate::protocol::command::{CommandId, Subscribe, Unreadable};
use crate::protocol::push::{Answer, Reply};
use crate::protocol::{Close, CloseCode, Code, Command, Fault, OrgId, Position, Push, SessionId};
use crate::telemetry::counters::Counters;
use crate::telemetry::metrics::{self, QuotaKind};

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

struct Verified {
    id: Option<CommandId>,
    subscribe: Subscribe,
    verdict: Result<Principal, Fault>,
}

/// Why a session did not get into its org.
enum Refusal {
    /// The org has its full number of connections; the command that asked, if one did.
    Full(Option<CommandId>),
    /// The log cannot be read, and the client wants to know what stands in it; it is told so.
    Unread(Box<Answer>),
    Gone,
}

/// Why a session was not subscribed.
enum Unbegun {
    Unread(Box<Answer>),
    Gone,
}

impl From<OrgGone> for Unbegun {
    fn from(OrgGone: OrgGone) -> Self {
        Self::Gone
    }
}

impl From<Unbegun> for Refusal {
    fn from(unbegun: Unbegun) -> Self {
        match unbegun {
            Unbegun::Unread(answer) => Self::Unread(answer),
            Unbegun::Gone => Self::Gone,
        }
    }
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
                Action::Subscribe { grants, from, answer, instead_of } => {
                    let hub = Arc::clone(&self.parts.hub);
                    self.enroll(|link| async move {
                        let (since, answer) = begun(&hub, link.org(), from, answer).await?;
                        link.subscribe(grants, since, answer).await?;
                        if instead_of.is_empty() { Ok(()) } else { Ok(link.unsubscribe(instead_of, None).await?) }
                    });
                }
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
                        let reply = hub.history(session, *past).await.map_or_else(|error| Reply::Error(unread(&error)), Reply::History);
                        Done::Answered(Box::new(Answer::new(id, reply)))
                    }));
                }
                Action::ReadItems { id, room, after } => {
                    let hub = Arc::clone(&self.parts.hub);
                    self.pending = Some(Box::pin(async move {
                        let reply =
                            hub.snapshots().page(room, after).await.map_or_else(|error| Reply::Error(unread(&error)), Reply::SyncSnapshot);
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

    /// Subscribes to something; where it cannot begin the client is told so, and nothing was subscribed to.
    fn enroll<F>(&mut self, ask: impl FnOnce(OrgLink) -> F)
    where
        F: Future<Output = Result<(), Unbegun>> + Send + 'static,
    {
        if let Some(link) = &self.link {
            let asked = ask(link.clone());
            self.pending = Some(Box::pin(async move {
                match asked.await {
                    Ok(()) => Done::Settled(Ok(())),
                    Err(Unbegun::Gone) => Done::Settled(Err(OrgGone)),
                    Err(Unbegun::Unread(answer)) => Done::Answered(answer),
                }
            }));
        }
    }

    fn verify(&mut self, id: Option<CommandId>, token: String, subscribe: Subscribe) {
        let parts = Arc::clone(&self.parts);
        self.pending = Some(Box::pin(async move {
            let verdict = parts.verifier.verify(&token, parts.now().unix_ms / 1_000).await.map_err(Fault::from);
            Done::Verified(Box::new(Verified { id, subscribe, verdict }))
        }));
    }

    /// Takes a lease on a connection of the org, enters the hub, and subscribes.
    fn open(&mut self, principal: &Arc<Principal>, grants: Vec<Grant>, from: Start, answer: Answer) {
        if !self.is_welcome(principal, &answer) {
            return;
        }
        self.claim_quotas(principal);
        let (parts, session, org) = (Arc::clone(&self.parts), self.machine.id(), principal.org().clone());
        let (queue, wire, principal) = (Arc::clone(&self.entry.queue), Arc::clone(&self.language.wire), Arc::clone(principal));
        // A guest who shows credentials leaves the guests' org first.
        let earlier = self.link.take();
        self.is_leased &= earlier.is_none();
        self.pending = Some(Box::pin(async move {
            if let Some(link) = earlier {
                let org = link.org().clone();
                link.detach().await;
                parts.broker.release_connection(&org).await;
            }
            let most = match parts.quotas.of(&org).sessions_max {
                0 => parts.settings.org_connections_max,
                own => own,
            };
            if parts.broker.lease_connection(&org, most).await == LeaseOutcome::Full {
                metrics::quota_refusals(QuotaKind::Sessions).increment(1);
                return Done::Opened(Err(Refusal::Full(answer.id)));
            }
            let (since, answer) = match begun(&parts.hub, &org, from, answer).await {
                Ok(begun) => begun,
                Err(unbegun) => return Done::Opened(Err(unbegun.into())),
            };
            let entered = async {
                let link = parts.hub.attach(&org, session, &queue, &wire).await?;
                parts.hub.note_opened(&org, session, principal.sub());
                link.subscribe(grants, since, answer).await.map(|()| link)
            };
            Done::Opened(entered.await.map_err(|OrgGone| Refusal::Gone))
        }));
    }

    fn renew(&mut self, principal: Arc<Principal>, grants: Vec<Grant>, from: Start, answer: Answer) {
        if self.link.is_some() && self.is_welcome(&principal, &answer) {
            self.claim_quotas(&principal);
            let hub = Arc::clone(&self.parts.hub);
            self.enroll(|link| async move {
                link.narrow(principal).await?;
                let (since, answer) = begun(&hub, link.org(), from, answer).await?;
                Ok(link.subscribe(grants, since, answer).await?)
            });
        }
    }

    fn claim_quotas(&self, principal: &Principal) {
        self.parts.quotas.claim(principal.org(), principal.quotas(), principal.issued_at_s().unwrap_or(0));
    }

    /// Notes who the session is; answers and closes when that was revoked.
    fn is_welcome(&self, principal: &Arc<Principal>, answer: &Answer) -> bool {
        let Err(fault) = self.parts.registry.introduce(&self.entry, principal) else { return true };
        self.answer(&Answer::error(answer.id.clone(), fault));
        self.entry.queue.close(Close::because(CloseCode::Revoked, Code::AuthFailed));
        false
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Verified(verified) => {
                let Verified { id, subscribe, verdict } = *verified;
                let mut actions = Vec::new();
                let (parts, language, now) = (Arc::clone(&self.parts), Arc::clone(&self.language), self.parts.now());
                let verdict = verdict.and_then(|principal| parts.registry.is_informed(now.mono_ms).map(|()| principal));
                self.log_verdict(&verdict);
                self.machine.on_verified(id, &subscribe, verdict, &parts.terms(&language), now, &mut actions);
                self.perform(actions);
            }
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

    /// For whoever looks into an abuse: who came in, and whose credentials were refused for what. Never the credentials.
    fn log_verdict(&self, verdict: &Result<Principal, Fault>) {
        let session = self.id();
        match verdict {
            Ok(principal) => tracing::debug!(%session, user = principal.sub(), org = %principal.org(), "good credentials"),
            Err(fault) => tracing::debug!(%session, code = fault.code.as_str(), why = &*fault.message, "refused credentials"),
        }
    }

    fn opened(&mut self, outcome: Result<OrgLink, Refusal>) {
        let refusal = match outcome {
            Ok(link) => {
                (self.is_leased, self.link) = (true, Some(link));
                return;
            }
            Err(refusal) => refusal,
        };
        let wait_ms = rand::random_range(1_000..=5_000);
        let close = match refusal {
            Refusal::Full(id) => {
                let fault = Fault::new(Code::ConnectionLimit, "the organization has its full number of connections");
                self.answer(&Answer::error(id, fault.retry_after_ms(wait_ms)));
                Close::because(CloseCode::ConnectionLimit, Code::ConnectionLimit)
            }
            Refusal::Unread(answer) => {
                self.is_leased = true;
                self.answer(&answer);
                Close::because(CloseCode::BrokerUnavailable, Code::BrokerUnavailable)
            }
            Refusal::Gone => {
                self.is_leased = true;
                Close::because(CloseCode::InternalError, Code::InternalError)
            }
        };
        self.entry.queue.close(close.retry_after_ms(wait_ms));
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

/// Where the subscriptions begin, and the answer with what was asked of their rooms.
async fn begun(hub: &Hub, org: &OrgId, from: Start, answer: Answer) -> Result<(Option<Position>, Answer), Unbegun> {
    match from {
        Start::Now => Ok((None, answer)),
        Start::After(since) => Ok((Some(since), answer)),
        Start::Latest(wishes) => match hub.latest().ask(org, wishes).await {
            Ok((latest, at)) => Ok((Some(at), answer.with_latest(latest))),
            Err(error) => {
                tracing::debug!(%error, "the last publications of rooms could not be read");
                let text = "the last publications cannot be read at the moment, so nothing was subscribed to";
                let fault = Fault::new(Code::BrokerUnavailable, text).retry_after_ms(1_000);
                Err(Unbegun::Unread(Box::new(Answer::error(answer.id, fault))))
            }
        },
    }
}

/// A page that could not be read, in the client's terms.
pub fn unread(error: &ReadError) -> Fault {
    tracing::debug!(%error, "a collection could not be read");
    Fault::new(Code::BrokerUnavailable, "the collection cannot be read at the moment").retry_after_ms(1_000)
}

/// A failed publish in the client's terms; what the broker said stays in the log.
pub fn refused(error: &PublishError) -> Fault {
    // A quota is told to the publisher, over and over; that is no news for operators, who have a metric.
    if !matches!(error, PublishError::Exceeded(_)) {
        tracing::warn!(%error, "a publication was not accepted");
    }
    match error {
        PublishError::Unavailable(_) => {
            let text = "the broker cannot be reached, so nothing is known of the publication; retry it with the same idempotency_key";
            Fault::new(Code::BrokerUnavailable, text).retry_after_ms(1_000)
        }
        PublishError::Refused(_) => Fault::new(Code::InternalError, "the broker refused the publication"),
        PublishError::Exceeded(exceeded) => quota::refusal(exceeded),
    }
}
