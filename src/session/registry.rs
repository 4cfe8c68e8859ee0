//! The sessions of this node, for listing, disconnecting and revoking.
//!
//! The driver enters and leaves; `api` and the revocation loop look at it. It never touches a socket: it asks send queues to
//! close.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::auth::{Caller, Principal};
use crate::broker::{Revocation, RevocationTarget};
use crate::hub::SendQueue;
use crate::protocol::{Close, CloseCode, Code, Fault, SessionId};

/// Revocations remembered on a node; the oldest go first.
const REVOCATIONS_MAX: usize = 100_000;

/// All sessions of this node, and what has been revoked.
#[derive(Default)]
pub struct Registry {
    sessions: Mutex<BTreeMap<SessionId, Arc<Entry>>>,
    /// Sessions whose user is known.
    introduced: AtomicUsize,
    revoked: Mutex<Revoked>,
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

#[derive(Default)]
struct Revoked {
    since_ms: HashMap<RevocationKey, u64>,
    by_age: VecDeque<RevocationKey>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum RevocationKey {
    User(String, String),
    Session(String),
    Token(String),
    Org(String),
}

impl From<&RevocationTarget> for RevocationKey {
    fn from(target: &RevocationTarget) -> Self {
        match target {
            RevocationTarget::User { organization_id, user_id } => Self::User(organization_id.clone(), user_id.clone()),
            // The id's spelling is the caller's; sessions compare their own.
            RevocationTarget::Session { session_id } => Self::Session(session_id.replace('-', "").to_ascii_lowercase()),
            RevocationTarget::Token { token_id } => Self::Token(token_id.clone()),
            RevocationTarget::Org { organization_id } => Self::Org(organization_id.clone()),
        }
    }
}

impl Revoked {
    /// Whether any of these was revoked, users and orgs not before `issued_ms`.
    fn holds(&self, keys: impl IntoIterator<Item = Option<RevocationKey>>, issued_ms: u64) -> bool {
        keys.into_iter().flatten().any(|key| {
            let lasting = matches!(key, RevocationKey::Session(_) | RevocationKey::Token(_));
            self.since_ms.get(&key).is_some_and(|since_ms| lasting || issued_ms <= *since_ms)
        })
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
        let revoked = self.revoked.lock();
        if revoked.since_ms.is_empty() {
            return false;
        }
        let org = principal.org().as_str().to_owned();
        let keys = [
            Some(RevocationKey::Session(id.to_string())),
            principal.token_id().map(|token| RevocationKey::Token(token.to_owned())),
            Some(RevocationKey::User(org.clone(), principal.sub().to_owned())),
            Some(RevocationKey::Org(org)),
        ];
        // Tokens name whole seconds: one issued within the second of the revocation counts as issued before it.
        let issued_ms = principal.issued_at_s().map_or(0, |issued_s| issued_s.saturating_mul(1_000));
        revoked.holds(keys, issued_ms)
    }

    /// Lets a caller of REST pass unless its token, its user or its org has been revoked. API keys are not revoked but removed.
    ///
    /// # Errors
    /// `AUTH_FAILED` when the token has been revoked.
    pub fn admit(&self, caller: &Caller) -> Result<(), Fault> {
        let Some(issued_s) = caller.issued_at_s else { return Ok(()) };
        let org = caller.home.as_ref().map(|org| org.as_str().to_owned());
        let user = org.clone().map(|org| RevocationKey::User(org, caller.name.to_string()));
        let token = caller.token_id.as_ref().map(|token| RevocationKey::Token(token.to_string()));
        let keys = [token, user, org.map(RevocationKey::Org)];
        if self.revoked.lock().holds(keys, issued_s.saturating_mul(1_000)) {
            return Err(Fault::new(Code::AuthFailed, "the token has been revoked"));
        }
        Ok(())
    }

    /// Remembers the revocations and closes the sessions they concern; how many those were.
    pub fn revoke(&self, revocations: &[Revocation]) -> usize {
        if revocations.is_empty() {
            return 0;
        }
        self.remember(revocations);
        let entries = self.list(None, usize::MAX, |_| true);
        let concerned = entries.iter().filter(|entry| entry.principal().is_some_and(|principal| self.is_revoked(entry.id, &principal)));
        concerned.map(|entry| entry.queue.close(Close::because(CloseCode::Revoked, Code::AuthFailed))).count()
    }

    fn remember(&self, revocations: &[Revocation]) {
        let mut revoked = self.revoked.lock();
        for revocation in revocations {
            let key = RevocationKey::from(&revocation.target);
            if revoked.since_ms.insert(key.clone(), revocation.at_ms).is_none() {
                revoked.by_age.push_back(key);
            }
            if revoked.by_age.len() > REVOCATIONS_MAX
                && let Some(oldest) = revoked.by_age.pop_front()
            {
                revoked.since_ms.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::send_queue::Limits;
    use crate::protocol::OrgId;

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
        let by_id = RevocationTarget::Session { session_id: first.id.0.hyphenated().to_string() };
        assert_eq!(registry.revoke(&revocation(1, by_id)), 1);
        assert!(first.queue.is_closed() && !second.queue.is_closed());
        assert_eq!(registry.revoke(&revocation(1, RevocationTarget::Token { token_id: "jti-1".into() })), 2);
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
