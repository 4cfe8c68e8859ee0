//! Sessions move to nodes that have fewer, and after a time anyway, and nobody loses anything by it.

use std::time::{Duration, Instant};

use roomcast_loadtest::{Options, What};

use crate::support::balancer::LoadBalancer;
use crate::support::books::{Books, Load};
use crate::support::gateway::{Gateway, Token};
use crate::support::http::{Event, Stream};
use crate::support::publishers::fcall;
use crate::support::redis::Redis;
use crate::support::world::{Person, World, goodbye};
use crate::support::{eventually, within};

/// Rounds of one and a half seconds, for few sessions, and drains that are as quick.
const BALANCE: [(&str, &str); 10] = [
    ("BALANCE__ENABLED", "true"),
    ("BALANCE__ROUND_MS", "1500"),
    ("BALANCE__SETTLE_MS", "1500"),
    ("BALANCE__SESSIONS_MIN", "10"),
    ("BALANCE__SESSIONS_PER_S_MAX", "40"),
    ("BALANCE__PERCENT_PER_S_MAX", "20"),
    ("LIMITS__CONNECTIONS_PER_ORG_MAX", "0"),
    ("DRAIN__ANNOUNCE_MS", "300"),
    ("DRAIN__SPREAD_MS", "1500"),
    ("DRAIN__RETRY_AFTER_MS_MAX", "100"),
];
/// A fifteenth of a round, and what the drain says.
const RETRY_AFTER_MS_MAX: u64 = 100;
const AGE: Duration = Duration::from_secs(3);
/// Nodes share the machine with other tests, and it takes several rounds.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(5);

async fn metric(node: &Gateway, series: &str) -> usize {
    let shown = node.probe("/metrics").await.expect("the node answers");
    let value = shown.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).expect("the series is there");
    value.parse().expect("a whole number")
}

async fn sessions(nodes: &[Gateway]) -> Vec<usize> {
    let mut counts = Vec::new();
    for node in nodes {
        counts.push(metric(node, "roomcast_sessions").await);
    }
    counts
}

/// Waits until the nodes are within a tenth of each other, and everybody is there.
async fn level(nodes: &[Gateway], everybody: usize) {
    within(PATIENCE, "within a tenth of each other", async || {
        let counts = sessions(nodes).await;
        let (most, least) = (counts.iter().max()?, counts.iter().min()?);
        ((most - least) * 10 <= *most && counts.iter().sum::<usize>() == everybody).then_some(())
    })
    .await;
}

async fn moves(node: &Gateway, reason: &str) -> usize {
    metric(node, &format!("roomcast_moves_asked_total{{reason=\"{reason}\"}}")).await
}

async fn everybody(count: usize, load_balancer: &LoadBalancer) -> Vec<Person> {
    let mut people = Vec::new();
    for index in 0..count {
        let options = Options::new([load_balancer.address], Token::of("acme", &format!("user{index}")).mint());
        people.push(Person::meet("acme", &["kpi:acme"], options).await);
    }
    people
}

/// Waits times that all who were asked to move were told before they were closed, by 4000.
fn waits_ms(people: &[Person]) -> Vec<u64> {
    let mut waits = Vec::new();
    for person in people {
        for (code, reason) in person.events().iter().filter_map(goodbye) {
            assert_eq!(code, 4_000);
            waits.push(reason["retry_after_ms"].as_u64().expect("the client is told how long to wait"));
        }
    }
    waits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_come_and_go_and_each_has_its_share_and_nothing_is_lost() {
    let mut world = World::on(Redis::start(&[]).await, 2, &BALANCE).await;
    let load_balancer = LoadBalancer::start(world.addresses()).await;
    let people = everybody(120, &load_balancer).await;
    assert_eq!(sessions(&world.nodes).await, [60, 60]);
    let books = Books::default();
    let publisher = world.member("acme", "load", 0, &[]).await;
    let load = Load::start(&books, publisher, "load", &["kpi:acme:sales"], PAUSE);
    eventually("publications go on", async || (books.acked() >= 100).then_some(())).await;
    for node in &world.nodes {
        assert_eq!(moves(node, "balance").await, 0, "two that have as many ask nobody");
    }

    world.add_node().await;
    load_balancer.lead_to(world.addresses());
    // The publisher is one of them.
    level(&world.nodes, people.len() + 1).await;
    assert_eq!(moves(&world.nodes[2], "balance").await, 0, "the new one is never above the mean");
    let asked = waits_ms(&people).len();
    // 40 were too many, and of three that move one gets to the node that lacks them.
    assert!((36..=200).contains(&asked), "{asked} moves");

    load_balancer.lead_to(world.addresses()[1..].to_vec());
    world.nodes[0].terminate();
    assert!(world.nodes[0].exit().await.success());
    level(&world.nodes[1..], people.len() + 1).await;
    let goal = books.acked() + 100;
    eventually("publications go on", async || (books.acked() >= goal).then_some(())).await;
    load.stop().await;

    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean() && verdict.gaps == 0 && verdict.wire_dup == 0, "{verdict}");
    let waits = waits_ms(&people);
    assert!(waits.iter().all(|wait_ms| *wait_ms <= RETRY_AFTER_MS_MAX), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_come_back_are_left_alone_after_a_while() {
    let world = World::on(Redis::start(&[]).await, 2, &BALANCE).await;
    let load_balancer = LoadBalancer::start(vec![world.nodes[0].address]).await;
    let people = everybody(60, &load_balancer).await;
    let books = Books::default();
    let load = Load::start(&books, world.member("acme", "load", 0, &[]).await, "load", &["kpi:acme:sales"], PAUSE);
    within(PATIENCE, "the node gives up", async || (metric(&world.nodes[0], "roomcast_moves_paused").await == 1).then_some(())).await;
    load.stop().await;

    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean() && verdict.gaps == 0 && verdict.wire_dup == 0, "{verdict}");
    assert!(world.nodes[0].log().contains("sessions that were asked to move came back to this node"));
    let asked = moves(&world.nodes[0], "balance").await;
    // Three rounds of a second's worth, 13 or less each.
    assert!((10..=39).contains(&asked), "{asked}");
    assert!(metric(&world.nodes[0], "roomcast_sessions_excess").await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_open_for_long_move_unless_redis_is_away() {
    let age_ms = AGE.as_millis().to_string();
    let settings = [
        ("BALANCE__CONNECTION_AGE_MAX_MS", age_ms.as_str()),
        ("BALANCE__CONNECTION_AGE_JITTER_PERCENT", "30"),
        ("BALANCE__SESSIONS_PER_S_MAX", "10"),
    ];
    let mut world = World::on(Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]).await, 2, &settings).await;
    let load_balancer = LoadBalancer::start(world.addresses()).await;
    let people = everybody(20, &load_balancer).await;
    let books = Books::default();
    let load = Load::start(&books, world.member("acme", "load", 0, &[]).await, "load", &["kpi:acme:sales"], PAUSE);
    eventually("everybody has moved", async || people.iter().all(|person| person.is_in_again(1)).then_some(())).await;

    world.redis.kill();
    eventually("all nodes know", async || {
        let (one, other) = (world.nodes[0].is_degraded().await, world.nodes[1].is_degraded().await);
        (one && other).then_some(())
    })
    .await;
    let (first, second) = (moves(&world.nodes[0], "age").await, moves(&world.nodes[1], "age").await);
    let since = Instant::now();
    eventually("everybody is old", async || {
        let opened =
            |person: &Person| person.events().iter().rev().find_map(|event| matches!(event.what, What::Opened(_)).then_some(event.at));
        let is_old = |person: &Person| opened(person).is_some_and(|at| at.max(since).elapsed() > AGE + Duration::from_millis(500));
        people.iter().all(is_old).then_some(())
    })
    .await;
    assert_eq!((moves(&world.nodes[0], "age").await, moves(&world.nodes[1], "age").await), (first, second));

    world.redis.restart().await;
    let then: Vec<u32> = people.iter().map(Person::connections).collect();
    eventually("moving goes on", async || people.iter().zip(&then).all(|(person, then)| person.connections() > *then).then_some(())).await;
    let goal = books.acked() + 50;
    eventually("publications go on", async || (books.acked() >= goal).then_some(())).await;
    load.stop().await;
    let verdict = books.settle(&people).await;
    assert!(verdict.is_clean() && verdict.gaps == 0 && verdict.wire_dup == 0, "{verdict}");
    waits_ms(&people);
}

#[tokio::test]
async fn a_stream_of_events_is_asked_as_well_and_goes_on_at_another_node() {
    let settings = [("BALANCE__CONNECTION_AGE_MAX_MS", "1000"), ("BALANCE__CONNECTION_AGE_JITTER_PERCENT", "0")];
    let world = World::on(Redis::start(&[]).await, 2, &settings).await;
    let token = Token::of("acme", "alice").mint();
    let (mut last_id, mut marks) = (None, Vec::new());
    for turn in 0..4 {
        let mut stream = Stream::get(world.nodes[turn % 2].address, "?rooms=kpi:acme", &token, last_id.as_deref()).await;
        fcall(&world.redis, "acme", "kpi:acme:sales", &format!("m{turn}"), 0).await;
        loop {
            match stream.event().await {
                Event::Message(message) => marks.extend(message["data"]["mark"].as_str().map(str::to_owned)),
                Event::Close { code, reason } => {
                    assert_eq!(code, 4_000);
                    assert_eq!(stream.retry_ms, reason["retry_after_ms"].as_u64());
                }
                Event::End => break,
            }
        }
        last_id.clone_from(&stream.last_id);
        fcall(&world.redis, "acme", "kpi:acme:sales", &format!("away{turn}"), 0).await;
    }
    assert_eq!(marks, ["m0", "away0", "m1", "away1", "m2", "away2", "m3"]);
}
