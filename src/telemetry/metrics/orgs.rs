//! Which org is loud: sessions, publications and deliveries by org, for as many orgs as an operator asked for.
//!
//! Off by default, because every label value is a series for each node that Prometheus keeps. The task of an org has one [`OrgMeter`] and
//! counts once per batch; nothing here is looked up per delivery.

use std::collections::HashSet;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use metrics::{Counter, Gauge, counter, gauge};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::table;
use crate::protocol::OrgId;

/// All orgs beyond the bound together; no org can have this name, which has a character that segments do not.
const OTHERS: &str = "(others)";

/// Settings of the section `telemetry.metrics`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many orgs have metrics of their own on each node, the first that it meets; the rest are counted together as `(others)`. 0: no
    /// metric names an org.
    pub orgs_max: usize,
}

static ORGS_MAX: AtomicUsize = AtomicUsize::new(0);
static NAMED: LazyLock<Mutex<HashSet<OrgId>>> = LazyLock::new(Mutex::default);

/// Has orgs counted that open from now on.
pub(super) fn begin(config: &Config) {
    ORGS_MAX.store(config.orgs_max, Ordering::Relaxed);
    if config.orgs_max > 0 {
        Handles::of(OTHERS);
    }
}

/// Counts for one org, or for nobody.
pub struct OrgMeter {
    handles: Option<Handles>,
    sessions: usize,
}

struct Handles {
    sessions: Gauge,
    publications: Counter,
    delivered: Counter,
}

impl Handles {
    fn of(label: &str) -> Self {
        super::install();
        let handles = Self {
            sessions: gauge!(table::ORG_SESSIONS.name, "org" => label.to_owned()),
            publications: counter!(table::ORG_PUBLICATIONS.name, "org" => label.to_owned()),
            delivered: counter!(table::ORG_DELIVERED.name, "org" => label.to_owned()),
        };
        handles.sessions.increment(0.0);
        handles.publications.increment(0);
        handles.delivered.increment(0);
        handles
    }
}

impl OrgMeter {
    pub fn of(org: &OrgId) -> Self {
        let max = ORGS_MAX.load(Ordering::Relaxed);
        if max == 0 {
            return Self { handles: None, sessions: 0 };
        }
        let mut named = NAMED.lock();
        let has_room = named.len() < max;
        let label = if named.contains(org) || (has_room && named.insert(org.clone())) { org.as_str() } else { OTHERS };
        Self { handles: Some(Handles::of(label)), sessions: 0 }
    }

    /// One batch on this node, and how many sessions it was handed to.
    pub fn fanned_out(&self, publications: usize, deliveries: impl Iterator<Item = u64>) {
        if let Some(handles) = &self.handles {
            handles.publications.increment(publications as u64);
            handles.delivered.increment(deliveries.sum());
        }
    }

    /// How many sessions there are now; a gauge that several orgs share has the sum.
    pub fn sessions(&mut self, now: usize) {
        if let Some(handles) = &self.handles {
            handles.sessions.increment(now as f64 - self.sessions as f64);
            self.sessions = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::*;

    #[test]
    fn orgs_beyond_the_bound_are_counted_together() {
        let org = |name: &str| OrgId::parse(name).unwrap();
        assert!(OrgMeter::of(&org("before")).handles.is_none());
        begin(&Config { orgs_max: 1 });
        let (mut first, mut second, mut third) = (OrgMeter::of(&org("first")), OrgMeter::of(&org("second")), OrgMeter::of(&org("third")));
        let again = OrgMeter::of(&org("first"));
        first.fanned_out(2, [3, 4].into_iter());
        again.fanned_out(1, [1].into_iter());
        first.sessions(5);
        second.sessions(7);
        third.sessions(9);
        second.sessions(2);
        let text = render();
        for line in [
            "roomcast_org_publications_total{org=\"first\"} 3",
            "roomcast_org_delivered_total{org=\"first\"} 8",
            "roomcast_org_sessions{org=\"first\"} 5",
            "roomcast_org_sessions{org=\"(others)\"} 11",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("org=\"second\""));
        ORGS_MAX.store(0, Ordering::Relaxed);
    }
}
