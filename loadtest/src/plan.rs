//! `plan`: what a deployment will take, from its shape and from what each operation costs. It touches no network; the arithmetic is `model`'s,
//! the curves of docs/scale.md are `study`'s.

mod costs;
pub mod model;
pub mod study;

use std::fmt;
use std::process::ExitCode;

pub use costs::MEASURED;
use model::{Bill, Placement, Shape};

use crate::report::grid::Grid;
use crate::report::number::amount;

/// Tells what a deployment will take, by the measured costs of docs/scale.md: processors and memory of each node, and of Redis, and what they go
/// into. Nothing is run. Leave half of each processor free for bursts, for a node that is lost, and for what the machine does besides.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// Gateway nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub nodes: u32,
    /// Orgs that have sessions.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub orgs: u64,
    /// Sessions of each org.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub sessions: u64,
    /// Publications of each org, per second.
    #[arg(long, default_value_t = 1.0)]
    pub rate: f64,
    /// The share of its org's sessions that a publication reaches, from 0 to 1.
    #[arg(long, default_value_t = 1.0)]
    pub reach: f64,
    /// The share of the sessions that begins anew each hour.
    #[arg(long, default_value_t = 1.0)]
    pub churn_per_h: f64,
    /// The load balancer keeps each org's sessions on as few nodes as hold them, this many on each, instead of anywhere.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub together: Option<u32>,
}

impl Plan {
    /// Prints the plan.
    ///
    /// # Errors
    /// When a share or a rate is none.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        print!("{}", self.told()?);
        Ok(ExitCode::SUCCESS)
    }

    fn told(&self) -> anyhow::Result<Told> {
        anyhow::ensure!((0.0..=1.0).contains(&self.reach), "--reach {}: a share is between 0 and 1", self.reach);
        for (name, value) in [("rate", self.rate), ("churn-per-h", self.churn_per_h)] {
            anyhow::ensure!(value.is_finite() && value >= 0.0, "--{name} {value}: it cannot be less than 0");
        }
        let shape = Shape {
            nodes: f64::from(self.nodes),
            orgs: self.orgs as f64,
            sessions: self.sessions as f64,
            rate: self.rate,
            reach: self.reach,
            churn: self.churn_per_h / 3_600.0,
            placement: self.together.map_or(Placement::Anywhere, |per_node| Placement::Together { per_node: f64::from(per_node) }),
            topics: 1.0,
        };
        Ok(Told { shape, bill: MEASURED.bill(&shape) })
    }
}

/// A plan as people read it.
struct Told {
    shape: Shape,
    bill: Bill,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shape, bill, did) = (&self.shape, &self.bill, self.shape.operations());
        writeln!(f, "{} sessions of {} orgs on {} nodes", amount(shape.all_sessions()), amount(shape.orgs), amount(shape.nodes))?;
        writeln!(f, "an org is on {} nodes; its publications go to all of these\n", amount(did.nodes_of_an_org))?;
        let node = [
            ("sessions", shape.all_sessions() / shape.nodes, ""),
            ("memory, the kernel's for sockets included", bill.node_bytes / f64::from(1 << 30), "GiB"),
            ("processor", bill.node_cores, "cores"),
            ("of it for deliveries", bill.node_delivery_cores, "cores"),
            ("told of", did.events / shape.nodes, "publications/s"),
            ("delivers", did.deliveries / shape.nodes, "/s"),
        ];
        writeln!(f, "{}", table("each node", &node))?;
        let redis = [
            ("processor", bill.redis_cores, "cores"),
            ("of it for publications", bill.redis_publish_cores, "cores"),
            ("of it for probes", bill.redis_probe_cores, "cores"),
            ("of it for leases", bill.redis_lease_cores, "cores"),
            ("shards, each at most half busy", (bill.redis_cores / 0.5).ceil().max(1.0), ""),
        ];
        write!(f, "{}", table("Redis", &redis))
    }
}

/// What one kind of process takes: each row is a name, an amount and its unit.
fn table(of: &str, rows: &[(&str, f64, &str)]) -> Grid {
    let mut grid = Grid::new([of, "", ""]);
    for (name, value, unit) in rows {
        grid.row([format!("  {name}"), amount(*value), (*unit).to_owned()]);
    }
    grid
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        plan: Plan,
    }

    fn told(line: &str) -> anyhow::Result<String> {
        let words = ["plan"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words)?.plan.told().map(|told| told.to_string())
    }

    #[test]
    fn a_plan_names_what_grows() {
        let told = told("--nodes 30 --orgs 10000 --sessions 100 --rate 1 --reach 0.5").unwrap();
        assert!(told.starts_with("1,000,000 sessions of 10,000 orgs on 30 nodes\n"), "{told}");
        assert!(told.contains("publications/s") && told.contains("of it for probes"), "{told}");
    }

    #[test]
    fn what_is_no_share_is_said() {
        assert!(told("--reach 1.5").unwrap_err().to_string().contains("--reach 1.5"));
        assert!(told("--rate -1").is_err() && told("--nodes 0").is_err());
    }
}
