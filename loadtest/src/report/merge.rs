//! One report out of those of several agents that ran the same scenario at the same time. Pure; the coordinator calls it.

use serde::{Deserialize, Serialize};

use super::{AgentUse, Figure, Latency, NodeUse, Report};

/// Remarks that are kept of all agents together.
const REMARKS_MAX: usize = 32;

/// How one figure that several agents took at the same time becomes the figure of the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// The mean, weighted by what each agent received: what is told per delivery.
    Mean,
    /// What each agent has only a share of: deliveries per second, connections.
    Sum,
    /// What is as bad as the worst: the time until the last one was connected.
    Max,
    Min,
}

impl Merge {
    /// What fits a figure of this name: rates are shares of the whole; a quantile of all cannot be told from those of each, but it is not above
    /// the worst of them; everything else is a mean.
    pub fn of(name: &str) -> Self {
        let is_quantile = |word: &str| {
            word.strip_prefix('p').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit() || it == b'.'))
        };
        match name {
            rate if rate.ends_with("_per_s") => Self::Sum,
            name if name.split('_').any(|word| matches!(word, "max" | "longest") || is_quantile(word)) => Self::Max,
            _ => Self::Mean,
        }
    }
}

impl Report {
    /// What `parts` come to together. Figures and latencies stand in the order in which they were first told, and a floor stays only where
    /// all agents took one. Series are kept apart, each under its agent's address: their points were not taken at the same moments.
    pub fn merged(parts: Vec<(AgentUse, Self)>) -> Self {
        let mut whole = Self::default();
        if let Some((_, first)) = parts.first() {
            whole.scenario.clone_from(&first.scenario);
            whole.options.clone_from(&first.options);
            whole.machine.clone_from(&first.machine);
            whole.redis.clone_from(&first.redis);
        }
        whole.started_at = parts.iter().map(|(_, part)| part.started_at.clone()).min().unwrap_or_default();
        whole.elapsed_s = parts.iter().map(|(_, part)| part.elapsed_s).fold(0.0, f64::max);
        for name in in_order(parts.iter().flat_map(|(_, part)| part.figures.iter().map(|figure| &figure.name))) {
            let shares = parts.iter().filter_map(|(_, part)| Some((part.figure(&name)?, part.ledger.received)));
            whole.figures.push(figure(&shares.collect::<Vec<_>>()));
        }
        for stage in in_order(parts.iter().flat_map(|(_, part)| part.latencies.iter().map(|latency| &latency.stage))) {
            let all = parts.iter().flat_map(|(_, part)| &part.latencies).filter(|latency| latency.stage == stage);
            whole.latencies.push(latency(&stage, &all.collect::<Vec<_>>()));
        }
        for (agent, part) in parts {
            whole.ledger.add(&part.ledger);
            for remark in part.remarks {
                if whole.remarks.len() < REMARKS_MAX && !whole.remarks.contains(&remark) {
                    whole.remarks.push(remark);
                }
            }
            part.nodes.into_iter().for_each(|node| add_node(&mut whole.nodes, node));
            for mut series in part.series {
                series.node = format!("{} {}", series.node, agent.address).trim().to_owned();
                whole.series.push(series);
            }
            whole.agents.push(AgentUse { machine: part.machine, ledger: part.ledger, ..agent });
        }
        whole
    }
}

/// Each name once, at its first place.
fn in_order<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for name in names {
        if !seen.contains(name) {
            seen.push(name.clone());
        }
    }
    seen
}

/// The same figure of several agents, each with the number of its receipts.
fn figure(shares: &[(&Figure, u64)]) -> Figure {
    let Some((first, _)) = shares.first() else { return Figure::default() };
    let weights: Vec<f64> = shares.iter().map(|(_, received)| *received as f64).collect();
    let by_rule = |values: &[f64]| combine(first.merge.unwrap_or_else(|| Merge::of(&first.name)), values, &weights);
    let floors: Option<Vec<f64>> = shares.iter().map(|(figure, _)| figure.floor).collect();
    let rounds = shares.iter().map(|(figure, _)| figure.runs.len()).min().unwrap_or(0);
    let runs = (0..rounds).map(|round| by_rule(&shares.iter().map(|(figure, _)| figure.runs[round]).collect::<Vec<_>>()));
    Figure {
        value: by_rule(&shares.iter().map(|(figure, _)| figure.value).collect::<Vec<_>>()),
        runs: runs.collect(),
        floor: floors.map(|floors| by_rule(&floors)),
        ..(*first).clone()
    }
}

fn combine(rule: Merge, values: &[f64], weights: &[f64]) -> f64 {
    match rule {
        Merge::Sum => values.iter().sum(),
        Merge::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Merge::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        Merge::Mean => {
            let whole: f64 = weights.iter().sum();
            if whole > 0.0 {
                values.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f64>() / whole
            } else {
                values.iter().sum::<f64>() / values.len().max(1) as f64
            }
        }
    }
}

/// Without the distributions of all, only what still can be told: how many, the mean and the longest.
fn latency(stage: &str, parts: &[&Latency]) -> Latency {
    let taken: Option<Vec<_>> = parts.iter().filter(|part| part.count > 0).map(|part| part.distribution()).collect();
    let mut distributions = taken.unwrap_or_default().into_iter();
    if let Some(mut whole) = distributions.next() {
        whole.auto(true);
        if distributions.all(|other| whole.add(other).is_ok()) {
            return Latency::of(stage, &whole);
        }
    }
    let count = parts.iter().map(|part| part.count).sum::<u64>();
    let max_us = parts.iter().map(|part| part.max_us).max().unwrap_or(0);
    let spent: f64 = parts.iter().map(|part| part.mean_us * part.count as f64).sum();
    let quantiles = if count > 0 { vec![(1.0, max_us)] } else { Vec::new() };
    Latency { stage: stage.to_owned(), count, mean_us: spent / count.max(1) as f64, max_us, quantiles, histogram: None }
}

/// Agents see the same nodes, each its own part of their connections; what a node itself used is told by whoever started it.
fn add_node(nodes: &mut Vec<NodeUse>, part: NodeUse) {
    match nodes.iter_mut().find(|node| node.address == part.address) {
        None => nodes.push(part),
        Some(node) => {
            node.connections += part.connections;
            node.deliveries += part.deliveries;
            node.cpu_s = node.cpu_s.or(part.cpu_s);
            node.memory_bytes_max = node.memory_bytes_max.max(part.memory_bytes_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;
    use crate::report::{Counts, Series};

    fn part(address: &str, received: u64, figures: &[(&str, f64, Merge)], latencies_us: &[u64]) -> (AgentUse, Report) {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).unwrap();
        latencies_us.iter().for_each(|us| histogram.record(*us).unwrap());
        let figures = figures.iter().map(|(name, value, merge)| Figure {
            name: (*name).to_owned(),
            value: *value,
            runs: vec![*value],
            merge: Some(*merge),
            ..Figure::default()
        });
        let report = Report {
            scenario: "fanout".to_owned(),
            elapsed_s: received as f64,
            ledger: Counts { received, lost: 1, ..Counts::default() },
            figures: figures.collect(),
            latencies: vec![Latency::of("publish → socket", &histogram)],
            series: vec![Series { title: "deliveries".to_owned(), ..Series::default() }],
            nodes: vec![NodeUse { address: "a:1".to_owned(), connections: 10, deliveries: received, ..NodeUse::default() }],
            ..Report::default()
        };
        (AgentUse { address: address.to_owned(), clock_error_us: 30, ..AgentUse::default() }, report)
    }

    #[test]
    fn each_figure_follows_its_own_rule() {
        let figures = |us, rate, last, first| {
            [("us", us, Merge::Mean), ("rate", rate, Merge::Sum), ("last", last, Merge::Max), ("first", first, Merge::Min)]
        };
        let parts = vec![part("x", 100, &figures(1.0, 10.0, 3.0, 3.0), &[1]), part("y", 300, &figures(2.0, 20.0, 7.0, 7.0), &[1])];
        let whole = Report::merged(parts);
        let values: Vec<f64> = whole.figures.iter().map(|figure| figure.value).collect();
        assert_eq!(values, [1.75, 30.0, 7.0, 3.0]);
        assert_eq!(whole.figures[0].runs, [1.75]);
    }

    #[test]
    fn names_tell_the_rule_where_nobody_else_does() {
        let rules = ["deliveries_per_s", "p99.9_ms", "join_p99_ms", "max_ms", "cpu_us_per_delivery", "pages"].map(Merge::of);
        assert_eq!(rules, [Merge::Sum, Merge::Max, Merge::Max, Merge::Max, Merge::Mean, Merge::Mean]);
    }

    #[test]
    fn floors_stay_only_where_all_took_one() {
        let mut parts = vec![part("x", 1, &[("us", 1.0, Merge::Mean)], &[]), part("y", 1, &[("us", 1.0, Merge::Mean)], &[])];
        parts[0].1.figures[0].floor = Some(0.5);
        assert_eq!(Report::merged(parts.clone()).figures[0].floor, None);
        parts[1].1.figures[0].floor = Some(1.5);
        assert_eq!(Report::merged(parts).figures[0].floor, Some(1.0));
    }

    #[test]
    fn latencies_become_one_distribution() {
        let early: Vec<u64> = vec![1_000; 99];
        let whole = Report::merged(vec![part("x", 99, &[], &early), part("y", 1, &[], &[50_000])]);
        let latency = &whole.latencies[0];
        assert_eq!((latency.count, latency.at(0.5)), (100, 1_000));
        assert!(latency.max_us >= 50_000);
    }

    #[test]
    fn latencies_without_their_distribution_keep_what_can_be_told() {
        let mut parts = vec![part("x", 3, &[], &[10, 10, 10]), part("y", 1, &[], &[50])];
        parts[1].1.latencies[0].histogram = None;
        let latency = Report::merged(parts).latencies.remove(0);
        assert_eq!((latency.count, latency.mean_us, latency.max_us), (4, 20.0, 50));
        assert_eq!(latency.quantiles, [(1.0, 50)]);
    }

    #[test]
    fn ledgers_and_nodes_add_up_and_agents_are_told_apart() {
        let whole = Report::merged(vec![part("x", 3, &[], &[10]), part("y", 4, &[], &[10])]);
        assert_eq!((whole.ledger.received, whole.ledger.lost, whole.elapsed_s), (7, 2, 4.0));
        assert_eq!((whole.nodes.len(), whole.nodes[0].connections, whole.nodes[0].deliveries), (1, 20, 7));
        assert_eq!(whole.series.iter().map(|series| series.node.as_str()).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((whole.agents[1].ledger.received, whole.agents[1].clock_error_us), (4, 30));
    }
}
