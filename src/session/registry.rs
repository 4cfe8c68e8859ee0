//! The sessions of this node, for listing, disconnecting and revoking.
//!
//! The driver enters and leaves; `api` and the revocation loop look at it. It never touches a socket: it asks send queues to
//! close.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::revoked::{Basis, Revoked};
use crate::auth::{Caller, Principal};
use crate::broker::Revocation;
use crate::hub::SendQueue;
use crate::protocol::{Close, CloseCode, Code, Fault, OrgId, SessionId};

/// All sessions of this node, and what has been revoked.
pub struct Registry {
    sessions: Mutex<BTreeMap<SessionId, Arc<Entry>>>,
    /// Sessions whose user is known.
    introduced: AtomicUsize,
    revoked: Mutex<Revoked>,
    /// Until when, by the node's clock that never steps back, what is known to be revoked is taken for all that is.
    trusted_until_ms: AtomicU64,
}

impl Default for Registry {
    fn default() -> Self {
        let trusted_until_ms = AtomicU64::new(u64::MAX);
        Self { sessions: Mutex::default(), introduced: AtomicUsize::default(), revoked: Mutex::default(), trusted_until_ms }
    }
}

/// What others may know of a session.
pub struct Entry {
    pub id: SessionId,
    pub queue: Arc<SendQueue>,
    /// Unix milliseconds.
    pub connected_at_ms: u64,
    heard_at_ms: AtomicU64,
    principal: Mutex<Option<Arc<Principal>>>,
}

impl Entry {
    pub fn new(id: SessionId, queue: Arc<SendQueue>, connected_at_ms: u64) -> Self {
        Self { id, queue, connected_at_ms, heard_at_ms: AtomicU64::new(connected_at_ms), principal: Mutex::default() }
    }

    /// `None` until the client has authenticated.
    pub fn principal(&self) -> Option<Arc<Principal>> {
        self.principal.lock().clone()
    }

    pub fn heard_at_ms(&self) -> u64 {
        self.heard_at_ms.load(Ordering::Relaxed)
    }

    pub fn note_heard(&self, unix_ms: u64) {
        self.heard_at_ms.store(unix_ms, Ordering::Relaxed);
    }
}

impl Registry {
    pub fn enter(&self, entry: Arc<Entry>) {
        self.sessions.lock().insert(entry.id, entry);
    }

    pub fn leave(&self, id: SessionId) {
        let left = self.sessions.lock().remove(&id);
        if left.is_some_and(|entry| entry.principal().is_some()) {
            self.introduced.fetch_sub(1, Ordering::AcqRel);
        }
    }

    pub fn find(&self, id: SessionId) -> Option<Arc<Entry>> {
        self.sessions.lock().get(&id).cloned()
    }

    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Sessions that have shown credentials; the others still owe them.
    pub fn introduced(&self) -> usize {
        self.introduced.load(Ordering::Acquire)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sessions in the order of their ids, from the one behind `after`, at most `limit` that `keep` wants.
    pub fn list(&self, after: Option<SessionId>, limit: usize, keep: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let sessions = self.sessions.lock();
        let from = after.map_or(Unbounded, Excluded);
        sessions.range((from, Unbounded)).map(|(_, entry)| entry).filter(|entry| keep(entry)).take(limit).cloned().collect()
    }

    /// Sessions that connected at `before_ms` (Unix) or earlier, the oldest first, at most `limit` that `keep` wants. Ids begin with the time at
    /// which they were given, so that the younger ones need not be looked at.
    pub fn oldest(&self, limit: usize, before_ms: u64, keep: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        if limit == 0 {
            return Vec::new();
        }
        let sessions = self.sessions.lock();
        let old = sessions.values().take_while(|entry| entry.connected_at_ms <= before_ms);
        old.filter(|entry| keep(entry)).take(limit).cloned().collect()
    }

    /// Shows every session to `look`, for counting. New sessions wait meanwhile.
    pub fn visit(&self, look: impl FnMut(&Entry)) {
        self.sessions.lock().values().map(AsRef::as_ref).for_each(look);
    }

    /// Notes who the session is, unless that has been revoked.
    ///
    /// # Errors
    /// `AUTH_FAILED` when the token, its user or its org has been revoked.
    pub fn introduce(&self, entry: &Entry, principal: &Arc<Principal>) -> Result<(), Fault> {
        // First the note, then the look: a revocation that comes between finds the session by its note.
        if entry.principal.lock().replace(Arc::clone(principal)).is_none() {
            self.introduced.fetch_add(1, Ordering::AcqRel);
        }
        if self.is_revoked(entry.id, principal) { Err(Fault::new(Code::AuthFailed, "the token has been revoked")) } else { Ok(()) }
    }

    fn is_revoked(&self, id: SessionId, principal: &Principal) -> bool {
        self.revoked.lock().holds(&Basis {
            session: Some(id.to_string()),
            token: principal.token_id(),
            org: Some(principal.org().as_str()),
            user: principal.sub(),
            // Tokens name whole seconds: one issued within the second of the revocation counts as issued before it.
            issued_ms: principal.issued_at_s().map_or(0, |issued_s| issued_s.saturating_mul(1_000)),
        })
    }

    /// What was revoked is known up to now, and may be taken for that until `until_ms`.
    pub fn trust_until_ms(&self, until_ms: u64) {
        self.trusted_until_ms.store(until_ms, Ordering::Release);
    }

    /// Whether new credentials can be judged at `now_ms` of the node's clock that never steps back.
    ///
    /// # Errors
    /// `BROKER_UNAVAILABLE` while it is not known what was revoked.
    pub fn is_informed(&self, now_ms: u64) -> Result<(), Fault> {
        if now_ms <= self.trusted_until_ms.load(Ordering::Acquire) {
            return Ok(());
        }
        let text = "whether these credentials were revoked is not known, because the broker cannot be reached";
        Err(Fault::new(Code::BrokerUnavailable, text).retry_after_ms(1_000))
    }

    /// Lets a caller of REST pass unless its token, its user or its org has been revoked. API keys are not revoked but removed.
    ///
    /// # Errors
    /// `AUTH_FAILED` when the token has been revoked, and what [`Registry::is_informed`] has.
    pub fn admit(&self, caller: &Caller, now_ms: u64) -> Result<(), Fault> {
        let Some(issued_s) = caller.issued_at_s else { return Ok(()) };
        self.is_informed(now_ms)?;
        let basis = Basis {
            session: None,
            token: caller.token_id.as_deref(),
            org: caller.home.as_ref().map(OrgId::as_str),
            user: &caller.name,
            issued_ms: issued_s.saturating_mul(1_000),
        };
        if self.revoked.lock().holds(&basis) {
            return Err(Fault::new(Code::AuthFailed, "the token has been revoked"));
        }
        Ok(())
    }

    /// Remembers the revocations and closes the sessions they concern; how many those were.
    pub fn revoke(&self, revocations: &[Revocation]) -> usize {
        if revocations.is_empty() {
            return 0;
        }
        {
            let mut revoked = self.revoked.lock();
            revocations.iter().for_each(|revocation| revoked.note(revocation));
        }
        let entries = self.list(None, usize::MAX, |entry| !entry.queue.is_closed());
        let concerned = entries.iter().filter(|entry| entry.principal().is_some_and(|principal| self.is_revoked(entry.id, &principal)));
        concerned.map(|entry| entry.queue.close(Close::because(CloseCode::Revoked, Code::AuthFailed))).count()
    }

    /// What this node remembers and the broker's store does not keep.
    pub fn revocations_missing_from(&self, kept: &[Revocation]) -> Vec<Revocation> {
        self.revoked.lock().missing_from(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::RevocationTarget;
    use crate::hub::send_queue::Limits;

    fn entry(registry: &Registry) -> Arc<Entry> {
        let queue = Arc::new(SendQueue::new(Limits { bytes_max: 1, replies_bytes_max: 1 }, crate::hub::NoSink));
        let entry = Arc::new(Entry::new(SessionId(uuid::Uuid::now_v7()), queue, 0));
        registry.enter(Arc::clone(&entry));
        entry
    }

    fn alice(issued_at_s: u64) -> Arc<Principal> {
        let org = OrgId::parse("acme").unwrap();
        Arc::new(Principal::new("alice", &org, 1_000).unwrap().with_token(Some(issued_at_s), Some("jti-1".into())))
    }

    fn revocation(at_ms: u64, target: RevocationTarget) -> [Revocation; 1] {
        [Revocation { at_ms, target }]
    }

    #[test]
    fn the_oldest_come_first_and_the_young_not_at_all() {
        let registry = Registry::default();
        for at_ms in [30, 10, 20, 40] {
            let id = SessionId(uuid::Builder::from_unix_timestamp_millis(at_ms, &rand::random()).into_uuid());
            let queue = Arc::new(SendQueue::new(Limits { bytes_max: 1, replies_bytes_max: 1 }, crate::hub::NoSink));
            registry.enter(Arc::new(Entry::new(id, queue, at_ms)));
        }
        let oldest = |limit, before_ms, keep: fn(&Entry) -> bool| {
            registry.oldest(limit, before_ms, keep).iter().map(|entry| entry.connected_at_ms).collect::<Vec<_>>()
        };
        assert_eq!(oldest(9, 30, |_| true), [10, 20, 30]);
        assert_eq!(oldest(2, 40, |entry| entry.connected_at_ms != 10), [20, 30]);
        assert!(oldest(0, 40, |_| true).is_empty());
    }

    #[test]
    fn a_revoked_user_is_closed_and_may_come_back_with_a_later_token() {
        let registry = Registry::default();
        let session = entry(&registry);
        registry.introduce(&session, &alice(100)).unwrap();
        registry.introduce(&session, &alice(100)).unwrap();
        assert_eq!(registry.introduced(), 1, "a renewal is no second session");
        let user = RevocationTarget::User { organization_id: "acme".into(), user_id: "alice".into() };
        assert_eq!(registry.revoke(&revocation(100_500, user)), 1);
        assert_eq!(session.queue.close_asked().unwrap().code, CloseCode::Revoked);
        assert!(registry.introduce(&entry(&registry), &alice(100)).is_err());
        assert!(registry.introduce(&entry(&registry), &alice(101)).is_ok());
        for session in registry.list(None, usize::MAX, |_| true) {
            registry.leave(session.id);
        }
        assert_eq!(registry.introduced(), 0);
    }

    #[test]
    fn tokens_sessions_and_orgs_can_be_revoked() {
        let registry = Registry::default();
        let (first, second) = (entry(&registry), entry(&registry));
        for session in [&first, &second] {
            registry.introduce(session, &alice(100)).unwrap();
        }
        let by_id = RevocationTarget::Session { session_id: first.id.0.hyphenated().to_string(), organization_id: None };
        assert_eq!(registry.revoke(&revocation(1, by_id)), 1);
        assert!(first.queue.is_closed() && !second.queue.is_closed());
        assert_eq!(registry.revoke(&revocation(1, RevocationTarget::Token { token_id: "jti-1".into() })), 1, "the first is closing");
        assert!(second.queue.is_closed());
        let other = RevocationTarget::Org { organization_id: "other".into() };
        assert!(
            registry.introduce(&entry(&registry), &Arc::new(Principal::new("bob", &OrgId::parse("acme").unwrap(), 9).unwrap())).is_ok()
        );
        registry.revoke(&revocation(u64::MAX, other));
        let org = RevocationTarget::Org { organization_id: "acme".into() };
        registry.revoke(&revocation(u64::MAX, org));
        assert!(
            registry.introduce(&entry(&registry), &Arc::new(Principal::new("bob", &OrgId::parse("acme").unwrap(), 9).unwrap())).is_err()
        );
    }
}
