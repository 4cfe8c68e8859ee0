//! Nodes by their names.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, ensure};

/// The addresses of all nodes in `names`, each once: those of a name in rising order, so that all agents of a run know them by the same
/// numbers. Where a name has addresses of both kinds the IPv4 ones are taken, for the others are the same nodes'.
///
/// # Errors
/// When a name has no address; it is named.
pub(super) fn found(names: &[String]) -> anyhow::Result<Vec<SocketAddr>> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for name in names {
        let all = name.to_socket_addrs().with_context(|| {
            format!("--nodes {name}: this machine finds no address of that name; in Kubernetes a Service of another namespace is name.namespace.svc")
        })?;
        for address in of_one_kind(all.collect()) {
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    ensure!(!found.is_empty(), "--nodes {}: no node has an address", names.join(","));
    Ok(found)
}

fn of_one_kind(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if addresses.iter().any(SocketAddr::is_ipv4) {
        addresses.retain(SocketAddr::is_ipv4);
    }
    addresses.sort_unstable();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn nodes_of_both_kinds_of_address_count_once() {
        let all = addresses(&["[fd00::2]:80", "10.0.0.2:80", "[fd00::1]:80", "10.0.0.1:80"]);
        assert_eq!(of_one_kind(all), addresses(&["10.0.0.1:80", "10.0.0.2:80"]));
        assert_eq!(of_one_kind(addresses(&["[fd00::2]:80", "[fd00::1]:80"])), addresses(&["[fd00::1]:80", "[fd00::2]:80"]));
    }

    #[test]
    fn names_are_looked_up_and_those_without_an_address_are_named() {
        let names = ["127.0.0.1:8080", "localhost:8080", "127.0.0.2:8080"].map(str::to_owned);
        assert_eq!(found(&names).unwrap(), addresses(&["127.0.0.1:8080", "127.0.0.2:8080"]));
        // Longer than names can be (RFC 1035 section 2.3.4), so that nobody is asked for it.
        let nowhere = format!("{}:8080", "n".repeat(300));
        assert!(found(std::slice::from_ref(&nowhere)).unwrap_err().to_string().contains(&nowhere));
    }
}
