//! Entries of the ingest stream that wait because their org has used up its quota, so that those of other orgs need not wait behind them.
//!
//! Pure. The consumer of a shard keeps one; the entries themselves stay pending in the stream, so that a consumer that dies loses nothing.
//! An org that has entries here gets no later one past them: its order holds.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::protocol::OrgId;

#[derive(Default)]
pub(super) struct Deferral {
    orgs: HashMap<OrgId, Aside>,
    count: usize,
}

/// The entries of one org.
struct Aside {
    /// In the order of the stream; never empty.
    ids: VecDeque<String>,
    due: Instant,
}

/// How many entries may wait.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) per_org_max: usize,
    pub(super) max: usize,
}

impl Deferral {
    pub(super) fn holds(&self, org: &OrgId) -> bool {
        self.orgs.contains_key(org)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Puts an entry behind the others of its org, which are tried from `due` on unless they have a time already. `false` when there is no room.
    pub(super) fn put(&mut self, org: &OrgId, id: &str, due: Instant, bounds: Bounds) -> bool {
        let held = self.orgs.get(org).map_or(0, |aside| aside.ids.len());
        if held >= bounds.per_org_max || self.count >= bounds.max {
            return false;
        }
        let aside = self.orgs.entry(org.clone()).or_insert_with(|| Aside { ids: VecDeque::new(), due });
        aside.ids.push_back(id.to_owned());
        self.count += 1;
        true
    }

    /// The orgs that may be tried now.
    pub(super) fn due(&self, now: Instant) -> Vec<OrgId> {
        self.orgs.iter().filter(|(_, aside)| aside.due <= now).map(|(org, _)| org.clone()).collect()
    }

    /// How long until one may be tried, at most `longest`.
    pub(super) fn wait(&self, now: Instant, longest: Duration) -> Duration {
        let waits = self.orgs.values().map(|aside| aside.due.saturating_duration_since(now));
        waits.min().unwrap_or(longest).min(longest)
    }

    pub(super) fn first(&self, org: &OrgId) -> Option<&str> {
        self.orgs.get(org).and_then(|aside| aside.ids.front()).map(String::as_str)
    }

    /// The first entry of the org is dealt with.
    pub(super) fn take_first(&mut self, org: &OrgId) {
        let Some(aside) = self.orgs.get_mut(org) else { return };
        self.count -= usize::from(aside.ids.pop_front().is_some());
        if aside.ids.is_empty() {
            self.orgs.remove(org);
        }
    }

    pub(super) fn put_off(&mut self, org: &OrgId, due: Instant) {
        if let Some(aside) = self.orgs.get_mut(org) {
            aside.due = due;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_org_waits_in_its_own_order_and_within_the_bounds() {
        let (mut deferral, now) = (Deferral::default(), Instant::now());
        let (acme, other) = (OrgId::parse("acme").unwrap(), OrgId::parse("other").unwrap());
        let bounds = Bounds { per_org_max: 2, max: 3 };
        let later = now + Duration::from_millis(50);
        assert!(deferral.put(&acme, "1-0", later, bounds) && deferral.put(&acme, "2-0", now, bounds));
        assert!(!deferral.put(&acme, "3-0", now, bounds));
        assert!(deferral.put(&other, "4-0", now, bounds) && !deferral.put(&other, "5-0", now, bounds));
        assert_eq!((deferral.due(now), deferral.wait(now, Duration::from_secs(1))), (vec![other.clone()], Duration::ZERO));
        deferral.take_first(&other);
        assert!(!deferral.holds(&other) && deferral.holds(&acme));
        assert_eq!(deferral.wait(now, Duration::from_secs(1)), Duration::from_millis(50));
        assert_eq!(deferral.wait(now, Duration::from_millis(9)), Duration::from_millis(9));
        deferral.take_first(&acme);
        deferral.put_off(&acme, now);
        assert_eq!((deferral.first(&acme), deferral.due(now), deferral.len()), (Some("2-0"), vec![acme.clone()], 1));
        deferral.take_first(&acme);
        assert_eq!((deferral.first(&acme), deferral.len()), (None, 0));
    }
}
