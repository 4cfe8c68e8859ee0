//! What an org's task does for its sessions: lets them in and out, subscribes and unsubscribes them, answers.
//!
//! Commands are carried out one after another between deliveries, so that an answer stands in the send queue before anything
//! that the command brings.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::ahead;
use super::command::{OrgCommand, Subscribe, Unsubscribe};
use super::config::Limits;
use super::frames;
use super::member::{CatchUp, Filtered, Member, Subscription};
use super::org::Org;
use super::router::Slot;
use super::routes::Routes;
use super::standing::{note, note_end};
use super::trace::What;
use crate::auth::Grant;
use crate::protocol::push::{Answer, Reply};
use crate::protocol::room::SYSTEM_CHANNELS;
use crate::protocol::{Close, CloseCode, Code, Fault, Filter, Pattern, Position, Push, SessionId};

impl Org {
    pub(super) async fn handle(&mut self, command: OrgCommand) {
        match command {
            OrgCommand::Attach { session, queue, wire, slot } => {
                let member = Member::new(session, queue, wire);
                self.attach(member, slot);
            }
            OrgCommand::Subscribe(subscribe) => self.subscribe(subscribe).await,
            OrgCommand::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe),
            OrgCommand::Acknowledge(acknowledge) => self.acknowledge(acknowledge),
            OrgCommand::Presence(request) => {
                self.begin_presence();
                if let Some(presence) = &mut self.presence {
                    presence.ask(request, &self.members);
                }
            }
            OrgCommand::Narrow { slot, principal } => {
                self.narrow(slot, &principal);
                if let (Some(presence), Some(member)) = (&mut self.presence, self.members.get(slot)) {
                    presence.narrow(slot, member, &principal);
                }
            }
            OrgCommand::Drained(slot) => {
                self.serve(slot).await;
                self.remind(slot);
            }
            OrgCommand::Heartbeat(slot) => self.tell_position(slot),
            OrgCommand::Detach { slot, lingers } => self.detach(slot, lingers),
            OrgCommand::Probed(newest) => self.compare(newest),
            OrgCommand::Standings { sessions, at, reply } => {
                let _ = reply.send(self.standings(&sessions, at));
            }
            OrgCommand::Rooms(reply) => {
                let _ = reply.send(self.rooms());
            }
            OrgCommand::Subscriptions { sessions, reply } => {
                let _ = reply.send(self.subscriptions(&sessions));
            }
        }
    }

    fn attach(&mut self, member: Member, reply: oneshot::Sender<Slot>) {
        let session = member.session;
        let Some(slot) = self.members.insert(member) else { return };
        self.by_session.insert(session, slot);
        if reply.send(slot).is_err() {
            self.detach(slot, false);
        }
    }

    fn detach(&mut self, slot: Slot, lingers: bool) {
        let Some(member) = self.members.remove(slot) else { return };
        let code = member.queue.close_asked().map(|close| close.code as u16);
        note(&self.notes, &member, self.tail.as_ref(), What::Ended { code, ahead: member.overtaken.seqs() });
        let mut routes = Routes { router: &mut self.router, sieve: &mut self.sieve };
        for subscription in &member.subscriptions {
            routes.leave(&subscription.pattern, subscription.filter(), slot);
            self.counted -= usize::from(!is_own(&subscription.pattern));
        }
        self.by_session.remove(&member.session);
        self.acks.leave(member.session);
        self.cold.remove(&slot);
        self.again.remove(&slot);
        if let Some(presence) = &mut self.presence {
            presence.end(slot, member.session, lingers);
        }
    }

    /// Tells a session that reads again what it may have missed beside the log.
    fn remind(&mut self, slot: Slot) {
        if let (Some(presence), Some(member)) = (&self.presence, self.members.get(slot))
            && member.queue.take_missed()
        {
            presence.remind(slot, member);
        }
    }

    async fn subscribe(&mut self, mut command: Subscribe) {
        let slot = command.slot;
        let (Some(member), Some(tail)) = (self.members.get_mut(slot), &self.tail) else {
            return self.subscribe_now(command);
        };
        // What the session knows of must have come to its other subscriptions first.
        let is_ahead = ahead::is_ahead(&command, !member.subscriptions.is_empty(), tail);
        if is_ahead {
            self.agreements = 0;
        }
        if member.is_live() && command.since.is_some() && member.queue.holds_log() {
            // An overflow must be able to tell what it dropped of the replay from what it dropped of before, so the replay
            // starts from an empty queue.
            member.start_catch_up(CatchUp { slow: false, ..CatchUp::lagging(tail.last()) });
        }
        if is_ahead || member.has_waiting() || (!member.is_live() && command.since.is_some()) {
            let bytes_max = self.config.latest.reply_bytes_max;
            let told = |waiting: &Subscribe| waiting.answer.latest().map_or(0, |latest| latest.bytes());
            let is_light = told(&command) == 0 || member.each_waiting().map(|waiting| told(waiting)).sum::<usize>() < bytes_max;
            if member.waiting().len() < self.limits.subscriptions_max && is_light {
                command.handled = None;
                member.waiting().push_back(command);
            } else {
                let fault = Fault::new(Code::RateLimitExceeded, "too many subscribe commands wait for the replay under way");
                answer(member, &Answer::error(command.answer.id, fault));
            }
            return self.serve(slot).await;
        }
        self.subscribe_now(command);
        self.serve(slot).await;
    }

    pub(super) fn subscribe_now(&mut self, command: Subscribe) {
        let over_quota = self.over_quota(&command);
        let Some(member) = self.members.get_mut(command.slot) else { return };
        let fault = match &self.tail {
            None => Some(Fault::new(Code::BrokerUnavailable, "the org's log cannot be read at the moment").retry_after_ms(1_000)),
            Some(_) => {
                let routes = Routes { router: &mut self.router, sieve: &mut self.sieve };
                refusal(member, &command, &routes, self.limits, self.config.filters_max).or(over_quota)
            }
        };
        let (Some(tail), None) = (&self.tail, &fault) else {
            refuse(member, command.answer, fault);
            return;
        };
        let last = tail.last();
        // Whoever already has everything up to the end needs no replay.
        let replay = command.since.filter(|since| *since != last || !member.is_live());
        let since_seq = replay.map(|since| if since.epoch == last.epoch { since.seq } else { 0 });
        // Sessions keep their subscriptions for long and seldom add to them, so they get the room they need and no more.
        member.subscriptions.reserve_exact(command.grants.len());
        let mut routes = Routes { router: &mut self.router, sieve: &mut self.sieve };
        for grant in &command.grants {
            if !has(member, grant) {
                self.counted += usize::from(!is_own(grant.pattern()));
                let (pattern, filter) = routes.enter(grant.pattern(), grant.filter().as_ref(), command.slot);
                let asked = grant.asked().cloned();
                let filtered = filter.map(|filter| Box::new(Filtered { asked, filter: Some(filter), changed_seq: 0 }));
                let from_seq = since_seq.unwrap_or(last.seq);
                let filter = filtered.as_ref().and_then(|filtered| filtered.filter.clone());
                note(&self.notes, member, self.tail.as_ref(), What::Subscribed { pattern: pattern.clone(), filter, from_seq });
                member.subscriptions.push(Subscription { pattern, from_seq, fresh: replay.is_some(), filtered });
            }
        }
        // A position may only be told to a session that has everything up to it: what still waits in the queue could be dropped
        // by an overflow, and the reply would not.
        let has_all = member.is_live() && !member.queue.holds_log();
        let position = command.since.or(has_all.then_some(last));
        answer(member, &placed(command.answer, position));
        if let Some(since) = replay {
            note(&self.notes, member, self.tail.as_ref(), What::Resumed { from: since });
            member.start_catch_up(CatchUp::since(since, last.seq));
        }
    }

    fn unsubscribe(&mut self, command: Unsubscribe) {
        let Some(member) = self.members.get_mut(command.slot) else { return };
        let meant = |pattern: &Pattern, asked: Option<&Filter>| {
            command.wanted.iter().any(|wanted| wanted.pattern == *pattern && wanted.filter.as_ref() == asked)
        };
        let mut routes = Routes { router: &mut self.router, sieve: &mut self.sieve };
        let ends = |subscription: &Subscription| meant(&subscription.pattern, subscription.asked());
        let gone = member.end(ends, command.slot, &mut routes);
        gone.iter().for_each(|subscription| note_end(&self.notes, member, self.tail.as_ref(), subscription));
        self.counted -= gone.iter().filter(|subscription| !is_own(&subscription.pattern)).count();
        let mut ended = !gone.is_empty();
        for waiting in member.each_waiting() {
            let before = waiting.grants.len();
            waiting.grants.retain(|grant| !meant(grant.pattern(), grant.asked()));
            ended |= waiting.grants.len() != before;
        }
        match command.answer {
            Some(done) if ended => answer(member, &done),
            Some(done) => answer(member, &Answer::error(done.id, Fault::new(Code::RoomNotFound, NOT_SUBSCRIBED))),
            None => {}
        }
    }

    fn tell_position(&mut self, slot: Slot) {
        let (Some(member), Some(tail)) = (self.members.get_mut(slot), &self.tail) else { return };
        let last = tail.last();
        if member.is_live() && member.told_seq != last.seq {
            let bytes = frames::push(member.wire.as_ref(), &Push::Position(last));
            self.push(slot, &bytes, Some(last));
            if let Some(member) = self.members.get_mut(slot) {
                member.told_seq = last.seq;
            }
        }
    }

    fn subscriptions(&self, sessions: &[SessionId]) -> Vec<(SessionId, Vec<Pattern>)> {
        let here = sessions.iter().filter_map(|session| self.by_session.get(session)).filter_map(|slot| self.members.get(*slot));
        here.map(|member| (member.session, member.patterns().cloned().collect())).collect()
    }

    fn rooms(&self) -> Vec<(Pattern, usize)> {
        let mut rooms: HashMap<&Pattern, usize> = HashMap::new();
        for (_, member) in self.members.iter() {
            member.patterns().for_each(|pattern| *rooms.entry(pattern).or_default() += 1);
        }
        rooms.into_iter().map(|(pattern, count)| (pattern.clone(), count)).collect()
    }
}

const NOT_SUBSCRIBED: &str = "there was no such subscription; one with a filter is named with its filter";

/// Whether the session has that very subscription, by what the client asked for.
pub(super) fn has(member: &Member, grant: &Grant) -> bool {
    member.subscriptions.iter().any(|subscription| subscription.pattern == *grant.pattern() && subscription.asked() == grant.asked())
}

/// Why the command cannot be carried out, if it cannot.
fn refusal(member: &Member, command: &Subscribe, routes: &Routes<'_>, limits: Limits, filters_max: usize) -> Option<Fault> {
    let fresh = command.grants.iter().filter(|grant| !has(member, grant));
    if member.subscriptions.len() + fresh.clone().count() > limits.subscriptions_max {
        let text = format!("a session may have {} subscriptions; unsubscribe from others first", limits.subscriptions_max);
        return Some(Fault::new(Code::SubscriptionFailed, text));
    }
    let filters: Vec<Filter> = fresh.clone().filter_map(Grant::filter).collect();
    let known = routes.sieve.as_ref().map_or(0, |sieve| sieve.filters());
    if !filters.is_empty() && known + routes.new_filters(filters.iter()) > filters_max {
        let text = format!("the organization has its full number of {filters_max} different filters on this node");
        return Some(Fault::new(Code::SubscriptionFailed, text));
    }
    // Every session of the org is in the org's own room, which is no reason to refuse one.
    let full = fresh.clone().map(Grant::pattern).find(|pattern| !is_own(pattern) && routes.members(pattern) >= limits.room_members_max)?;
    Some(Fault::new(Code::RoomFull, format!("{full} has its full number of sessions on this node")).retry_after_ms(5_000))
}

/// Whether it is the room of an org or of a user.
pub(super) fn is_own(pattern: &Pattern) -> bool {
    let channel = pattern.as_str().split(':').next().unwrap_or_default();
    SYSTEM_CHANNELS.contains(&channel)
}

pub(super) fn answer(member: &Member, answer: &Answer) {
    let mut out = bytes::BytesMut::new();
    member.wire.answer(answer, &mut out);
    member.queue.push_answer(out.freeze());
}

/// A session that could not even get its own rooms is of no use, so it is sent away; one that has them keeps what it has.
fn refuse(member: &Member, command: Answer, fault: Option<Fault>) {
    let fault = fault.unwrap_or_else(|| Fault::new(Code::InternalError, "the subscription failed"));
    let useless = matches!(command.reply, Reply::Authenticated(_)) && member.subscriptions.is_empty();
    let (reason, retry_after_ms) = (fault.code, fault.retry_after_ms);
    answer(member, &Answer::error(command.id, fault));
    if useless {
        let code = match reason {
            Code::BrokerUnavailable => CloseCode::BrokerUnavailable,
            Code::RoomFull => CloseCode::ConnectionLimit,
            // The org's quota, of which another session may give something back.
            Code::SubscriptionFailed if retry_after_ms.is_some() => CloseCode::ConnectionLimit,
            _ => CloseCode::Unauthorized,
        };
        member.queue.close(Close { code, reason: Some(reason), retry_after_ms });
    }
}

fn placed(mut answer: Answer, at: Option<Position>) -> Answer {
    match &mut answer.reply {
        Reply::Authenticated(authenticated) => authenticated.position = at,
        Reply::Subscribed { position, .. } => *position = at,
        _ => {}
    }
    answer
}
