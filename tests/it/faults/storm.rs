//! All clients lose their connections at once.

use super::backend::Address;
use super::town::{NODES, PHASE_MAX, Town, settings};
use super::traffic::Doors;
use crate::support::redis::Redis;
use crate::support::within;
use crate::support::world::World;

/// Reads of logs that one org may cost each node, however many of its clients come back at once.
const READS_PER_ORG_AND_NODE_MAX: u64 = 3;

/// How often logs have been read, by Redis' own statistics.
fn reads(redis: &Redis) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let calls = |line: &str| line.split("calls=").nth(1)?.split(',').next()?.parse::<u64>().ok();
    stats.lines().filter(|line| line.starts_with("cmdstat_xrange:")).filter_map(calls).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconnect_storm_is_over_soon_and_hardly_reads_redis() {
    let redis = Redis::start(&[]).await;
    let address = Address::server(redis.url());
    let mut town = Town::new(World::on(redis, NODES, &settings(&[])).await, address);
    town.scale.clients = if town.scale.long { 3_000 } else { 200 };
    town.fills().await;
    town.wakes(Doors::All).await;
    let (before, cut_us) = (reads(&town.world.redis), town.books.now_us());
    town.people.iter().for_each(|person| person.client.cut());
    within(PHASE_MAX, "everyone is in again", async || town.people.iter().all(|person| person.is_in_again(1)).then_some(())).await;
    let (in_again_us, read) = (town.books.now_us() - cut_us, reads(&town.world.redis) - before);
    town.goes_on().await;

    let name = if town.scale.long { "3,000 clients dropped at once" } else { "200 clients dropped at once" };
    let mut finding = town.ends(name).await;
    finding.no_gaps();
    finding.within_ms("everyone in again", in_again_us, 30_000);
    finding.back_within_ms(cut_us, 30_000);
    finding.at_most("reads of logs from Redis", read, READS_PER_ORG_AND_NODE_MAX * (NODES * town.scale.orgs) as u64, "");
    finding.record();
}
