//! Nodes behind a real load balancer are replaced one after another, by asking them to go and by killing them: `roomcast-loadtest rolling`,
//! with haproxy as the Compose file has it.

use roomcast_loadtest::progress::Progress;
use roomcast_loadtest::report::Report;
use roomcast_loadtest::scenario::Scenario;

use super::scale::scale;

/// Drains that leave haproxy time to notice, which takes two checks of a second, and are shorter than the defaults besides.
const SHORT: &str =
    "--set DRAIN__ANNOUNCE_MS=2500 --set DRAIN__SPREAD_MS=1500 --set DRAIN__RETRY_AFTER_MS_MAX=500 --set DRAIN__DEADLINE_MS=10000";
/// How long a client may be away whose node was killed: other nodes are there, and the balancer finds them.
const KILLED_AWAY_MAX_MS: f64 = 10_000.0;

fn rolled() -> Report {
    let scale = scale();
    let (clients, rate, drain) = if scale.long { (scale.clients, scale.rate / 10, "") } else { (36, 100, SHORT) };
    let words = format!("rolling --gateways 3 --redis --clients {clients} --rate {rate} --down-ms 1500 --between-ms 500 {drain} --gateway");
    let words: Vec<&str> = words.split_whitespace().chain([env!("CARGO_BIN_EXE_roomcast")]).collect();
    Scenario::of_words(&words).unwrap().run(Progress::new(true)).unwrap()
}

#[test]
fn nodes_behind_a_load_balancer_are_replaced_and_nobody_misses_anything() {
    let report = rolled();
    println!("{:?} {:#?}", report.ledger, report.remarks);
    assert!(report.is_clean(), "{:?} {:#?}", report.ledger, report.remarks);
    let figure = |name: &str| report.figure(name).map(|figure| figure.value).unwrap();
    assert!(report.ledger.received > report.ledger.published, "{:?}", report.ledger);
    assert!(figure("kill_torn") > 0.0 && figure("kill_away_max_ms") < KILLED_AWAY_MAX_MS, "{:?}", report.figures);
    assert!(figure("term_away_p50_ms") > 0.0 && figure("term_torn") == 0.0, "{:?}", report.figures);
}
