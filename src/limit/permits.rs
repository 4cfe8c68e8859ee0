//! Permits: connections per node, per address and per org on this node, given back on drop.
//!
//! The transport takes a [`ConnectionPermit`] before it reads a byte, the session an [`OrgPermit`] once it knows its org.
//! Each map holds at most one entry per open connection, so the node's maximum bounds them; locks are held for one entry only.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::protocol::{Code, Fault, OrgId};

/// Connections that one node takes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Connections of this node, all orgs together; at least 1 is used.
    pub per_node_max: usize,
    /// Connections of one org on this node; 0 means no limit. The cluster-wide count comes on top of it.
    pub per_org_max: usize,
    /// Connections from one address (of IPv6: one /64 network); 0 means no limit. Set it only where clients' own addresses
    /// arrive here: behind a proxy that hides them, all of them share one.
    pub per_address_max: usize,
    /// How long a refused client is asked to wait before it tries again.
    pub retry_after_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { per_node_max: 1_000, per_org_max: 100, per_address_max: 0, retry_after_ms: 5_000 }
    }
}

/// The counts of one node; clones share them.
#[derive(Clone, Debug)]
pub struct Permits {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    /// Never locked together with `orgs`.
    addresses: Mutex<Addresses>,
    orgs: Mutex<HashMap<OrgId, usize>>,
}

#[derive(Debug, Default)]
struct Addresses {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection of this node; dropping it frees the place.
#[derive(Debug)]
pub struct ConnectionPermit {
    shared: Arc<Shared>,
    /// The address counted, already narrowed to its network; `None` where addresses are not limited.
    network: Option<IpAddr>,
}

/// One connection of an org on this node; dropping it frees the place.
#[derive(Debug)]
pub struct OrgPermit {
    shared: Arc<Shared>,
    /// `None` where orgs are not limited.
    org: Option<OrgId>,
}

impl Permits {
    pub fn new(mut config: Config) -> Self {
        config.per_node_max = config.per_node_max.max(1);
        Self { shared: Arc::new(Shared { config, addresses: Mutex::default(), orgs: Mutex::default() }) }
    }

    /// # Errors
    /// `CONNECTION_LIMIT` with a wait, when the node or the address has its full number.
    pub fn connection(&self, address: IpAddr) -> Result<ConnectionPermit, Fault> {
        let config = &self.shared.config;
        let network = (config.per_address_max > 0).then(|| network_of(address));
        let mut addresses = self.shared.addresses.lock();
        if addresses.total >= config.per_node_max {
            return Err(self.full("this node has its full number of connections"));
        }
        if let Some(network) = network
            && !count(&mut addresses.by_address, &network, config.per_address_max)
        {
            return Err(self.full("this address has its full number of connections"));
        }
        addresses.total += 1;
        Ok(ConnectionPermit { shared: Arc::clone(&self.shared), network })
    }

    /// # Errors
    /// `CONNECTION_LIMIT` with a wait, when the org has its full number on this node.
    pub fn org(&self, org: &OrgId) -> Result<OrgPermit, Fault> {
        let max = self.shared.config.per_org_max;
        if max == 0 {
            return Ok(OrgPermit { shared: Arc::clone(&self.shared), org: None });
        }
        if !count(&mut self.shared.orgs.lock(), org, max) {
            return Err(self.full("the organization has its full number of connections on this node"));
        }
        Ok(OrgPermit { shared: Arc::clone(&self.shared), org: Some(org.clone()) })
    }

    /// Connections of this node that hold a permit.
    pub fn connections(&self) -> usize {
        self.shared.addresses.lock().total
    }

    fn full(&self, message: &'static str) -> Fault {
        Fault::new(Code::ConnectionLimit, message).retry_after_ms(self.shared.config.retry_after_ms)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut addresses = self.shared.addresses.lock();
        addresses.total -= 1;
        if let Some(network) = self.network {
            uncount(&mut addresses.by_address, &network);
        }
    }
}

impl Drop for OrgPermit {
    fn drop(&mut self) {
        if let Some(org) = &self.org {
            uncount(&mut self.shared.orgs.lock(), org);
        }
    }
}

/// Whoever holds an IPv6 address usually holds its whole /64, so that is what counts as one.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn count<K: Hash + Eq + Clone>(counts: &mut HashMap<K, usize>, key: &K, max: usize) -> bool {
    match counts.get_mut(key) {
        Some(held) if *held >= max => return false,
        Some(held) => *held += 1,
        None => {
            counts.insert(key.clone(), 1);
        }
    }
    true
}

/// Removes what nobody holds any more, so that the map stays as small as the number of connections.
fn uncount<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(held) = counts.get_mut(key) {
        *held -= 1;
        if *held == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(per_node_max: usize, per_org_max: usize, per_address_max: usize) -> Permits {
        Permits::new(Config { per_node_max, per_org_max, per_address_max, retry_after_ms: 700 })
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_full_node_refuses_until_somebody_leaves() {
        let permits = permits(2, 0, 0);
        let first = permits.connection(address("10.0.0.1")).unwrap();
        let _second = permits.connection(address("10.0.0.1")).unwrap();
        let fault = permits.connection(address("10.0.0.2")).unwrap_err();
        assert_eq!((fault.code, fault.retry_after_ms), (Code::ConnectionLimit, Some(700)));
        drop(first);
        assert!(permits.connection(address("10.0.0.2")).is_ok());
        assert_eq!(permits.connections(), 1);
    }

    #[test]
    fn a_refused_address_costs_the_node_nothing() {
        let permits = permits(10, 0, 1);
        let held = permits.connection(address("10.0.0.1")).unwrap();
        assert!(permits.connection(address("10.0.0.1")).is_err());
        assert!(permits.connection(address("::ffff:10.0.0.1")).is_err(), "the mapped form is the same address");
        assert_eq!(permits.connections(), 1);
        drop(held);
        assert!(permits.shared.addresses.lock().by_address.is_empty());
    }

    #[test]
    fn one_ipv6_network_counts_as_one_address() {
        let permits = permits(10, 0, 1);
        let _held = permits.connection(address("2001:db8::1")).unwrap();
        assert!(permits.connection(address("2001:db8::ffff:1")).is_err());
        assert!(permits.connection(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn orgs_are_counted_apart_and_forgotten_when_empty() {
        let permits = permits(10, 1, 0);
        let (acme, other) = (OrgId::parse("acme").unwrap(), OrgId::parse("other").unwrap());
        let held = permits.org(&acme).unwrap();
        assert_eq!(permits.org(&acme).unwrap_err().code, Code::ConnectionLimit);
        let _other = permits.org(&other).unwrap();
        drop(held);
        assert!(!permits.shared.orgs.lock().contains_key(&acme));
        assert!(permits.org(&acme).is_ok());
    }

    #[test]
    fn many_threads_never_exceed_the_maximum_and_leave_nothing_behind() {
        let permits = permits(8, 4, 4);
        let acme = OrgId::parse("acme").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let connection = permits.connection(address("10.0.0.1"));
                        let org = permits.org(&acme);
                        assert!(permits.connections() <= 4);
                        drop((connection, org));
                    }
                });
            }
        });
        assert_eq!(permits.connections(), 0);
        assert!(permits.shared.orgs.lock().is_empty());
    }
}
