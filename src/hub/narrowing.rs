//! What a renewed token means for the subscriptions that a session has: some end, and the filters that grants enforce change.
//!
//! The org's task does this between deliveries, so everything that is sent after it goes by the new token.

use super::frames;
use super::member::{Filtered, Member};
use super::org::Org;
use super::router::Slot;
use super::routes::Routes;
use super::service::is_own;
use super::standing::{cursor, note, note_end};
use super::trace::What;
use crate::auth::Principal;
use crate::protocol::{Code, Fault, Filter, Pattern, Push};

impl Org {
    /// Ends the subscriptions that the renewed token no longer grants, and has the others pass what it enforces.
    pub(super) fn narrow(&mut self, slot: Slot, principal: &Principal) {
        let last_seq = self.tail.as_ref().map_or(0, |tail| tail.last().seq);
        let filters_max = self.config.filters_max;
        let Some(member) = self.members.get_mut(slot) else { return };
        let mut routes = Routes { router: &mut self.router, sieve: &mut self.sieve };
        let mut ended: Vec<Pattern> = Vec::new();
        for index in 0..member.subscriptions.len() {
            let subscription = &member.subscriptions[index];
            let granted = principal.grant_subscribe(subscription.pattern.clone());
            let filter = granted.map(|grant| grant.filtered(subscription.asked().cloned()).filter());
            match filter {
                Ok(filter) if filter.as_ref() == subscription.filter() => {}
                Ok(filter) if filter.as_ref().is_none_or(|filter| routes.takes(filter, filters_max)) => {
                    note_end(&self.notes, member, self.tail.as_ref(), &member.subscriptions[index]);
                    change(member, index, filter.as_ref(), last_seq, slot, &mut routes);
                    let subscription = &member.subscriptions[index];
                    let (pattern, filter) = (subscription.pattern.clone(), subscription.filter().cloned());
                    let from_seq = cursor(member, self.tail.as_ref()).seq;
                    note(&self.notes, member, self.tail.as_ref(), What::Subscribed { pattern, filter, from_seq });
                }
                // Without its filter it would bring more than is granted.
                Ok(_) | Err(_) => ended.push(subscription.pattern.clone()),
            }
        }
        for waiting in member.each_waiting() {
            waiting.grants.retain_mut(|grant| match principal.grant_again(grant) {
                Ok(renewed) => {
                    *grant = renewed;
                    true
                }
                Err(_) => {
                    ended.push(grant.pattern().clone());
                    false
                }
            });
        }
        if ended.is_empty() {
            return;
        }
        ended.sort();
        ended.dedup();
        let fault = Fault::new(Code::Unauthorized, "the renewed token no longer grants this");
        let bytes = frames::push(member.wire.as_ref(), &Push::Unsubscribed { rooms: &ended, fault: &fault });
        member.queue.push_answer(bytes);
        let gone = member.end(|subscription| ended.contains(&subscription.pattern), slot, &mut routes);
        gone.iter().for_each(|subscription| note_end(&self.notes, member, self.tail.as_ref(), subscription));
        self.counted -= gone.iter().filter(|subscription| !is_own(&subscription.pattern)).count();
    }
}

/// From here on the subscription goes by another filter.
fn change(member: &mut Member, index: usize, filter: Option<&Filter>, last_seq: u64, slot: Slot, routes: &mut Routes<'_>) {
    let subscription = &mut member.subscriptions[index];
    let earlier = subscription.filter().cloned();
    let asked = subscription.asked().cloned();
    let (pattern, filter) = routes.enter(&subscription.pattern, filter, slot);
    subscription.filtered = Some(Box::new(Filtered { asked, filter, changed_seq: last_seq }));
    if !member.has_route(&pattern, earlier.as_ref()) {
        routes.leave(&pattern, earlier.as_ref(), slot);
    }
}
