//! SIGKILL for a node.

use super::town::{PHASE_MAX, Town};
use crate::support::redis::Redis;
use crate::support::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_costs_its_clients_a_reconnect_and_nothing_else() {
    let mut town = Town::on(Redis::start(&[]).await, &[]).await;
    let killed_us = town.books.now_us();
    town.world.nodes[0].kill();
    town.goes_on().await;
    let of_node = || town.people.iter().step_by(3);
    within(PHASE_MAX, "everyone has moved", async || of_node().all(|person| person.connections() > 1).then_some(())).await;
    town.goes_on().await;

    let mut finding = town.ends("node killed (SIGKILL)").await;
    finding.no_gaps();
    finding.back_within_ms(killed_us, 10_000);
    finding.at_most("wire-dup per 1,000 receipts", finding.verdict.wire_dup * 1_000 / finding.verdict.receipts, 20, "");
    finding.record();
}
