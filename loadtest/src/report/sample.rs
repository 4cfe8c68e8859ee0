//! A report as a scenario would fill it in, for tests and for looking at pages; the same at every call.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use hdrhistogram::Histogram;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Better, Counts, Figure, Latency, Machine, NodeUse, RedisUse, Report, Series};

const NODES: [&str; 3] = ["10.0.3.11:8080", "10.0.3.12:8080", "10.0.3.13:8080"];
const SECONDS: u32 = 60;

/// 1,000 subscribers of one room on three nodes, 20,000 publications in a minute.
pub(crate) fn sample() -> Report {
    static SAMPLE: OnceLock<Report> = OnceLock::new();
    SAMPLE.get_or_init(make).clone()
}

fn make() -> Report {
    let mut random = StdRng::seed_from_u64(7);
    let options =
        [("scenario", "fanout"), ("subscribers", "1000"), ("publications", "20000"), ("bytes", "64"), ("rate", "333"), ("runs", "5")];
    Report {
        scenario: "fanout".to_owned(),
        started_at: "2026-11-25T17:04:16Z".to_owned(),
        elapsed_s: 61.4,
        options: options.into_iter().chain([("room", "kpi:demo:load")]).map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        machine: Machine {
            processor: "A processor with a long name, 3.1 GHz".to_owned(),
            cores: 2,
            kernel: "Linux 6.1.0".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        ledger: Counts { published: 20_000, received: 20_000_000, ..Counts::default() },
        figures: figures(),
        latencies: vec![
            latency("publish → socket", 420.0, 0.55, 1_900, &mut random),
            latency("publish → log", 130.0, 0.35, 900, &mut random),
            latency("log → socket", 280.0, 0.6, 1_700, &mut random),
            latency("floor, one write each", 250.0, 0.4, 700, &mut random),
        ],
        series: series(&mut random),
        nodes: NODES.iter().zip([(334, 6_680_000, 29.1), (333, 6_660_000, 28.7), (333, 6_660_000, 31.2)]).map(node).collect(),
        redis: Some(RedisUse {
            cpu_s: 1.84,
            memory_bytes: 13 << 20,
            commands: BTreeMap::from([("fcall", 20_000), ("publish", 20_000), ("xadd", 20_000), ("xrange", 12), ("ping", 183)].map(owned)),
        }),
        remarks: vec!["Memory is what no file backs.".to_owned()],
        ..Report::default()
    }
}

fn owned((name, calls): (&str, u64)) -> (String, u64) {
    (name.to_owned(), calls)
}

fn figures() -> Vec<Figure> {
    let figure = |name: &str, title: &str, unit: &str, runs: &[f64], floor: Option<(f64, &str)>, better| Figure {
        name: name.to_owned(),
        title: title.to_owned(),
        unit: unit.to_owned(),
        value: runs[runs.len() / 2],
        runs: runs.to_vec(),
        floor: floor.map(|(value, _)| value),
        floor_title: floor.map_or("", |(_, title)| title).to_owned(),
        better,
        merge: None,
    };
    let (single, joined) = ("one write each", "one write for all that wait");
    let runs_us = [4.46, 4.49, 4.52, 4.55, 4.71];
    let rates = [318_000.0, 323_000.0, 325_700.0, 327_100.0, 329_400.0];
    vec![
        figure("cpu_us_per_delivery", "server CPU per delivery", "µs", &runs_us, Some((4.41, single)), Better::Lower),
        figure("burst_cpu_us_per_delivery", "in bursts of 16", "µs", &[0.319], Some((0.281, joined)), Better::Lower),
        figure("deliveries_per_s", "deliveries", "1/s", &rates, Some((332_000.0, single)), Better::Higher),
        figure("bytes_per_delivery", "bytes on the wire per delivery", "B", &[132.0], None, Better::Lower),
        figure("memory_kib_per_connection", "memory per connection", "KiB", &[1.92], None, Better::Lower),
    ]
}

/// Log-normal about `median_us`, with a rare pause of `pause_us`.
fn latency(stage: &str, median_us: f64, spread: f64, pause_us: u64, random: &mut StdRng) -> Latency {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order");
    for _ in 0..20_000 {
        // The sum of uniform numbers is near enough to a normal one.
        let normal: f64 = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let pause = if random.random_ratio(1, 400) { random.random_range(0..pause_us) } else { 0 };
        histogram.saturating_record((median_us * (spread * normal).exp()) as u64 + pause);
    }
    Latency::of(stage, &histogram)
}

fn series(random: &mut StdRng) -> Vec<Series> {
    let mut all = Vec::new();
    let mut over_time = |title: &str, unit: &str, node: &str, value: &mut dyn FnMut(f64, f64) -> f64| {
        let points = (0..=SECONDS).map(|s| (f64::from(s), value(f64::from(s), random.random::<f64>()))).collect();
        all.push(Series { title: title.to_owned(), unit: unit.to_owned(), node: node.to_owned(), points });
    };
    over_time("deliveries", "1/s", "", &mut |s, noise| if s < 1.0 { 0.0 } else { 325_000.0 + 9_000.0 * noise });
    over_time("connections", "", "", &mut |s, _| (s * 400.0).min(1_000.0));
    for (at, node) in NODES.iter().enumerate() {
        over_time("CPU", "%", node, &mut |s, noise| if s < 1.0 { 4.0 } else { 46.0 + 2.0 * at as f64 + 5.0 * noise });
        over_time("memory", "MiB", node, &mut |s, noise| 9.0 + at as f64 * 0.4 + (s / 12.0).min(2.5) + 0.15 * noise);
    }
    all
}

fn node((address, (connections, deliveries, cpu_s)): (&&str, (u64, u64, f64))) -> NodeUse {
    NodeUse { address: (*address).to_owned(), connections, deliveries, cpu_s: Some(cpu_s), memory_bytes_max: Some(12_400_000) }
}
