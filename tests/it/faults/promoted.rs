//! A Sentinel promotes a replica that is 1.5 s behind when the primary is killed.

use std::collections::HashSet;
use std::time::Duration;

use super::backend::Address;
use super::finding::Finding;
use super::town::{NODES, PHASE_MAX, Town, org, settings};
use super::traffic::Doors;
use crate::support::publishers::logged_marks;
use crate::support::redis::{Redis, free_port};
use crate::support::within;
use crate::support::world::World;

const BEHIND: Duration = Duration::from_millis(1_500);

struct Failover {
    town: Town,
    replica: Redis,
    _sentinel: Redis,
}

impl Failover {
    async fn prepare() -> Self {
        let primary = Redis::start(&[]).await;
        let replica = Redis::start_replica(primary.port).await;
        let sentinel = Redis::start_sentinel(&primary).await;
        within(PHASE_MAX, "the Sentinel knows the replica", async || {
            sentinel.cli(&["SENTINEL", "REPLICAS", "mymaster"]).contains(&replica.port.to_string()).then_some(())
        })
        .await;
        let (nodes, address) = (format!("[{:?}]", sentinel.url()), Address::server(primary.url()));
        let watched = [("BROKER__REDIS__MODE", "sentinel"), ("BROKER__REDIS__NODES", nodes.as_str())];
        let world = World::at(primary, "redis://ignored:1", NODES, &settings(&watched)).await;
        let mut town = Town::new(world, address);
        town.fills().await;
        Self { town, replica, _sentinel: sentinel }
    }

    /// Kills the primary when the replica is behind; the answer is when the replica was promoted.
    async fn fails_over(&mut self) -> u64 {
        let Self { town, replica, .. } = self;
        // A proxy on the way would not do: a Sentinel leads replicas that follow another address than the one it knows back to that.
        replica.cli(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
        let behind_us = town.books.now_us() + BEHIND.as_micros() as u64;
        within(PHASE_MAX, "the replica is behind", async || (town.books.now_us() >= behind_us).then_some(())).await;
        town.world.redis.kill();
        within(PHASE_MAX, "the replica is promoted", async || replica.cli(&["ROLE"]).starts_with("master").then_some(())).await;
        town.redis.lead_to(replica.url());
        town.books.now_us()
    }

    /// How much was acknowledged and does not stand in the logs of the new primary.
    async fn lost(&self) -> u64 {
        let mut logged = HashSet::new();
        for number in 0..self.town.scale.orgs {
            logged.extend(logged_marks(&self.replica, &org(number)).await);
        }
        self.town.books.acked_marks().iter().filter(|mark| !logged.contains(*mark)).count() as u64
    }

    async fn ends(&mut self, fault: &'static str, promoted_us: u64) -> Finding {
        let acked = self.town.books.acked();
        within(PHASE_MAX, "publishing works again", async || (self.town.books.acked() > acked).then_some(())).await;
        let again_us = self.town.books.now_us() - promoted_us;
        self.town.goes_on().await;
        let mut finding = self.town.ends(fault).await;
        finding.within_ms("publishing again after the promotion", again_us, 5_000);
        finding
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lagging_replica_lacks_is_covered_by_gaps() {
    let mut failover = Failover::prepare().await;
    failover.town.wakes(Doors::AllOnLosingRedis).await;
    let promoted_us = failover.fails_over().await;
    let mut finding = failover.ends("Sentinel: primary killed, replica 1.5 s behind", promoted_us).await;
    let lost = failover.lost().await;
    finding.holds("acknowledged and lost with the primary", lost.to_string(), "some, so that there was something to cover", lost > 0);
    finding.record();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_confirmed_is_not_lost() {
    let mut failover = Failover::prepare().await;
    failover.town.wakes(Doors::Replicated).await;
    let promoted_us = failover.fails_over().await;
    // Without a second copy nothing is confirmed, so the old primary comes back as a replica.
    failover.town.world.redis.restart().await;
    failover.town.world.redis.cli(&["REPLICAOF", "127.0.0.1", &failover.replica.port.to_string()]);
    let mut finding = failover.ends("Sentinel: the same with ack=replica", promoted_us).await;
    let lost = failover.lost().await;
    finding.exactly("acknowledged and lost with the primary", lost, 0);
    finding.record();
}
