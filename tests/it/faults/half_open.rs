//! Connections that are dead without anybody having said so, and those that break in the middle of a frame.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast_loadtest::Options;

use super::finding::Finding;
use super::scale::scale;
use super::town::{PHASE_MAX, seed};
use crate::support::books::{Books, Load};
use crate::support::gateway::Token;
use crate::support::proxy::Proxy;
use crate::support::publishers::try_get;
use crate::support::redis::Redis;
use crate::support::within;
use crate::support::world::{Person, World};

const ROOM: &str = "kpi:acme:sales";
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// A session from which nothing came for two ping intervals is dead.
const SETTINGS: [(&str, &str); 2] = [("LIMITS__PING_INTERVAL_MS", "2000"), ("LIMITS__STALE_AFTER_MS", "4000")];
/// How exactly the node meets its own bound, and how often the test looks.
const SLACK: Duration = Duration::from_millis(500);

/// Somebody behind a stretch of network of their own.
async fn behind(proxy: &Proxy, name: &str) -> Person {
    let mut options = Options::new([proxy.address()], Token::of("acme", name).mint());
    options.silence_max = 3 * PING_INTERVAL;
    Person::meet("acme", &["kpi:acme"], options).await
}

async fn sessions_of(world: &World, user: &str) -> Option<usize> {
    let path = format!("/api/ws/connections?organization_id=acme&user_id={user}");
    let (status, answer) = try_get(world.nodes[0].address, &Token::service().mint(), &path).await?;
    answer["connections"].as_array().filter(|_| status == 200).map(Vec::len)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_is_noticed_by_both_ends() {
    let world = World::on(Redis::start(&[]).await, 1, &SETTINGS).await;
    let books = Books::default();
    let proxy = Proxy::start(world.nodes[0].address.port()).await;
    let alice = behind(&proxy, "alice").await;
    let load = Load::start(&books, world.member("acme", "load", 0, &[]).await, "load", &[ROOM], Duration::from_millis(5));
    alice.receives("load-20").await;
    proxy.hold();
    let since = Instant::now();
    within(PHASE_MAX, "the session is gone", async || (sessions_of(&world, "alice").await? == 0).then_some(())).await;
    let gone = since.elapsed();
    proxy.reset();
    within(PHASE_MAX, "alice is back", async || alice.is_in_again(1).then_some(())).await;
    let goal = books.acked() + 50;
    within(PHASE_MAX, "publications go on", async || (books.acked() >= goal).then_some(())).await;
    load.stop().await;

    let mut finding = Finding::new("half-open TCP", scale(), books.audit([&alice], PHASE_MAX).await);
    finding.no_gaps();
    let most = 2 * PING_INTERVAL + SLACK;
    finding.within_ms("session gone", gone.as_micros() as u64, most.as_millis() as u64);
    finding.record();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_in_the_middle_of_a_frame_resumes_whole() {
    let world = World::on(Redis::start(&[]).await, 1, &SETTINGS).await;
    let books = Books::default();
    let proxy = Proxy::start(world.nodes[0].address.port()).await;
    let alice = behind(&proxy, "alice").await;
    let load = Load::start(&books, world.member("acme", "load", 0, &[]).await, "load", &[ROOM], Duration::from_millis(2));
    let mut rng = SmallRng::seed_from_u64(seed());
    for round in 1..=scale().repetitions.min(20) as u32 {
        // A publication is some two hundred bytes long, so that nearly every cut is in the middle of one.
        proxy.break_after(rng.random_range(1..4_000));
        within(PHASE_MAX, "alice is back", async || alice.is_in_again(round).then_some(())).await;
    }
    load.stop().await;

    let mut finding = Finding::new("TCP cut in the middle of a frame, again and again", scale(), books.audit([&alice], PHASE_MAX).await);
    finding.no_gaps();
    finding.record();
}
