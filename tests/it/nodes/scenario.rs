//! The load scenario against real nodes: it is run here small, so that it cannot rot.

use roomcast_loadtest::fanout::Fanout;

use crate::support::gateway::Token;
use crate::support::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fanout_scenario_finds_two_nodes_clean() {
    let world = World::of(2).await;
    let fanout = Fanout {
        nodes: world.addresses(),
        token: Some(Token::of("acme", "load").mint()),
        gateway: None,
        settings: Vec::new(),
        pin: None,
        room: "kpi:acme:load".to_owned(),
        subscribers: 20,
        publications: 200,
        bytes: 128,
        outstanding: 8,
        burst: false,
        rate: None,
        floor: true,
        runs: 2,
        deadline_s: 20,
        json: false,
    };
    let report = tokio::task::spawn_blocking(move || fanout.run()).await.unwrap().unwrap();
    assert!(report.clean, "{report:?}");
    assert_eq!(report.gateway.deliveries, 2 * 20 * 200);
    assert!(report.floor_single.is_some() && report.floor_concatenated.is_some());
}
