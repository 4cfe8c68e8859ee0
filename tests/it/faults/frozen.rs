//! SIGSTOP for a node: shorter than anyone notices, and longer than its leases and its clients' patience.

use std::time::Duration;

use super::backend::Address;
use super::town::{NODES, PHASE_MAX, Town, settings};
use super::traffic::Doors;
use crate::support::gateway::Token;
use crate::support::publishers::try_get;
use crate::support::redis::Redis;
use crate::support::within;
use crate::support::world::World;

/// Clients that wait less than the node stands still go elsewhere meanwhile.
const PATIENCE: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_for_five_seconds_goes_on_in_order() {
    let mut town = Town::on(Redis::start(&[]).await, &[]).await;
    town.world.nodes[0].freeze();
    let until_us = town.books.now_us() + 5_000_000;
    within(PHASE_MAX, "it stands still", async || (town.books.now_us() >= until_us).then_some(())).await;
    town.world.nodes[0].thaw();
    let thawed_us = town.books.now_us();
    town.goes_on().await;

    let mut finding = town.ends("node frozen (SIGSTOP) for 5 s").await;
    finding.no_gaps();
    finding.back_within_ms(thawed_us, 5_000);
    finding.record();
}

/// How many connections the cluster counts, as another node says.
async fn counted(town: &Town) -> Option<u64> {
    let (status, answer) = try_get(town.world.nodes[1].address, &Token::service().mint(), "/api/ws/stats").await?;
    answer["stats"]["active_connections"].as_u64().filter(|_| status == 200)
}

/// Every org may have as many connections as it has clients and publishers: whoever moves gets in only when the frozen node's count no
/// longer stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stands_still_for_forty_seconds_does_not_haunt_the_cluster() {
    let scale = super::scale::scale();
    let freeze = Duration::from_secs(if scale.long { 40 } else { 14 });
    let most = (scale.clients / scale.orgs + super::traffic::PUBLISHERS).to_string();
    let redis = Redis::start(&[]).await;
    let address = Address::server(redis.url());
    let tight = [("LIMITS__CONNECTIONS_PER_ORG_MAX", most.as_str()), ("LIMITS__STALE_AFTER_MS", "8000")];
    let mut town = Town::new(World::on(redis, NODES, &settings(&tight)).await, address).with_patience(PATIENCE);
    town.fills().await;
    town.wakes(Doors::All).await;
    let all = (scale.clients + scale.orgs * super::traffic::PUBLISHERS) as u64;
    within(PHASE_MAX, "all are counted", async || counted(&town).await.filter(|count| *count == all)).await;
    town.world.nodes[0].freeze();
    let frozen_us = town.books.now_us();
    let until_us = frozen_us + freeze.as_micros() as u64;
    // When the last of them tries again is for the clients' own backoff to say, so the first of each org tells when the count is gone.
    let first_of_orgs = async || {
        let frozen_of = |org: usize| town.people.iter().step_by(NODES).skip(org).step_by(scale.orgs);
        (0..scale.orgs).all(|org| frozen_of(org).any(|person| person.is_in_again(1))).then_some(())
    };
    within(PHASE_MAX, "the frozen node's clients are let in elsewhere", first_of_orgs).await;
    let moved_us = town.books.now_us() - frozen_us;
    within(PHASE_MAX, "it stands still", async || (town.books.now_us() >= until_us).then_some(())).await;
    town.world.nodes[0].thaw();
    let thawed_us = town.books.now_us();
    town.goes_on().await;
    within(PHASE_MAX, "the counts are right again", async || counted(&town).await.filter(|count| *count == all)).await;

    let mut finding = town.ends("node frozen (SIGSTOP) for 40 s").await;
    finding.no_gaps();
    finding.within_ms("its clients counted elsewhere", moved_us, 20_000);
    finding.back_within_ms(thawed_us, 5_000);
    finding.record();
}
