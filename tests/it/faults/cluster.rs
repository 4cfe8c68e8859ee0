//! A Redis Cluster of six: a slot moves, a primary is killed.

use super::backend::Address;
use super::town::{NODES, PHASE_MAX, Town, org, settings};
use super::traffic::Doors;
use crate::support::redis::Cluster;
use crate::support::within;
use crate::support::world::World;

async fn town(args: &[&str]) -> Town<Cluster> {
    let cluster = Cluster::start(1, args).await;
    let urls = cluster.urls();
    let (nodes, address) = (format!("{urls:?}"), Address::Cluster(urls));
    let clustered = [("BROKER__REDIS__MODE", "cluster"), ("BROKER__REDIS__NODES", nodes.as_str())];
    let mut town = Town::new(World::at(cluster, "redis://ignored:1", NODES, &settings(&clustered)).await, address);
    town.fills().await;
    town.wakes(Doors::AllOnLosingRedis).await;
    town
}

/// Waits until every node that has the org's sessions listens where its slot is now; the answer is when.
async fn subscribed_again(town: &Town<Cluster>, key: &str) -> u64 {
    let bus = key.replace(":log", ":bus");
    within(PHASE_MAX, "the topic has its subscribers again", async || {
        let owner = town.world.redis.servers.iter().find(|server| server.is_up() && !server.cli(&["GET", key]).starts_with("MOVED"))?;
        let answer = owner.cli(&["PUBSUB", "SHARDNUMSUB", &bus]);
        (answer.lines().last()?.parse::<usize>().ok()? >= NODES).then_some(())
    })
    .await;
    town.books.now_us()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_takes_its_subscribers_along() {
    // With their files, servers can prove that nothing was lost on the way.
    let mut town = town(&["--appendonly", "yes"]).await;
    let key = format!("rc:{{{}}}:log", org(0));
    town.world.redis.move_slot_of(&key);
    let moved_us = town.books.now_us();
    let subscribed_us = subscribed_again(&town, &key).await - moved_us;
    town.goes_on().await;

    let mut finding = town.ends("Redis Cluster of 6: a slot moved").await;
    finding.no_gaps();
    finding.within_ms("subscribed again", subscribed_us, 2_000);
    finding.back_within_ms(moved_us, 5_000);
    finding.record();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_of_a_cluster_is_replaced() {
    let mut town = town(&[]).await;
    let key = format!("rc:{{{}}}:log", org(0));
    let owner = town.world.redis.owner_of(&key);
    town.world.redis.servers[owner].kill();
    within(PHASE_MAX, "a replica takes over", async || {
        let servers = town.world.redis.servers.iter().filter(|server| server.is_up());
        servers.map(|server| server.cli(&["GET", &key])).any(|answer| answer.starts_with("WRONGTYPE")).then_some(())
    })
    .await;
    let promoted_us = town.books.now_us();
    let subscribed_us = subscribed_again(&town, &key).await - promoted_us;
    town.goes_on().await;

    let mut finding = town.ends("Redis Cluster of 6: a primary killed").await;
    finding.within_ms("subscribed again after the promotion", subscribed_us, 5_000);
    finding.back_within_ms(promoted_us, 10_000);
    finding.record();
}
