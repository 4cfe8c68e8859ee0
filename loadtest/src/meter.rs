//! What the nodes and Redis cost over the time of a run, and what they did: the sources of `Report::series`, `nodes` and `redis`.
//!
//! Scenarios have it sampled as they go; a sample reads proc(5) of the processes that the tool started, never asks a node for anything.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::phase::Phase;
use crate::progress::Progress;
use crate::report::{NodeUse, RedisUse, Report, Series};
use crate::resp::{self, Connection};
use crate::stop;
use crate::swarm::Swarm;
use crate::target::Target;
use crate::usage::Usage;

/// How often samples are taken at first; half as often whenever there are `POINTS_MAX` of them.
const INTERVAL: Duration = Duration::from_millis(250);
const POINTS_MAX: usize = 480;

/// Series of one node.
struct NodeSeries {
    cpu: Series,
    memory: Series,
    cpu_ns: u64,
    cpu_ns_first: u64,
    memory_bytes_max: u64,
}

/// Counts while the run goes on.
pub struct Meter {
    pub progress: Progress,
    phase: Phase,
    usages: Vec<Usage>,
    addresses: Vec<String>,
    nodes: Vec<NodeSeries>,
    redis: Option<(Connection, resp::Usage)>,
    deliveries: Series,
    p99: Series,
    connections: Series,
    received: u64,
    /// Connections by node, where they were cut in the end.
    live: Option<Vec<u64>>,
    begun: Instant,
    sampled: Instant,
    interval: Duration,
}

fn series(title: &str, unit: &str, node: &str) -> Series {
    Series { title: title.to_owned(), unit: unit.to_owned(), node: node.to_owned(), points: Vec::new() }
}

impl Meter {
    /// # Errors
    /// When the nodes' Redis is known and does not answer.
    pub fn start(target: &Target, progress: Progress) -> anyhow::Result<Self> {
        let usages = target.usages();
        let addresses: Vec<String> = target.nodes.iter().map(ToString::to_string).collect();
        let node = |(usage, address): (&Usage, &String)| NodeSeries {
            cpu: series("CPU", "% of a processor", address),
            memory: series("memory", "MiB", address),
            cpu_ns: usage.cpu_ns(),
            cpu_ns_first: usage.cpu_ns(),
            memory_bytes_max: usage.anonymous_bytes(),
        };
        let nodes = usages.iter().zip(&addresses).map(node).collect();
        let redis = target.redis_connection()?.map(|mut connection| {
            let usage = connection.usage().context("Redis does not tell its usage")?;
            anyhow::Ok((connection, usage))
        });
        Ok(Self {
            progress,
            phase: Phase::Connecting { members: 0 },
            usages,
            addresses,
            nodes,
            redis: redis.transpose()?,
            deliveries: series("deliveries", "1/s", ""),
            p99: series("latency p99", "ms", ""),
            connections: series("connections", "", ""),
            received: 0,
            live: None,
            begun: Instant::now(),
            sampled: Instant::now(),
            interval: INTERVAL,
        })
    }

    /// Processor time of all nodes so far, in nanoseconds; `None` for nodes that the tool has not started.
    pub fn cpu_ns(&self) -> Option<u64> {
        (!self.usages.is_empty()).then(|| self.usages.iter().map(Usage::cpu_ns).sum())
    }

    /// Memory of all nodes that no file backs, in bytes.
    pub fn memory_bytes(&self) -> Option<u64> {
        (!self.usages.is_empty()).then(|| self.usages.iter().map(Usage::anonymous_bytes).sum())
    }

    /// What Redis has done so far.
    pub fn redis(&mut self) -> Option<resp::Usage> {
        self.redis.as_mut().and_then(|(connection, _)| connection.usage().ok())
    }

    /// Memory over time, in seconds and bytes, summed over the nodes.
    pub fn memory_points(&self) -> Vec<(f64, f64)> {
        let mut all: Vec<(f64, f64)> = Vec::new();
        for node in &self.nodes {
            for (index, (at_s, mebibytes)) in node.memory.points.iter().enumerate() {
                match all.get_mut(index) {
                    Some(point) => point.1 += mebibytes * f64::from(1 << 20),
                    None => all.push((*at_s, mebibytes * f64::from(1 << 20))),
                }
            }
        }
        all
    }

    /// The p99 of each stretch of time, in seconds and milliseconds.
    pub fn p99_points(&self) -> &[(f64, f64)] {
        &self.p99.points
    }

    /// What the run does from now on.
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Keeps the connections as they are now, before they are cut.
    pub fn count_connections(&mut self, swarm: &Swarm) {
        self.live = Some(swarm.live_by_door());
    }

    /// To be called in every turn, by itself while a swarm of the floor is at work: tells how far the run is when that is due.
    ///
    /// # Errors
    /// When the run is to end now.
    pub fn watch(&mut self, swarm: &Swarm) -> anyhow::Result<()> {
        stop::check()?;
        Ok(self.progress.tell(|| self.phase.status(swarm))?)
    }

    /// To be called in every turn: takes a sample when it is time.
    ///
    /// # Errors
    /// When the run is to end now.
    pub fn sample(&mut self, swarm: &mut Swarm) -> anyhow::Result<()> {
        self.watch(swarm)?;
        let elapsed = self.sampled.elapsed();
        if elapsed < self.interval {
            return Ok(());
        }
        self.sampled = Instant::now();
        let at_s = self.begun.elapsed().as_secs_f64();
        for (node, usage) in self.nodes.iter_mut().zip(&self.usages) {
            let (cpu_ns, memory_bytes) = (usage.cpu_ns(), usage.anonymous_bytes());
            let busy = cpu_ns.saturating_sub(node.cpu_ns) as f64 / elapsed.as_nanos() as f64;
            node.cpu.points.push((at_s, busy * 100.0));
            node.memory.points.push((at_s, memory_bytes as f64 / f64::from(1 << 20)));
            (node.cpu_ns, node.memory_bytes_max) = (cpu_ns, node.memory_bytes_max.max(memory_bytes));
        }
        let received = swarm.received();
        self.deliveries.points.push((at_s, received.saturating_sub(self.received) as f64 / elapsed.as_secs_f64()));
        self.received = received;
        self.connections.points.push((at_s, swarm.live as f64));
        let recent = &mut swarm.judge.tally.recent;
        if !recent.is_empty() {
            self.p99.points.push((at_s, recent.value_at_quantile(0.99) as f64 / 1_000.0));
            recent.reset();
        }
        if self.connections.points.len() >= POINTS_MAX {
            self.thin_out();
        }
        Ok(())
    }

    /// Keeps every second point and takes half as many from now on, so that a run of days has no more than one of minutes.
    fn thin_out(&mut self) {
        self.interval *= 2;
        let of_nodes = self.nodes.iter_mut().flat_map(|node| [&mut node.cpu, &mut node.memory]);
        for series in of_nodes.chain([&mut self.deliveries, &mut self.p99, &mut self.connections]) {
            let mut keep = false;
            series.points.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// Writes all that was measured into the report.
    pub fn write(mut self, swarm: &Swarm, report: &mut Report) {
        let (received, live) = (swarm.received_by_door(), self.live.take().unwrap_or_else(|| swarm.live_by_door()));
        for (index, address) in self.addresses.iter().enumerate() {
            let mut node =
                NodeUse { address: address.clone(), connections: live[index], deliveries: received[index], ..NodeUse::default() };
            if let Some((usage, series)) = self.usages.get(index).zip(self.nodes.get(index)) {
                node.cpu_s = Some(usage.cpu_ns().saturating_sub(series.cpu_ns_first) as f64 / 1e9);
                node.memory_bytes_max = Some(series.memory_bytes_max.max(usage.anonymous_bytes()));
            }
            report.nodes.push(node);
        }
        report.redis = self.redis.as_ref().map(|(_, before)| before.clone()).zip(self.redis()).map(|(before, now)| {
            let resp::Usage { cpu_s, memory_bytes, calls } = now.since(&before);
            RedisUse { cpu_s, memory_bytes, commands: calls }
        });
        let of_nodes = self.nodes.into_iter().flat_map(|node| [node.cpu, node.memory]);
        let all = [self.deliveries, self.p99, self.connections].into_iter().chain(of_nodes);
        report.series.extend(all.filter(|series| !series.points.is_empty()));
    }
}
