//! SIGKILL for whichever node consumes the ingest stream, over and over.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::town::{PHASE_MAX, Town, org, seed};
use crate::support::publishers::logged_marks;
use crate::support::redis::Redis;
use crate::support::within;

/// Short runs do not wait for the default lease so often.
const SHORT_LEASE: (&str, &str) = ("BROKER__REDIS__INGEST__OWNER_LEASE_MS", "1500");

fn owner(town: &Town) -> Option<usize> {
    let owner = town.world.redis.cli(&["GET", "rc:ingest:owner:0"]);
    town.world.nodes.iter().position(|node| node.id == owner)
}

/// The marks of what came by the ingest stream, as often as they stand in the logs.
async fn logged(town: &Town) -> Vec<String> {
    let mut logged = Vec::new();
    for number in 0..town.scale.orgs {
        logged.extend(logged_marks(&town.world.redis, &org(number)).await);
    }
    logged.retain(|mark| mark.starts_with("ingest"));
    logged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_consumes_the_ingest_stream_may_be_killed_at_any_moment() {
    let redis = Redis::start(&[]).await;
    let long = super::scale::scale().long;
    let mut town = Town::on(redis, if long { &[] } else { &[SHORT_LEASE] }).await;
    let mut rng = SmallRng::seed_from_u64(seed());
    let mut slowest = Duration::ZERO;
    for _ in 0..town.scale.repetitions {
        town.acknowledges(rng.random_range(1..50)).await;
        let killed = within(PHASE_MAX, "somebody consumes", async || owner(&town)).await;
        town.world.nodes[killed].kill();
        let since = Instant::now();
        within(PHASE_MAX, "another takes over", async || owner(&town).filter(|owner| *owner != killed)).await;
        slowest = slowest.max(since.elapsed());
        town.world.nodes[killed].restart().await;
    }
    town.goes_on().await;

    let repetitions = town.scale.repetitions;
    let mut finding = town.ends("ingest consumer killed (SIGKILL), again and again").await;
    within(PHASE_MAX, "the stream is consumed", async || (town.world.redis.cli(&["XLEN", "rc:ingest"]) == "0").then_some(())).await;
    let logged = logged(&town).await;
    finding.no_gaps();
    let handed_in: HashSet<String> = town.books.acked_marks().into_iter().filter(|mark| mark.starts_with("ingest")).collect();
    finding.exactly("entries in the logs", logged.len() as u64, handed_in.len() as u64);
    finding.exactly("of them handed in", logged.iter().filter(|mark| handed_in.contains(*mark)).count() as u64, handed_in.len() as u64);
    finding.within_ms(&format!("slowest takeover of {repetitions}"), slowest.as_micros() as u64, 10_000);
    finding.record();
}
