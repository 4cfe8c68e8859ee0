//! What a run came to, in a form that outlives it: scenarios fill it in, tables, pages and comparisons read it.
//!
//! Written as JSON it is the tool's own file format; fields may be added, and readers take what is missing as absent. Whoever measures
//! a thing several times tells the median and keeps the single values beside it.

mod counts;
mod file;
pub(crate) mod grid;
mod merge;
pub(crate) mod number;
pub mod page;
mod quantity;
#[cfg(test)]
pub(crate) mod sample;
mod stages;
pub mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use counts::Counts;
pub use merge::Merge;
pub use quantity::QuantityError;
pub(crate) use quantity::{STAGE, latency_name, plain, unknown};
pub(crate) use stages::NAMED;

/// Quantiles that tables, pages and comparisons tell of a latency, and how they are called.
pub(crate) const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
/// Behind the names of stages that nodes have measured themselves.
pub(crate) const BY_BUCKETS: &str = ", by buckets";

/// The result of one run of one scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The scenario's name on the command line.
    pub scenario: String,
    /// RFC 3339, of the clock of the machine that ran the tool.
    pub started_at: String,
    pub elapsed_s: f64,
    /// The options that the scenario ran with, without credentials.
    pub options: BTreeMap<String, String>,
    pub machine: Machine,
    /// The agents that shared the run's subscribers; empty where the tool ran alone.
    pub agents: Vec<AgentUse>,
    pub ledger: Counts,
    /// In the order in which people should read them.
    pub figures: Vec<Figure>,
    pub latencies: Vec<Latency>,
    pub series: Vec<Series>,
    pub nodes: Vec<NodeUse>,
    pub redis: Option<RedisUse>,
    /// What no number says: how it was measured, and the first wrong things that the ledger saw.
    pub remarks: Vec<String>,
}

impl Report {
    /// Nothing was lost, repeated, reordered, misrouted, admitted as lost or cut off, beyond what the scenario itself brings about.
    pub fn is_clean(&self) -> bool {
        self.ledger.is_clean()
    }

    /// When it began, to the second.
    pub(crate) fn began(&self) -> String {
        match self.started_at.split_once('.') {
            Some((seconds, fraction)) => format!("{seconds}{}", fraction.trim_start_matches(|letter: char| letter.is_ascii_digit())),
            None => self.started_at.clone(),
        }
    }

    /// The figure of this name, if the scenario measured it.
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }
}

impl Latency {
    /// Of the floor, or of the tool itself: what a server has no part in.
    pub(crate) fn is_of_the_tool(&self) -> bool {
        self.stage.contains("floor") || self.stage.contains("by this tool")
    }

    /// From a node's own histogram: times are the bounds of its buckets.
    pub(crate) fn is_coarse(&self) -> bool {
        self.stage.ends_with(BY_BUCKETS)
    }
}

/// Where the tool ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    /// Of the tool.
    pub version: String,
}

/// A number that the run measured: the median of `runs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figure {
    /// Snake case with the unit at its end, as thresholds name it: `cpu_us_per_delivery`.
    pub name: String,
    /// What people read: "server CPU per delivery".
    pub title: String,
    /// As people read it: "µs", "KiB", "1/s"; empty for counts.
    pub unit: String,
    pub value: f64,
    pub runs: Vec<f64>,
    /// The same of the floor, taken in the same run; the figure's ratio is `value / floor`.
    pub floor: Option<f64>,
    /// Which floor that is: "one write each", for instance.
    pub floor_title: String,
    pub better: Better,
    /// How the values of several agents become one; where it is not said, the name tells ([`Merge::of`]).
    pub merge: Option<Merge>,
}

impl Figure {
    /// How many times the floor it is.
    pub fn ratio(&self) -> Option<f64> {
        self.floor.filter(|floor| *floor > 0.0).map(|floor| self.value / floor)
    }

    /// The least and the most of several runs; `None` where there was one.
    pub fn spread(&self) -> Option<(f64, f64)> {
        let [first, rest @ ..] = self.runs.as_slice() else { return None };
        (!rest.is_empty()).then(|| rest.iter().fold((*first, *first), |(least, most), run| (least.min(*run), most.max(*run))))
    }
}

/// Which way a figure improves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    #[default]
    Lower,
    Higher,
}

/// How long one stage took, over all receipts. Free of coordinated omission where the scenario publishes at a rate: the clock starts when
/// a publication was due, not when it could be sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// "publish → socket", "publish → log", "log → socket"; floors are named so.
    pub stage: String,
    pub count: u64,
    pub mean_us: f64,
    pub max_us: u64,
    /// Quantile (0 to 1) and its value in microseconds, rising in both.
    pub quantiles: Vec<(f64, u64)>,
    /// The whole distribution in microseconds, as an HDR histogram (V2, then base64), so that latencies of several agents can become one;
    /// quantiles alone cannot be merged.
    pub histogram: Option<String>,
}

impl Latency {
    /// The value of a quantile, or of the next higher one that was written down; 0 when nothing was.
    pub fn at(&self, quantile: f64) -> u64 {
        self.quantiles.iter().find(|(at, _)| *at >= quantile).or(self.quantiles.last()).map_or(0, |(_, us)| *us)
    }

    /// The value of a quantile, if there were values enough to tell it: of fewer than 1,000 there is no p99.9.
    pub fn told(&self, quantile: f64) -> Option<u64> {
        let needed = if quantile < 1.0 { 1.0 / (1.0 - quantile) - 1e-6 } else { 1.0 };
        (self.count as f64 >= needed).then(|| self.at(quantile))
    }
}

/// Something over the time of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Series {
    /// "deliveries", "memory", "CPU", "connections".
    pub title: String,
    pub unit: String,
    /// The node that it is about; empty for the whole.
    pub node: String,
    /// Seconds since the beginning, and the value.
    pub points: Vec<(f64, f64)>,
}

/// What one node did and cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeUse {
    pub address: String,
    pub connections: u64,
    pub deliveries: u64,
    /// `None` for nodes that the tool has not started: it sees only its own machine's processes.
    pub cpu_s: Option<f64>,
    /// Most of resident memory that no file backs.
    pub memory_bytes_max: Option<u64>,
}

/// What Redis did and cost during the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RedisUse {
    pub cpu_s: f64,
    pub memory_bytes: u64,
    /// Calls by command, from `INFO commandstats`.
    pub commands: BTreeMap<String, u64>,
}

/// One agent's part in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentUse {
    pub address: String,
    pub machine: Machine,
    pub ledger: Counts,
    /// How far its clock may be off the coordinator's, in microseconds: what latencies between agents are exact to.
    pub clock_error_us: u64,
}
