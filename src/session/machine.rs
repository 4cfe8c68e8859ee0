//! What a session does next: commands and times in, actions out.
//!
//! Pure (sans-IO): no clock, no socket, no runtime; [`super::driver`] runs it. It knows who the client is and what it may do;
//! what it is subscribed to is the hub's to know.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::config::Settings;
use crate::auth::{Grant, Principal};
use crate::dialect::{Dialect, Follows};
use crate::hub::history::Past;
use crate::hub::latest::Wish;
use crate::hub::presence::Ask;
use crate::limit::bucket::{Bucket, UNITS_PER_TOKEN};
use crate::protocol::command::history::{History, LIMIT_DEFAULT};
use crate::protocol::command::presence::Presence;
use crate::protocol::command::{Action as Asked, Address, Authenticate, CommandId, Publish, Subscribe, Unreadable, Wanted};
use crate::protocol::item::{ItemKey, NewWrite, collection_room};
use crate::protocol::publication::{Content, data_of, headers, idempotency_key, requires_ack};
use crate::protocol::push::{Answer, Authenticated, FEATURES, Reply};
use crate::protocol::{
    Close, CloseCode, Code, Command, EventRules, Fault, Filter, NewPublication, Pattern, Position, RoomName, RoomSyntax, Selector,
    SessionId,
};

/// What acknowledging costs of a session's rate, where other commands cost [`UNITS_PER_TOKEN`]: a client that gets many publications owes many.
const ACK_PRICE: u64 = UNITS_PER_TOKEN / 16;

/// The grammar that this deployment speaks.
#[derive(Debug)]
pub struct Rules {
    pub syntax: RoomSyntax,
    pub events: EventRules,
}

/// What a session is held to.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    pub rules: &'a Rules,
    pub settings: &'a Settings,
    /// What the client speaks; `None` is the native protocol.
    pub dialect: Option<&'static Dialect>,
}

/// A moment, by both clocks that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never steps back.
    pub mono_ms: u64,
    /// Unix milliseconds, for what tokens say and people read.
    pub unix_ms: u64,
}

/// What the driver must do, in this order.
#[derive(Debug)]
pub enum Action {
    Answer(Answer),
    /// Check the token, then call [`Machine::on_verified`].
    Verify {
        id: Option<CommandId>,
        authenticate: Authenticate,
    },
    /// Enter the org and subscribe at one stroke.
    Open {
        principal: Arc<Principal>,
        grants: Vec<Grant>,
        from: Start,
        answer: Answer,
    },
    /// The token was renewed: end what it no longer grants, then answer.
    Renew {
        principal: Arc<Principal>,
        grants: Vec<Grant>,
        from: Start,
        answer: Answer,
    },
    Subscribe {
        grants: Vec<Grant>,
        from: Start,
        answer: Answer,
        /// Wider subscriptions that the session had by itself, and that these take the place of.
        instead_of: Vec<Wanted>,
    },
    Unsubscribe {
        wanted: Vec<Wanted>,
        answer: Answer,
    },
    /// Pass on what was acknowledged; whoever gave an id wants an answer.
    Ack {
        id: Option<CommandId>,
        positions: Vec<Position>,
    },
    /// Publish, then answer.
    Publish {
        id: Option<CommandId>,
        publication: Box<NewPublication>,
    },
    /// Read a page of a collection, then answer.
    ReadItems {
        id: Option<CommandId>,
        room: RoomName,
        after: Option<ItemKey>,
    },
    /// Write to a collection, then answer.
    WriteItem {
        id: Option<CommandId>,
        write: Box<NewWrite>,
    },
    /// Ask it of the org, which answers.
    Presence {
        id: Option<CommandId>,
        ask: Ask,
    },
    /// Read a page of the past, then answer.
    ReadHistory {
        id: Option<CommandId>,
        past: Box<Past>,
    },
    /// Ping the client, and tell it its position when it is quiet.
    Heartbeat,
    WarnOfExpiry {
        expires_at_s: u64,
    },
    Close(Close),
}

/// Where new subscriptions begin.
#[derive(Debug)]
pub enum Start {
    Now,
    /// Behind a position that the client knows.
    After(Position),
    /// Where the answer to these ends, which goes out with the reply.
    Latest(Vec<Wish>),
}

/// The state of one session.
#[derive(Debug)]
pub struct Machine {
    id: SessionId,
    phase: Phase,
    bucket: Bucket,
    heard_ms: u64,
    ping_ms: u64,
    invalid: u32,
}

#[derive(Debug)]
enum Phase {
    Anonymous { until_ms: u64 },
    Authenticated { principal: Arc<Principal>, expires_ms: u64, warned: bool, is_guest: bool },
    Closed,
}

impl Machine {
    /// `jitter_ms`, below the ping interval, spreads the pings of sessions that began together.
    pub fn new(id: SessionId, settings: &Settings, now: Now, jitter_ms: u64) -> Self {
        Self {
            id,
            phase: Phase::Anonymous { until_ms: now.mono_ms + settings.auth_timeout_ms },
            bucket: Bucket::new(settings.rate, now.mono_ms),
            heard_ms: now.mono_ms,
            ping_ms: now.mono_ms + settings.ping_interval_ms - jitter_ms.min(settings.ping_interval_ms),
            invalid: 0,
        }
    }

    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Anything came from the client.
    pub fn on_heard(&mut self, now: Now) {
        self.heard_ms = now.mono_ms;
    }

    pub fn on_command(&mut self, command: Result<Command, Unreadable>, terms: &Terms<'_>, now: Now, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        let (id, outcome) = match command {
            Ok(command) => (command.id.clone(), self.decide(command, terms, now)),
            Err(unreadable) => (unreadable.id, self.spend(terms.settings, UNITS_PER_TOKEN, now).and(Err(unreadable.fault))),
        };
        match outcome {
            Ok(action) => {
                // What counts is a client that does little else, not the sum over a long life.
                self.invalid = self.invalid.saturating_sub(1);
                actions.push(action);
            }
            Err(fault) => self.refuse(id, fault, terms.settings, actions),
        }
    }

    /// The verdict on the token of an [`Action::Verify`], or on the credentials of the handshake.
    pub fn on_verified(
        &mut self,
        id: Option<CommandId>,
        subscribe: &Subscribe,
        verdict: Result<Principal, Fault>,
        terms: &Terms<'_>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        match verdict.and_then(|principal| self.admit(principal, id.clone(), subscribe, terms, now)) {
            Ok(action) => actions.push(action),
            Err(fault) => {
                let close = matches!(self.phase, Phase::Anonymous { .. }).then(|| close_for(&fault));
                self.refuse(id, fault, terms.settings, actions);
                if let Some(close) = close {
                    self.close(close, actions);
                }
            }
        }
    }

    /// The client brings no credentials with its handshake: the guest that it is therefore, or why it cannot be one.
    pub fn on_nobody(&mut self, verdict: Result<Principal, Fault>, terms: &Terms<'_>, now: Now, actions: &mut Vec<Action>) {
        self.on_verified(None, &Subscribe::default(), verdict, terms, now, actions);
        if let Phase::Authenticated { is_guest, .. } = &mut self.phase {
            *is_guest = true;
        }
        // Nobody is told who they are, for they may still say so.
        for action in actions {
            if let Action::Open { answer: Answer { reply: Reply::Authenticated(authenticated), .. }, .. } = action {
                authenticated.permissions = None;
            }
        }
    }

    /// When [`Machine::on_timeout`] wants to be called, in milliseconds of the clock that never steps back.
    pub fn timeout_ms(&self, settings: &Settings) -> Option<u64> {
        let stale_ms = self.heard_ms + settings.stale_after_ms;
        match &self.phase {
            Phase::Anonymous { until_ms } => Some((*until_ms).min(stale_ms)),
            Phase::Authenticated { expires_ms, warned, .. } => {
                let token_ms = if *warned { *expires_ms } else { expires_ms.saturating_sub(settings.config.expiry_warning_ms) };
                Some(token_ms.min(self.ping_ms).min(stale_ms))
            }
            Phase::Closed => None,
        }
    }

    pub fn on_timeout(&mut self, settings: &Settings, now: Now, actions: &mut Vec<Action>) {
        if now.mono_ms >= self.heard_ms + settings.stale_after_ms {
            return self.close(Close::new(CloseCode::Stale), actions);
        }
        match &mut self.phase {
            Phase::Anonymous { until_ms } if now.mono_ms >= *until_ms => {
                self.close(Close::because(CloseCode::AuthTimeout, Code::AuthFailed), actions);
            }
            Phase::Authenticated { expires_ms, .. } if now.mono_ms >= *expires_ms => {
                self.close(Close::because(CloseCode::TokenExpired, Code::AuthFailed), actions);
            }
            Phase::Authenticated { principal, expires_ms, warned, .. } => {
                if !*warned && now.mono_ms + settings.config.expiry_warning_ms >= *expires_ms {
                    *warned = true;
                    actions.push(Action::WarnOfExpiry { expires_at_s: principal.expires_at_s() });
                }
                if now.mono_ms >= self.ping_ms {
                    self.ping_ms = now.mono_ms + settings.ping_interval_ms;
                    actions.push(Action::Heartbeat);
                }
            }
            Phase::Anonymous { .. } | Phase::Closed => {}
        }
    }

    fn decide(&mut self, command: Command, terms: &Terms<'_>, now: Now) -> Result<Action, Fault> {
        let Terms { rules, settings, dialect } = *terms;
        let Command { id, action } = command;
        let price = if matches!(action, Asked::Ack(_)) { ACK_PRICE } else { UNITS_PER_TOKEN };
        self.spend(settings, price, now)?;
        match action {
            Asked::Authenticate(authenticate) => Ok(Action::Verify { id, authenticate }),
            Asked::Ping => Ok(Action::Answer(Answer::new(id, Reply::Pong { ts: now.unix_ms, position: None }))),
            Asked::Subscribe(subscribe) => {
                let principal = self.principal()?;
                let instead_of = followed(dialect, principal, rules).into_iter().map(Grant::into_pattern);
                let instead_of = instead_of.filter(|pattern| is_narrowed(pattern, &subscribe.selector));
                let instead_of = instead_of.map(|pattern| Wanted { pattern, filter: None }).collect();
                let grants = grants(principal, &subscribe.selector, rules)?;
                let rooms = patterns(grants.iter().map(Grant::pattern));
                let from = from(principal, &subscribe, &grants)?;
                let answer = Answer::new(id, Reply::Subscribed { rooms, position: None, latest: None });
                Ok(Action::Subscribe { grants, from, answer, instead_of })
            }
            Asked::Unsubscribe(selector) => {
                let wanted = selector.wanted(&rules.syntax, self.principal()?.org())?;
                let answer = Answer::new(id, Reply::Unsubscribed { rooms: patterns(wanted.iter().map(|wanted| &wanted.pattern)) });
                Ok(Action::Unsubscribe { wanted, answer })
            }
            Asked::Ack(ack) => {
                self.principal()?;
                Ok(Action::Ack { positions: ack.ids, id })
            }
            Asked::Publish(publish) => {
                let publication = Box::new(publication(self.principal()?, *publish, rules)?);
                Ok(Action::Publish { id, publication })
            }
            Asked::History(asked) => Ok(Action::ReadHistory { id, past: Box::new(past(self.principal()?, &asked, rules)?) }),
            Asked::SyncSubscribe(asked) => {
                let principal = self.principal()?;
                let room = collection_room(&asked.room, &rules.syntax, principal.org())?;
                principal.may_read(&room)?;
                Ok(Action::ReadItems { id, room, after: asked.after()? })
            }
            Asked::SyncWrite(asked) => {
                let principal = self.principal()?;
                let room = collection_room(&asked.room, &rules.syntax, principal.org())?;
                principal.may_publish(&room)?;
                Ok(Action::WriteItem { id, write: Box::new(asked.write(room)?) })
            }
            Asked::Presence(presence) => Ok(Action::Presence { id, ask: ask(self.principal()?, *presence, rules)? }),
        }
    }

    fn spend(&mut self, settings: &Settings, units: u64, now: Now) -> Result<(), Fault> {
        self.bucket.take_units(settings.rate, units, now.mono_ms).map_err(|exhausted| {
            let text = format!("more than {} commands per second", settings.rate.per_s);
            Fault::new(Code::RateLimitExceeded, text).retry_after_ms(exhausted.retry_after_ms)
        })
    }

    fn principal(&self) -> Result<&Arc<Principal>, Fault> {
        match &self.phase {
            Phase::Authenticated { principal, .. } => Ok(principal),
            Phase::Anonymous { .. } | Phase::Closed => Err(Fault::new(Code::Unauthorized, "send authenticate with a token first")),
        }
    }

    fn admit(
        &mut self,
        principal: Principal,
        id: Option<CommandId>,
        subscribe: &Subscribe,
        terms: &Terms<'_>,
        now: Now,
    ) -> Result<Action, Fault> {
        let Terms { rules, settings, dialect } = *terms;
        let earlier = match &self.phase {
            Phase::Authenticated { principal, is_guest: false, .. } => Some(Arc::clone(principal)),
            // A guest who shows credentials comes in anew.
            _ => None,
        };
        if let Some(earlier) = &earlier
            && (earlier.org() != principal.org() || earlier.sub() != principal.sub())
        {
            return Err(Fault::new(Code::AuthFailed, "a renewed token must be for the same user and organization; reconnect instead"));
        }
        let principal = Arc::new(principal);
        let mut asked = if subscribe.selector.is_empty() { Vec::new() } else { grants(&principal, &subscribe.selector, rules)? };
        let from = from(&principal, subscribe, &asked)?;
        asked.extend(followed(dialect, &principal, rules));
        let mut introduction = self.introduction(&principal, &asked, settings);
        introduction.permissions = dialect.map(|_| principal.permissions());
        let answer = Answer::new(id, Reply::Authenticated(introduction));
        let left_ms = principal.expires_at_s().saturating_mul(1_000).saturating_sub(now.unix_ms);
        let expires_ms = now.mono_ms.saturating_add(left_ms);
        self.phase = Phase::Authenticated { principal: Arc::clone(&principal), expires_ms, warned: false, is_guest: false };
        if earlier.is_some() {
            return Ok(Action::Renew { principal, grants: asked, from, answer });
        }
        let grants = principal.own_rooms().into_iter().chain(asked).collect();
        Ok(Action::Open { principal, grants, from, answer })
    }

    fn introduction(&self, principal: &Principal, asked: &[Grant], settings: &Settings) -> Authenticated {
        Authenticated {
            session_id: self.id,
            user_id: principal.sub().into(),
            organization_id: principal.org().clone(),
            expires_at: principal.expires_at_s(),
            ping_interval_ms: settings.ping_interval_ms,
            rooms: patterns(asked.iter().map(Grant::pattern)),
            position: None,
            latest: None,
            features: FEATURES,
            permissions: None,
        }
    }

    fn refuse(&mut self, id: Option<CommandId>, fault: Fault, settings: &Settings, actions: &mut Vec<Action>) {
        self.invalid = self.invalid.saturating_add(1);
        let code = fault.code;
        actions.push(Action::Answer(Answer::error(id, fault)));
        if self.invalid >= settings.config.invalid_commands_max {
            let close = if code == Code::RateLimitExceeded { CloseCode::RateLimited } else { CloseCode::InvalidMessage };
            self.close(Close::because(close, code), actions);
        }
    }

    fn close(&mut self, close: Close, actions: &mut Vec<Action>) {
        self.phase = Phase::Closed;
        actions.push(Action::Close(close));
    }
}

/// How a session ends whose very first credentials do not do.
fn close_for(fault: &Fault) -> Close {
    let code = match fault.code {
        // What may pass by itself must not keep the client away for good.
        Code::AuthFailed if fault.retry_after_ms.is_some() => CloseCode::TokenExpired,
        Code::AuthFailed => CloseCode::AuthFailed,
        Code::BrokerUnavailable => CloseCode::BrokerUnavailable,
        _ => CloseCode::Unauthorized,
    };
    Close { code, reason: Some(fault.code), retry_after_ms: fault.retry_after_ms }
}

fn grants(principal: &Principal, selector: &Selector, rules: &Rules) -> Result<Vec<Grant>, Fault> {
    let wanted = selector.wanted(&rules.syntax, principal.org())?;
    wanted.into_iter().map(|wanted| Ok(principal.grant_subscribe(wanted.pattern)?.filtered(wanted.filter))).collect()
}

fn from(principal: &Principal, asked: &Subscribe, grants: &[Grant]) -> Result<Start, Fault> {
    match asked.since {
        Some(since) => Ok(Start::After(since)),
        None if asked.latest && !grants.is_empty() => {
            let wishes = grants.iter().map(|grant| Ok(Wish::new(principal.grant_history(grant.pattern().clone())?, grant)));
            wishes.collect::<Result<_, Fault>>().map(Start::Latest)
        }
        None => Ok(Start::Now),
    }
}

fn past(principal: &Principal, asked: &History, rules: &Rules) -> Result<Past, Fault> {
    let grant = principal.grant_history(rules.syntax.pattern_for(principal.org(), &asked.room)?)?;
    let filter = asked.filter.as_deref().map(Filter::parse).transpose()?;
    let limit = asked.limit.unwrap_or(LIMIT_DEFAULT);
    if limit == 0 {
        return Err(Fault::new(Code::InvalidMessage, "limit must be at least 1"));
    }
    Ok(Past { grant, filter, since: asked.since, limit, reverse: asked.reverse })
}

/// Each once, in this order; one with several filters was named several times.
fn patterns<'a>(named: impl Iterator<Item = &'a Pattern>) -> Vec<Pattern> {
    let mut seen = HashSet::new();
    named.filter(|pattern| seen.insert(*pattern)).cloned().collect()
}

/// What a session of the dialect is subscribed to by itself.
fn followed(dialect: Option<&Dialect>, principal: &Principal, rules: &Rules) -> Vec<Grant> {
    match dialect.map_or(Follows::Nothing, |dialect| dialect.follows) {
        Follows::Nothing => Vec::new(),
        Follows::Everything => principal.subscribable(),
        Follows::Channels(channels) => principal.subscribable_in(channels, &rules.syntax),
    }
}

/// Whether a command names something of the pattern's channel.
fn is_narrowed(pattern: &Pattern, selector: &Selector) -> bool {
    let channel = pattern.as_str().split(':').next().unwrap_or_default();
    selector.channels.iter().any(|named| named == channel)
}

fn ask(principal: &Principal, asked: Presence, rules: &Rules) -> Result<Ask, Fault> {
    let room = asked.room(&rules.syntax, principal.org())?;
    Ok(match asked {
        Presence::Enter(enter) => Ask::Enter { grant: principal.grant_presence(room)?, status: enter.status, state: enter.state },
        Presence::Update(update) => Ask::Update { room, status: update.status, state: update.state },
        Presence::Leave(_) => Ask::Leave(room),
        Presence::Watch(_) => Ask::Watch(principal.grant_presence(room)?),
        Presence::Unwatch(_) => Ask::Unwatch(room),
    })
}

fn publication(principal: &Principal, publish: Publish, rules: &Rules) -> Result<NewPublication, Fault> {
    let address = Address {
        room: publish.room.as_deref(),
        channel: publish.channel.as_deref(),
        organization_id: publish.organization_id.as_deref(),
        department_id: publish.department_id.as_deref(),
        queue_name: publish.queue_name.as_deref(),
    };
    let room = address.room(&rules.syntax, principal.org())?;
    principal.may_publish(&room)?;
    if publish.cascade {
        principal.may_cascade(&room)?;
    }
    let event = rules.events.event(&publish.event)?;
    let (data, content) = match publish.bytes {
        Some(bytes) => (bytes, Content::Bytes),
        None if publish.encoding.is_none() => (Bytes::from(String::from(Box::<str>::from(publish.data))), Content::Json),
        None => data_of(&publish.data, publish.encoding)?,
    };
    Ok(NewPublication {
        content,
        priority: publish.priority,
        log: publish.log,
        cascade: publish.cascade,
        requires_ack: requires_ack(publish.requires_ack, publish.log)?,
        receipt_to: publish.requires_ack.then(|| principal.sub().into()),
        idempotency_key: idempotency_key(publish.idempotency_key)?,
        ttl_ms: publish.ttl_ms,
        headers: headers(publish.headers.as_ref())?,
        ..NewPublication::new(room, event, data)
    })
}
