//! What has been revoked, as one node remembers it: bounded, the oldest forgotten first.
//!
//! Pure. The registry asks it for every session and caller; whatever is read from the broker or asked of this node is noted here.

use std::collections::{HashMap, VecDeque};

use crate::broker::{Revocation, RevocationTarget};

/// Revocations remembered on a node; the oldest go first.
const REVOCATIONS_MAX: usize = 100_000;

#[derive(Default)]
pub struct Revoked {
    since: HashMap<RevocationTarget, Since>,
    /// In the order of the notes. A target that was noted again stands here twice, and only its last number counts.
    by_age: VecDeque<(u64, RevocationTarget)>,
    noted: u64,
}

#[derive(Clone, Copy)]
struct Since {
    at_ms: u64,
    /// The number of its last note.
    number: u64,
}

/// What a session or a caller rests on.
pub struct Basis<'a> {
    pub session: Option<String>,
    pub token: Option<&'a str>,
    pub org: Option<&'a str>,
    pub user: &'a str,
    /// Unix milliseconds.
    pub issued_ms: u64,
}

impl Revoked {
    /// Of several revocations of the same the latest counts, in whatever order they are heard of.
    pub fn note(&mut self, revocation: &Revocation) {
        let target = canonical(&revocation.target);
        self.noted += 1;
        let number = self.noted;
        let at_ms = self.since.get(&target).map_or(0, |since| since.at_ms).max(revocation.at_ms);
        self.since.insert(target.clone(), Since { at_ms, number });
        self.by_age.push_back((number, target));
        while self.since.len() > REVOCATIONS_MAX || self.by_age.len() > 2 * REVOCATIONS_MAX {
            let Some((number, oldest)) = self.by_age.pop_front() else { break };
            if self.since.get(&oldest).is_some_and(|since| since.number == number) {
                self.since.remove(&oldest);
            }
        }
    }

    /// Whether anything that it rests on was revoked; users and orgs not before the token was issued.
    pub fn holds(&self, basis: &Basis<'_>) -> bool {
        if self.since.is_empty() {
            return false;
        }
        let org = || basis.org.map(str::to_owned);
        let session = |id: &String, organization_id| RevocationTarget::Session { session_id: id.clone(), organization_id };
        let lasting = [
            basis.session.as_ref().map(|id| session(id, None)),
            basis.session.as_ref().zip(org()).map(|(id, org)| session(id, Some(org))),
            basis.token.map(|token| RevocationTarget::Token { token_id: token.to_owned() }),
        ];
        let user = org().map(|organization_id| RevocationTarget::User { organization_id, user_id: basis.user.to_owned() });
        let passing = [user, org().map(|organization_id| RevocationTarget::Org { organization_id })];
        lasting.iter().flatten().any(|target| self.since.contains_key(target))
            || passing.iter().flatten().filter_map(|target| self.since.get(target)).any(|since| basis.issued_ms <= since.at_ms)
    }

    /// What is remembered here and not among `kept`.
    pub fn missing_from(&self, kept: &[Revocation]) -> Vec<Revocation> {
        let mut kept_since: HashMap<RevocationTarget, u64> = HashMap::new();
        for revocation in kept {
            let at_ms = kept_since.entry(canonical(&revocation.target)).or_default();
            *at_ms = revocation.at_ms.max(*at_ms);
        }
        let known = |target: &RevocationTarget, since: &Since| kept_since.get(target).is_some_and(|at_ms| *at_ms >= since.at_ms);
        let missing = self.since.iter().filter(|(target, since)| !known(target, since));
        missing.map(|(target, since)| Revocation { at_ms: since.at_ms, target: target.clone() }).collect()
    }
}

/// A session's id as sessions spell their own; what else there is has one spelling.
fn canonical(target: &RevocationTarget) -> RevocationTarget {
    match target {
        RevocationTarget::Session { session_id, organization_id } => RevocationTarget::Session {
            session_id: session_id.replace('-', "").to_ascii_lowercase(),
            organization_id: organization_id.clone(),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: usize) -> RevocationTarget {
        RevocationTarget::Token { token_id: id.to_string() }
    }

    fn basis(token: &str) -> Basis<'_> {
        Basis { session: None, token: Some(token), org: Some("acme"), user: "alice", issued_ms: 100 }
    }

    #[test]
    fn the_latest_revocation_counts_in_whatever_order_they_come() {
        let mut revoked = Revoked::default();
        let org = RevocationTarget::Org { organization_id: "acme".into() };
        for at_ms in [50, 100, 20] {
            revoked.note(&Revocation { at_ms, target: org.clone() });
        }
        assert!(revoked.holds(&basis("t")));
        assert!(!revoked.holds(&Basis { issued_ms: 101, ..basis("t") }));
        assert!(!revoked.holds(&Basis { org: Some("other"), ..basis("t") }));
        assert!(!revoked.holds(&Basis { org: None, ..basis("t") }), "a token for all orgs is of none");
        assert_eq!(
            revoked.missing_from(&[Revocation { at_ms: 99, target: org.clone() }]),
            [Revocation { at_ms: 100, target: org.clone() }]
        );
        assert_eq!(revoked.missing_from(&[Revocation { at_ms: 100, target: org }]), []);
    }

    #[test]
    fn a_session_can_be_revoked_within_one_org_only() {
        let mut revoked = Revoked::default();
        let id = "0193A1F2-C0DE-7A5B-8C3D-4E5F60718293";
        revoked.note(&Revocation {
            at_ms: 1,
            target: RevocationTarget::Session { session_id: id.into(), organization_id: Some("acme".into()) },
        });
        let of = |org| Basis { session: Some("0193a1f2c0de7a5b8c3d4e5f60718293".into()), org: Some(org), ..basis("t") };
        assert!(revoked.holds(&of("acme")) && !revoked.holds(&of("other")));
    }

    #[test]
    fn it_forgets_the_oldest_note_and_not_one_that_was_noted_again() {
        let mut revoked = Revoked::default();
        for id in (0..REVOCATIONS_MAX).chain([0]).chain(REVOCATIONS_MAX..REVOCATIONS_MAX + 10) {
            revoked.note(&Revocation { at_ms: 1, target: token(id) });
        }
        assert!(revoked.holds(&basis("0")) && !revoked.holds(&basis("1")) && !revoked.holds(&basis("10")) && revoked.holds(&basis("11")));
        for _ in 0..3 * REVOCATIONS_MAX {
            revoked.note(&Revocation { at_ms: 1, target: token(0) });
        }
        assert!(revoked.by_age.len() <= 2 * REVOCATIONS_MAX && revoked.holds(&basis("0")));
    }
}
