//! The load test's scenarios against real nodes, each small, so that none can rot: its ledger is clean and its figures are there.

use std::ffi::OsString;
use std::process::ExitCode;

use roomcast_loadtest::agent::Agent;
use roomcast_loadtest::cli;
use roomcast_loadtest::progress::Progress;
use roomcast_loadtest::report::Report;
use roomcast_loadtest::scenario::Scenario;

use crate::faults::saboteur::{Sabotage, Saboteur};
use crate::support::gateway::Token;
use crate::support::world::World;

/// What the words mean, against a gateway that the tool starts for them.
fn scenario(words: &str) -> Scenario {
    let gateway = ["--gateway", env!("CARGO_BIN_EXE_roomcast"), "--deadline-s", "30"];
    Scenario::of_words(&words.split_whitespace().chain(gateway).collect::<Vec<_>>()).unwrap()
}

fn run(words: &str) -> Report {
    run_scenario(&scenario(words))
}

/// The same, where the run has all that its scenario can tell.
fn run_whole(words: &str) -> Report {
    let scenario = scenario(words);
    let (report, known) = (run_scenario(&scenario), scenario.figures());
    assert!(known.iter().all(|name| report.figure(name).is_some()), "{known:?}: {:?}", report.figures);
    report
}

/// Against nodes that run, on a thread of its own, beside what runs here.
async fn run_beside(words: &[&str]) -> Report {
    let scenario = Scenario::of_words(words).unwrap();
    tokio::task::spawn_blocking(move || run_scenario(&scenario)).await.unwrap()
}

/// Its figures are those that thresholds may name.
fn run_scenario(scenario: &Scenario) -> Report {
    let report = scenario.run(Progress::new(true)).unwrap();
    let known = scenario.figures();
    assert!(report.figures.iter().all(|figure| known.contains(&figure.name.as_str())), "{known:?}: {:?}", report.figures);
    report
}

/// Nothing is wrong, and these figures are above 0.
fn is_clean_with(report: &Report, figures: &[&str]) {
    assert!(report.is_clean(), "{:?} {:?}", report.ledger, report.remarks);
    for name in figures {
        assert!(report.figure(name).is_some_and(|figure| figure.value > 0.0), "{name}: {:?}", report.figures);
    }
}

/// These figures stand beside a floor.
fn has_floors(report: &Report, figures: &[&str]) {
    for name in figures {
        assert!(report.figure(name).is_some_and(|figure| figure.ratio().is_some()), "{name}: {:?}", report.figures);
    }
}

#[test]
fn idle_sessions_cost_memory() {
    let report = run_whole("idle --sessions 50 --seconds 1 --settle-s 0");
    is_clean_with(&report, &["memory_bytes_per_session", "join_p99_ms"]);
    assert_eq!((report.nodes.len(), report.nodes[0].connections), (1, 50));
}

#[test]
fn connecting_costs_more_than_its_floor() {
    let report = run_whole("connect --connections 40 --at-once 4 --floor --runs 2");
    is_clean_with(&report, &["cpu_us_per_connection", "connections_per_s", "p50_ms", "p99_ms"]);
    has_floors(&report, &["cpu_us_per_connection", "connections_per_s", "p50_ms"]);
    assert_eq!(report.figure("p50_ms").unwrap().runs.len(), 2);
}

#[test]
fn a_burst_stands_beside_both_floors() {
    let report = run_whole("burst --subscribers 20 --size 8 --bursts 10 --floor --runs 2");
    is_clean_with(&report, &["cpu_us_per_delivery", "deliveries_per_s", "p50_ms"]);
    has_floors(&report, &["cpu_us_per_delivery", "cpu_us_per_delivery_concatenated"]);
    assert_eq!(report.ledger.received, 2 * 20 * 8 * 10);
}

#[test]
fn a_window_stands_beside_a_floor_in_the_same_traffic_and_beside_whole_windows() {
    let report = run_whole("fanout --subscribers 20 --publications 96 --outstanding 8 --floor");
    is_clean_with(&report, &["cpu_us_per_delivery", "deliveries_per_s", "p50_ms"]);
    has_floors(&report, &["cpu_us_per_delivery", "cpu_us_per_delivery_concatenated", "cpu_us_per_delivery_windows"]);
}

#[test]
fn everybody_is_whole_after_a_resume_storm() {
    let report = run_whole("resume-storm --clients 30 --missed 50 --redis --gateways 2 --elsewhere");
    is_clean_with(&report, &["whole_p50_ms", "whole_max_ms", "cpu_us_per_client"]);
    assert_eq!(report.ledger.received, 30 * (50 + 4));
    assert!(report.redis.is_some_and(|redis| redis.commands.contains_key("fcall")));
}

#[test]
fn fan_out_at_a_rate_has_the_floor_keep_the_same_time() {
    let report = run("fanout --subscribers 20 --publications 100 --rate 500 --floor");
    is_clean_with(&report, &["cpu_us_per_delivery", "p99_ms"]);
    has_floors(&report, &["cpu_us_per_delivery", "p50_ms"]);
    let stages: Vec<&str> = report.latencies.iter().map(|latency| latency.stage.as_str()).collect();
    for stage in ["publish → socket", "publish → log", "log → socket", "publish → socket, floor"] {
        assert!(stages.contains(&stage), "{stages:?}");
    }
}

#[test]
fn compressed_fan_out_is_checked_to_the_last_publication() {
    let report = run("fanout --subscribers 10 --publications 100 --bytes 4000 --outstanding 8 --deflate --floor");
    is_clean_with(&report, &["cpu_us_per_delivery"]);
    let bytes = report.figure("bytes_per_delivery").unwrap().value;
    assert!((200.0..3_000.0).contains(&bytes), "{bytes}");
    assert_eq!(report.ledger.received, 10 * 100);
}

#[test]
fn every_door_takes_publications_and_all_arrive() {
    for (door, redis) in [("websocket", ""), ("rest", ""), ("ingest", "--redis")] {
        let report = run(&format!("publish --through {door} --publications 200 --subscribers 2 {redis}"));
        is_clean_with(&report, &["publications_per_s", "delivered_per_s", "ack_p50_ms", "cpu_us_per_publication"]);
        assert_eq!((report.ledger.published, report.ledger.received), (200, 400), "{door}");
    }
}

#[test]
fn calls_of_the_function_stand_beside_redis_alone() {
    let report = run_whole("publish --through fcall --redis --reference --publications 500 --runs 2");
    is_clean_with(&report, &["publications_per_s", "redis_cpu_us_per_publication"]);
    has_floors(&report, &["publications_per_s", "publications_per_s_bare", "redis_cpu_us_per_publication_bare"]);
    assert_eq!((report.ledger.published, report.ledger.received), (1_000, 1_000));
}

#[test]
fn everybody_gets_what_reaches_them_in_many_rooms_of_several_orgs() {
    let report = run("rooms --subscribers 60 --publications 500 --rate 2000 --patterns 0.5 --redis --gateways 2 --floor");
    is_clean_with(&report, &["cpu_us_per_delivery", "deliveries_per_s", "p99_ms"]);
    has_floors(&report, &["cpu_us_per_delivery", "p99_ms"]);
    assert!(report.ledger.received > 500, "{:?}", report.ledger);
}

#[test]
fn those_who_come_and_go_get_what_is_theirs_meanwhile() {
    let words = "churn --seconds 2 --subscribers 30 --guests 20 --comings 30 --changes 60 --returns 10 --redis --gateways 2";
    let report = run_whole(words);
    is_clean_with(&report, &["comings_per_s", "changes_per_s", "p99_ms", "whole_p99_ms", "cpu_percent"]);
    assert!(report.series.iter().any(|series| series.title == "connections" && !series.points.is_empty()));
}

#[test]
fn readers_that_stop_are_whole_afterwards() {
    let report = run_whole("slow --seconds 2 --subscribers 10 --slow 3 --bytes 30000 --rate 200");
    is_clean_with(&report, &["others_p99_ms", "catch_up_max_ms", "overflows"]);
    has_floors(&report, &["others_p99_ms"]);
    assert_eq!(report.ledger.received, 10 * 3 * 2 * 200);
}

#[test]
fn a_steady_org_gets_everything_beside_one_that_floods_and_is_held_to_its_quota() {
    let words = "fairness --seconds 2 --subscribers 10 --rate 50 --quota 100 --flood-rate 1000 --flood-comings 20 --redis --gateways 2";
    let report = run_whole(words);
    is_clean_with(&report, &["p50_ms", "p99_ms", "join_p99_ms", "flood_published_per_s", "flood_refused_per_s", "flood_comings_per_s"]);
    has_floors(&report, &["p50_ms", "p99_ms", "join_p99_ms"]);
    assert_eq!(report.ledger.received, 2 * 2 * 50 * 10);
    let passed = report.figure("flood_published_per_s").unwrap().value;
    assert!(passed < 500.0, "{passed} of 1,000 a second, where 100 are allowed and 200 may come at once");
}

#[test]
fn a_soak_tells_whether_memory_grows_and_times_do() {
    let report = run_whole("soak --seconds 4 --subscribers 30 --guests 5");
    is_clean_with(&report, &["p50_ms", "p99_last_third_ms"]);
    assert!(report.figure("memory_kib_per_minute").is_some() && report.nodes[0].memory_bytes_max.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_running_nodes_are_loaded_with_a_token() {
    let world = World::of(2).await;
    let nodes = world.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let token = Token::of("acme", "load").mint();
    let words = ["fanout", "--subscribers", "20", "--publications", "200", "--outstanding", "8", "--nodes", &nodes, "--token", &token];
    let report = run_beside(&words).await;
    is_clean_with(&report, &["deliveries_per_s"]);
    assert_eq!(report.nodes.iter().map(|node| node.deliveries).collect::<Vec<_>>(), [2_000, 2_000]);
    assert!(!report.options.values().any(|value| *value == token));
}

/// The words' run, shared by two agents of this process.
fn run_shared(words: &[String]) -> Report {
    let agents = [(); 2].map(|()| {
        let agent = Agent { listen: "127.0.0.1:0".parse().unwrap(), secret: None };
        let listener = agent.bind().unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || agent.serve_one(&listener, &|words, progress| Scenario::of_words(words)?.run(progress)));
        address
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.json");
    let further = ["--agents".to_owned(), agents.join(","), "--json".to_owned(), file.display().to_string(), "--quiet".to_owned()];
    let line = ["roomcast-loadtest".to_owned()].into_iter().chain(words.iter().cloned()).chain(further).map(OsString::from);
    let code = cli::execute(line, Scenario::figures, |_: &Scenario, _| panic!("it ran here"));
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    Report::read(&file).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_share_a_fan_out_to_two_nodes() {
    let world = World::of(2).await;
    let nodes = world.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let token = Token::of("acme", "load").mint();
    for (shape, publications) in [("fanout --publications 100 --rate 500", 100), ("burst --size 8 --bursts 10", 80)] {
        let further = ["--subscribers", "21", "--deadline-s", "30", "--nodes", &nodes, "--token", &token];
        let words: Vec<String> = shape.split(' ').chain(further).map(str::to_owned).collect();
        let report = tokio::task::spawn_blocking(move || run_shared(&words)).await.unwrap();
        is_clean_with(&report, &["deliveries_per_s", "p99_ms"]);
        assert_eq!((report.ledger.published, report.ledger.received), (publications, 21 * publications), "{shape}");
        let shares: Vec<u64> = report.agents.iter().map(|agent| agent.ledger.received / publications).collect();
        assert_eq!(shares, [11, 10], "{shape}");
        assert_eq!(report.latencies[0].count, 21 * publications, "one distribution of all agents");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_share_quiet_sessions() {
    let world = World::of(1).await;
    let (node, token) = (world.addresses()[0].to_string(), Token::of("acme", "load").mint());
    let words: Vec<String> =
        ["idle", "--sessions", "9", "--seconds", "1", "--settle-s", "0", "--nodes", &node, "--token", &token].map(str::to_owned).into();
    let report = tokio::task::spawn_blocking(move || run_shared(&words)).await.unwrap();
    is_clean_with(&report, &["join_p99_ms"]);
    assert_eq!((report.nodes.len(), report.nodes[0].connections), (1, 9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_gateway_does_to_one_publication_of_thousands_is_caught() {
    let world = World::of(1).await;
    let token = Token::of("acme", "load").mint();
    for (sabotage, lost, behind) in [(Sabotage::Nothing, 0, 0), (Sabotage::Drop, 1, 0), (Sabotage::Swap, 1, 1), (Sabotage::Repeat, 0, 1)] {
        let saboteur = Saboteur::start(world.nodes[0].address, sabotage).await;
        let node = saboteur.address.to_string();
        let words = ["fanout", "--subscribers", "2", "--publications", "5000", "--outstanding", "64", "--nodes", &node, "--token", &token];
        let report = run_beside(&words).await;
        assert_eq!((report.ledger.lost, report.ledger.behind), (lost, behind), "{sabotage:?}: {:?}", report.remarks);
        assert_eq!(report.is_clean(), matches!(sabotage, Sabotage::Nothing));
        assert_eq!(report.remarks.is_empty(), report.is_clean());
    }
}
