//! The load scenario against real nodes: it is run here small, so that it cannot rot.

use roomcast_loadtest::fanout::Fanout;

use crate::support::gateway::Token;
use crate::support::world::World;

#[tokio::test]
async fn the_fanout_scenario_finds_two_nodes_clean() {
    let world = World::of(2).await;
    let fanout = Fanout {
        nodes: world.addresses(),
        token: Token::of("acme", "load").mint(),
        room: "kpi:acme:load".to_owned(),
        subscribers: 20,
        publications: 200,
        rate: 1_000,
        bytes: 128,
        deadline_s: 20,
    };
    let report = fanout.run().await.unwrap();
    assert!(report.verdict.is_clean() && report.verdict.gaps == 0, "{}", report.verdict);
    assert_eq!((report.verdict.acked, report.verdict.receipts), (200, 20 * 200));
}
