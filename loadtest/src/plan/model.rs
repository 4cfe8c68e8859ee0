//! What a deployment does per second, and what that costs: counts of operations from its shape, times what each operation costs. Pure.
//!
//! The counts are held against the hubs themselves in `tests/sim/scale.rs`; the costs are measured (docs/scale.md says how). What is not in here
//! costs nothing that grows: a room without a publication, for instance.

/// What is asked of a deployment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    pub nodes: f64,
    pub orgs: f64,
    /// Sessions of each org.
    pub sessions: f64,
    /// Publications of each org, per second.
    pub rate: f64,
    /// The share of its org's sessions that a publication reaches, from 0 to 1.
    pub reach: f64,
    /// Sessions that begin, of those that there are, per second.
    pub churn: f64,
    pub placement: Placement,
    /// Into how many topics an org's publications are divided by their rooms. One is what there is; more is docs/scale.md's next step.
    pub topics: f64,
}

/// Which nodes an org's sessions are on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placement {
    /// Any, as a load balancer that knows nothing of orgs has it.
    Anywhere,
    /// As few as hold them, this many sessions on each.
    Together { per_node: f64 },
}

/// How often something is done, per second, over the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operations {
    /// Pairs of an org and a node that has sessions of it: each is a task, a tail in memory and a subscription to a topic.
    pub pairs: f64,
    /// Nodes that an org is on.
    pub nodes_of_an_org: f64,
    pub publications: f64,
    /// Publications times the nodes that are told of each.
    pub events: f64,
    /// Publications times the sessions that get each.
    pub deliveries: f64,
    pub probes: f64,
    /// Of leases on connections, one for each pair.
    pub renewals: f64,
    /// Looks at logs, whether they are within their bounds.
    pub trims: f64,
    pub connects: f64,
    /// Of sessions, each answered by a pong.
    pub pings: f64,
}

/// Every how many seconds logs are probed while something is published, how long pauses become while nothing is (`hub.probe_interval_ms`,
/// `hub.probe_interval_max_ms`), and how often leases are renewed.
pub const PROBE_INTERVAL_S: f64 = 1.0;
pub const PROBE_INTERVAL_MAX_S: f64 = 8.0;
pub const RENEW_INTERVAL_S: f64 = 3.0;
/// How long it is from one look at a log within its bounds to the next (32 times `broker.redis.trim_interval_s`). Where more than a 64th of
/// `broker.redis.bytes_max` is published meanwhile, deliveries cost so much that looks do not matter.
pub const TRIM_PAUSE_S: f64 = 320.0;
/// How often a quiet session is pinged (`limits.ping_interval_ms`).
pub const PING_INTERVAL_S: f64 = 25.0;

impl Shape {
    /// Nodes that have a session of a given org: with the sessions anywhere, each of n nodes is missed by k sessions with the chance (1 - 1/n)^k.
    pub fn nodes_of_an_org(&self) -> f64 {
        match self.placement {
            Placement::Anywhere => occupied(self.nodes, self.sessions),
            Placement::Together { per_node } => (self.sessions / per_node).ceil().min(self.nodes),
        }
    }

    /// Nodes that are told of a publication: those with a session that has one of the rooms of its topic.
    fn nodes_told(&self) -> f64 {
        let concerned = self.sessions * (self.reach.max(1.0 / self.topics)).min(1.0);
        match self.placement {
            Placement::Anywhere => occupied(self.nodes, concerned),
            Placement::Together { per_node } => (concerned / per_node).ceil().min(self.nodes),
        }
    }

    pub fn operations(&self) -> Operations {
        let nodes_of_an_org = self.nodes_of_an_org();
        let pairs = self.orgs * nodes_of_an_org;
        let publications = self.orgs * self.rate;
        let connects = self.orgs * self.sessions * self.churn;
        Operations {
            pairs,
            nodes_of_an_org,
            publications,
            events: publications * if self.topics > 1.0 { self.nodes_told() } else { nodes_of_an_org },
            deliveries: publications * self.sessions * self.reach,
            probes: pairs * probes_per_s(self.rate),
            renewals: pairs / RENEW_INTERVAL_S,
            trims: pairs / TRIM_PAUSE_S,
            connects,
            pings: self.all_sessions() / PING_INTERVAL_S,
        }
    }

    pub fn all_sessions(&self) -> f64 {
        self.orgs * self.sessions
    }
}

/// Probes of an org into which so much is published: pauses double with each probe that finds nothing new, from one publication to the next.
fn probes_per_s(rate: f64) -> f64 {
    let silence = (1.0 / rate.max(1e-9) / PROBE_INTERVAL_S).max(1.0);
    let longest = PROBE_INTERVAL_MAX_S / PROBE_INTERVAL_S;
    // Pauses of 1, 2, 4, … up to the longest one come to so much together.
    let doubling = 2.0 * longest - 1.0;
    let probes = (silence.min(doubling) + 1.0).log2() + (silence - doubling).max(0.0) / longest;
    probes / (silence * PROBE_INTERVAL_S)
}

/// Of n places, how many k throws hit on average.
fn occupied(places: f64, throws: f64) -> f64 {
    // 1 - (1 - 1/n)^k, which for large n is lost in rounding when spelled so.
    places * -(throws * (-1.0 / places).ln_1p()).exp_m1()
}

/// What one operation costs, as measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Redis' CPU time in µs: a publish without subscribers, and each node that is told.
    pub redis_publish_us: f64,
    pub redis_told_us: f64,
    pub redis_probe_us: f64,
    pub redis_renewal_us: f64,
    /// The lease of a session that begins, and what each further node of the same org adds to it.
    pub redis_lease_us: f64,
    pub redis_lease_node_us: f64,
    pub redis_trim_us: f64,
    /// A node's CPU time in µs.
    pub node_event_us: f64,
    pub node_delivery_us: f64,
    /// A probe, a renewal or a look at a log.
    pub node_call_us: f64,
    pub node_connect_us: f64,
    pub node_ping_us: f64,
    /// A node's memory in bytes: its own, and per session and pair.
    pub session_user_bytes: f64,
    pub session_kernel_bytes: f64,
    pub pair_bytes: f64,
}

/// What a deployment takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bill {
    /// Cores of one node, all of them alike.
    pub node_cores: f64,
    /// Of these, for telling sessions; the rest is for being told, and for keeping watch.
    pub node_delivery_cores: f64,
    pub node_bytes: f64,
    /// Cores of Redis; more than one means as many shards of a Cluster.
    pub redis_cores: f64,
    /// Of these, for publishing and telling nodes, for probes (looks at logs among them) and for leases.
    pub redis_publish_cores: f64,
    pub redis_probe_cores: f64,
    pub redis_lease_cores: f64,
}

impl Costs {
    pub fn bill(&self, shape: &Shape) -> Bill {
        let did = shape.operations();
        let redis_publish_cores = (did.publications * self.redis_publish_us + did.events * self.redis_told_us) / 1e6;
        let redis_probe_cores = (did.probes * self.redis_probe_us + did.trims * self.redis_trim_us) / 1e6;
        let lease_us = self.redis_lease_us + self.redis_lease_node_us * (did.nodes_of_an_org - 1.0).max(0.0);
        let redis_lease_cores = (did.renewals * self.redis_renewal_us + did.connects * lease_us) / 1e6;
        let node_delivery_cores = did.deliveries * self.node_delivery_us / 1e6 / shape.nodes;
        let of_orgs_us = did.events * self.node_event_us + (did.probes + did.renewals + did.trims) * self.node_call_us;
        let besides_us = of_orgs_us + did.connects * self.node_connect_us + did.pings * self.node_ping_us;
        let session_bytes = self.session_user_bytes + self.session_kernel_bytes;
        Bill {
            node_cores: node_delivery_cores + besides_us / 1e6 / shape.nodes,
            node_delivery_cores,
            node_bytes: (shape.all_sessions() * session_bytes + did.pairs * self.pair_bytes) / shape.nodes,
            redis_cores: redis_publish_cores + redis_probe_cores + redis_lease_cores,
            redis_publish_cores,
            redis_probe_cores,
            redis_lease_cores,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        nodes: 10.0,
        orgs: 100.0,
        sessions: 50.0,
        rate: 2.0,
        reach: 0.5,
        churn: 0.001,
        placement: Placement::Anywhere,
        topics: 1.0,
    };

    #[test]
    fn one_session_is_on_one_node_and_many_are_on_all() {
        let on = |nodes, sessions| Shape { nodes, sessions, ..SHAPE }.nodes_of_an_org();
        assert!((on(300.0, 1.0) - 1.0).abs() < 1e-9);
        assert!((on(1e9, 5.0) - 5.0).abs() < 1e-6, "{}", on(1e9, 5.0));
        assert!(on(3.0, 1_000.0) > 2.999_999);
        let together = Shape { placement: Placement::Together { per_node: 20.0 }, ..SHAPE };
        assert_eq!(together.nodes_of_an_org(), 3.0);
    }

    #[test]
    fn operations_follow_from_the_shape() {
        let did = SHAPE.operations();
        assert_eq!((did.publications, did.deliveries), (200.0, 5_000.0));
        assert!((did.pairs - 100.0 * 10.0 * (1.0 - 0.9f64.powi(50))).abs() < 1e-6);
        assert_eq!(did.events, did.publications * did.nodes_of_an_org);
        assert_eq!(did.probes, did.pairs);
        assert!((did.trims - did.pairs / 320.0).abs() < 1e-9);
        assert!((did.renewals - did.pairs / 3.0).abs() < 1e-9 && (did.connects - 5.0).abs() < 1e-9);
    }

    #[test]
    fn silent_orgs_are_probed_seldom() {
        assert_eq!((probes_per_s(50.0), probes_per_s(1.0)), (1.0, 1.0));
        assert!((probes_per_s(0.0) - 1.0 / PROBE_INTERVAL_MAX_S).abs() < 1e-3);
        assert!(probes_per_s(0.1) > probes_per_s(0.01));
    }

    #[test]
    fn topics_only_help_where_rooms_are_apart() {
        let events = |reach, topics| Shape { nodes: 100.0, sessions: 1_000.0, reach, topics, ..SHAPE }.operations().events;
        assert!(events(0.01, 16.0) < events(0.01, 1.0) * 0.6);
        assert!(events(1.0, 16.0) > events(1.0, 1.0) * 0.999);
    }
}
