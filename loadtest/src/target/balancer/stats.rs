//! What haproxy counts (`show stat`: management guide, section 9.1). Pure.

use std::collections::HashMap;

/// Its counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Each node's state, in the order of the configuration.
    states: Vec<String>,
    /// Attempts to connect to a node that failed.
    pub failed: u64,
    /// Requests that were tried once more.
    pub retried: u64,
    /// Requests that another node took than the one that was chosen first.
    pub redispatched: u64,
    /// Requests that it answered with 5xx in a node's place, because it found none.
    pub refused: u64,
}

impl Stats {
    /// Of the lines as they come: a header with names, then one line for each frontend, node and backend.
    pub(super) fn of(text: &str) -> Self {
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
        let (mut stats, mut of_nodes) = (Self::default(), 0);
        for line in lines {
            let fields: HashMap<&str, &str> = names.iter().copied().zip(line.split(',')).collect();
            let field = |name: &str| fields.get(name).copied().unwrap_or_default();
            let number = |name: &str| field(name).parse::<u64>().unwrap_or_default();
            match (field("pxname"), field("svname")) {
                (_, "FRONTEND") | ("", _) => {}
                (_, "BACKEND") => {
                    stats.failed += number("econ");
                    stats.retried += number("wretr");
                    stats.redispatched += number("wredis");
                    stats.refused += number("hrsp_5xx");
                }
                _ => {
                    stats.states.push(field("status").to_owned());
                    of_nodes += number("hrsp_5xx");
                }
            }
        }
        // A backend's answers are those of its nodes and its own.
        stats.refused = stats.refused.saturating_sub(of_nodes);
        stats
    }

    /// How many nodes take clients.
    pub fn up(&self) -> usize {
        self.states.iter().filter(|state| state.starts_with("UP")).count()
    }

    /// What came on top since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            states: self.states.clone(),
            failed: self.failed - earlier.failed,
            retried: self.retried - earlier.retried,
            redispatched: self.redispatched - earlier.redispatched,
            refused: self.refused.saturating_sub(earlier.refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names() {
        let text = "# pxname,svname,econ,wretr,wredis,status,hrsp_5xx,\npublic,FRONTEND,,,,OPEN,9,\nnodes,node1,1,1,1,UP,2,\n\
                    nodes,node2,1,1,1,DOWN,0,\nnodes,node3,0,0,0,UP 1/2,0,\nnodes,BACKEND,2,3,1,UP,7,\n\n";
        let stats = Stats::of(text);
        assert_eq!(stats.up(), 2);
        assert_eq!((stats.failed, stats.retried, stats.redispatched, stats.refused), (2, 3, 1, 5));
        assert_eq!(stats.since(&Stats { retried: 1, ..Stats::default() }).retried, 2);
    }
}
