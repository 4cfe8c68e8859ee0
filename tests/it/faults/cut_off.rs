//! One node is cut off from Redis: first nothing passes any more, then the connections are reset.

use std::time::Duration;

use super::backend::Address;
use super::finding::{Finding, p99_us};
use super::town::{NODES, PHASE_MAX, Town, settings};
use super::traffic::Doors;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;
use crate::support::within;
use crate::support::world::{Person, World};

/// The others feel the fault at most this much, in percent; what the machine does besides is not the node's.
const OTHERS_MAX_PERCENT: u64 = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_says_so_and_misses_nothing() {
    let redis = Redis::start(&[]).await;
    let (address, proxy) = (Address::server(redis.url()), Proxy::start(redis.port).await);
    let mut world = World::on(redis, NODES - 1, &settings(&[])).await;
    world.add_node_at(&proxy.url()).await;
    let mut town = Town::new(world, address);
    town.fills().await;
    let calm_us = town.books.now_us();
    town.wakes(Doors::All).await;
    let cut_us = town.books.now_us();
    proxy.hold();
    let alone = &town.world.nodes[NODES - 1];
    within(PHASE_MAX, "the node is degraded", async || alone.is_degraded().await.then_some(())).await;
    let degraded_us = town.books.now_us() - cut_us;
    let until_us = cut_us + Duration::from_secs(10).as_micros() as u64;
    within(PHASE_MAX, "the cut lasts", async || (town.books.now_us() >= until_us).then_some(())).await;
    proxy.reset();
    let mended_us = town.books.now_us();
    town.goes_on().await;

    let (calm, cut) = (calm_us..cut_us, cut_us..mended_us);
    let mut finding: Finding = town.ends("node cut off from Redis for 10 s, then reset").await;
    let audit = town.books.audit(&town.people, PHASE_MAX).await;
    let others = |person: &Person| person.connections() == 1 && person.began_at(&town.world.nodes[..NODES - 1]);
    let (before_us, meanwhile_us) = (p99_us(&audit, &calm, others), p99_us(&audit, &cut, others));
    finding.no_gaps();
    finding.within_ms("degraded", degraded_us, 3_000);
    finding.back_within_ms(mended_us, 3_000);
    if finding.is_long() {
        let asked = format!("≤ {OTHERS_MAX_PERCENT} % of {before_us} µs");
        finding.holds("others' p99", format!("{meanwhile_us} µs"), asked, meanwhile_us * 100 <= before_us * OTHERS_MAX_PERCENT);
    }
    finding.record();
}
