//! How many sockets one listener holds at a time, over all and per address.
//!
//! The listener asks for a [`Permit`] before it spends anything on a socket. The permit travels inside the
//! [`Stream`](super::Stream), through the upgrade, so it is given back when the socket closes and cannot be forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// Counts the sockets of one listener.
#[derive(Debug)]
pub struct Admission {
    connections_max: usize,
    /// 0: no bound per address.
    per_address_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    /// Holds only addresses with open sockets, so `connections_max` bounds it too.
    by_address: HashMap<IpAddr, usize>,
}

/// One socket's place; dropping it frees the place.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    /// `per_address_max` 0 means that one address may hold all places.
    pub fn new(connections_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { connections_max, per_address_max, open: Mutex::default() })
    }

    /// `None` when the listener, or the address, has its full number.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let address = counted(address);
        let mut open = self.open.lock();
        if open.total >= self.connections_max {
            return None;
        }
        if self.per_address_max > 0 {
            let count = open.by_address.entry(address).or_default();
            if *count >= self.per_address_max {
                return None;
            }
            *count += 1;
        }
        open.total += 1;
        Some(Permit { admission: Arc::clone(self), address })
    }

    /// Sockets that are open now.
    pub fn open(&self) -> usize {
        self.open.lock().total
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.admission.open.lock();
        open.total -= 1;
        if let Some(count) = open.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// A subscriber line gets a whole IPv6 /64, so that is what counts as one address.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn both_bounds_hold_and_places_come_back() {
        let admission = Admission::new(3, 2);
        let first = admission.admit(ip("10.0.0.1")).unwrap();
        let _second = admission.admit(ip("::ffff:10.0.0.1")).unwrap();
        assert!(admission.admit(ip("10.0.0.1")).is_none(), "a mapped address is the same address");
        let _third = admission.admit(ip("10.0.0.2")).unwrap();
        assert!(admission.admit(ip("10.0.0.3")).is_none(), "the listener is full");
        drop(first);
        assert_eq!(admission.open(), 2);
        assert!(admission.admit(ip("10.0.0.1")).is_some());
        assert_eq!(admission.open.lock().by_address.len(), 2);
    }

    #[test]
    fn a_prefix_of_64_bits_is_one_address() {
        let admission = Admission::new(10, 1);
        let _one = admission.admit(ip("2001:db8::1")).unwrap();
        assert!(admission.admit(ip("2001:db8::ffff:2")).is_none());
        assert!(admission.admit(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn without_a_bound_per_address_nothing_is_kept_per_address() {
        let admission = Admission::new(10, 0);
        let _places: Vec<Permit> = (0..10).map(|_| admission.admit(ip("10.0.0.1")).unwrap()).collect();
        assert!(admission.open.lock().by_address.is_empty());
    }
}
