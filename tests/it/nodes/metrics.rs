//! What a node shows at `/metrics` before anything has happened: alerts rest on it.

use roomcast::telemetry::metrics::{Kind, METRICS};

use crate::support::gateway::Gateway;

#[tokio::test]
async fn a_new_node_shows_every_counter_at_zero_so_that_no_first_event_is_hidden() {
    let node = Gateway::start("n1", &[("TELEMETRY__METRICS__ORGS_MAX", "5")]).await;
    let shown = node.probe("/metrics").await.unwrap();
    let series: Vec<&str> = shown.lines().filter(|line| line.starts_with("roomcast_")).collect();
    for metric in METRICS.iter().filter(|metric| metric.kind == Kind::Counter) {
        let of_metric = |line: &&&str| line.starts_with(&format!("{} ", metric.name)) || line.starts_with(&format!("{}{{", metric.name));
        assert!(series.iter().any(|line| of_metric(&line)), "{} is not shown: register it in metrics::begin", metric.name);
    }
    for first in ["roomcast_gaps_total{reason=\"log_lost\"} 0", "roomcast_closes_total{code=\"4500\"} 0", "roomcast_sessions 0"] {
        assert!(series.contains(&first), "{first} in {shown}");
    }
}
