//! The shipped configuration, put in front of nodes on loopback: addresses, names and the number of connections are replaced, and nothing
//! else. Pure. A file in which one of these is not found is refused, so that the two cannot drift apart unseen.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::ensure;

/// What stands in the place of the file's own.
pub struct Places<'a> {
    pub address: SocketAddr,
    pub health: SocketAddr,
    /// Where it tells its counters.
    pub socket: &'a Path,
    pub connections: usize,
    /// Where each node takes clients, and where probes.
    pub nodes: &'a [(SocketAddr, SocketAddr)],
}

/// # Errors
/// When the file is not of the form of deploy/haproxy.cfg; it is said what is missing.
pub fn placed(file: &str, places: &Places<'_>) -> anyhow::Result<String> {
    let mut out = String::new();
    let (mut binds, mut limits, mut servers, mut checks, mut section) = (0, 0, 0, 0, "");
    for line in file.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with([' ', '#']) && !words.is_empty() {
            section = words[0];
        }
        match words.as_slice() {
            // Nodes are found by their addresses here.
            _ if section == "resolvers" => {}
            ["global", ..] => writeln!(out, "{line}\n    stats socket {} mode 600 level user", places.socket.display())?,
            ["maxconn", _] => {
                limits += 1;
                writeln!(out, "    maxconn {}", places.connections)?;
            }
            ["bind", at] => {
                binds += 1;
                let place = if at.starts_with("127.0.0.1") { places.health } else { places.address };
                writeln!(out, "    bind {place}")?;
            }
            ["default-server", "check", "port", _, rest @ ..] => {
                checks += 1;
                let kept: Vec<&str> = rest.iter().take_while(|word| **word != "init-addr").copied().collect();
                writeln!(out, "    default-server check {}", kept.join(" "))?;
            }
            ["server", ..] => {
                servers += 1;
                if servers == 1 {
                    for (number, (address, internal)) in places.nodes.iter().enumerate() {
                        writeln!(out, "    server node{} {address} port {}", number + 1, internal.port())?;
                    }
                }
            }
            _ => writeln!(out, "{line}")?,
        }
    }
    let found = [("maxconn", limits, 1), ("bind", binds, 2), ("default-server check port", checks, 1)];
    for (what, found, wanted) in found {
        ensure!(found == wanted, "the balancer's configuration has {found} lines `{what}`, and {wanted} are needed");
    }
    ensure!(servers > 0, "the balancer's configuration has no line `server`");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str) -> anyhow::Result<String> {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let nodes = [(at(1), at(2)), (at(3), at(4))];
        placed(file, &Places { address: at(5), health: at(6), socket: Path::new("/tmp/stats"), connections: 77, nodes: &nodes })
    }

    #[test]
    fn only_places_differ_from_the_shipped_file() {
        let shipped = super::super::SHIPPED;
        let text = of(shipped).unwrap();
        for line in
            ["bind 127.0.0.1:5", "bind 127.0.0.1:6", "server node1 127.0.0.1:1 port 2", "server node2 127.0.0.1:3 port 4", "maxconn 77"]
        {
            assert_eq!(text.lines().filter(|found| found.trim() == line).count(), 1, "{line}\n{text}");
        }
        let differ = |line: &&str| !text.lines().any(|other| other == *line);
        let gone: Vec<&str> = shipped.lines().filter(differ).map(str::trim).collect();
        let kinds = ["maxconn", "bind", "default-server", "server", "resolvers", "nameserver", "hold"];
        assert!(gone.iter().all(|line| kinds.iter().any(|kind| line.starts_with(kind))), "{gone:?}");
        let check = shipped.lines().find(|line| line.contains("default-server")).unwrap();
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let kept = text.lines().find(|line| line.contains("default-server")).unwrap();
        assert!(words(kept).iter().all(|word| words(check).contains(word)), "{kept}");
    }

    #[test]
    fn a_file_of_another_form_is_refused() {
        assert!(of("global\n    maxconn 5\n").unwrap_err().to_string().contains("`bind`"));
        assert!(of("").is_err());
    }
}
