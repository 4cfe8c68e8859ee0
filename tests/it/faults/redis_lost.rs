//! Redis dies: with what it had on disk, and without anything.

use roomcast_loadtest::What;

use super::backend::Address;
use super::finding::Finding;
use super::town::{NODES, PHASE_MAX, Town, settings};
use super::traffic::Doors;
use crate::support::books::Books;
use crate::support::redis::Redis;
use crate::support::within;
use crate::support::world::{Person, World, messages};

/// Waits until every node has noticed that Redis is gone, and a while longer: refusals go on.
async fn is_away(town: &Town) {
    for node in &town.world.nodes {
        within(PHASE_MAX, "the node is degraded", async || node.is_degraded().await.then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_with_its_file_heals_and_nothing_is_acknowledged_meanwhile() {
    let redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "everysec"]).await;
    let mut town = Town::on(redis, &[]).await;
    town.world.redis.kill();
    is_away(&town).await;
    let acked = town.books.acked();
    let unanswered = town.books.attempts();
    within(PHASE_MAX, "publishers try in vain", async || (town.books.attempts() > unanswered + 100).then_some(())).await;
    let acked_meanwhile = town.books.acked() - acked;
    town.world.redis.restart().await;
    let back_us = town.books.now_us();
    town.goes_on().await;

    let mut finding = town.ends("Redis killed (SIGKILL) with AOF everysec, restarted").await;
    finding.no_gaps();
    finding.exactly("acknowledged while Redis was down", acked_meanwhile as u64, 0);
    finding.no_connection_lost(&town.people);
    finding.back_within_ms(back_us, 5_000);
    finding.record();
}

/// How long after `since_us` the client was told of the loss, in microseconds; and how many gaps it was told.
fn gaps_of(person: &Person, books: &Books, since_us: u64) -> (usize, u64) {
    let gap = |event: &&roomcast_loadtest::Event| matches!(&event.what, What::Message { message, .. } if message.event == "gap");
    let events = person.events();
    let told_us = events.iter().filter(gap).map(|event| books.at_us(event.at).saturating_sub(since_us)).max();
    (messages(&events).filter(|message| message.event == "gap").count(), told_us.unwrap_or(u64::MAX))
}

async fn restarted_empty(fault: &'static str, clock_shift_s: i64) {
    let redis = Redis::start(&[]).await;
    let address = Address::server(redis.url());
    let mut town = Town::new(World::on(redis, NODES, &settings(&[])).await, address);
    town.fills().await;
    town.wakes(Doors::AllOnLosingRedis).await;
    town.world.redis.restart_empty(clock_shift_s).await;
    let back_us = town.books.now_us();
    town.goes_on().await;
    town.goes_on().await;

    let mut finding: Finding = town.ends(fault).await;
    let told: Vec<(usize, u64)> = town.people.iter().map(|person| gaps_of(person, &town.books, back_us)).collect();
    finding.exactly("clients told exactly one gap", told.iter().filter(|(count, _)| *count == 1).count() as u64, town.people.len() as u64);
    finding.within_ms("told", told.iter().map(|(_, told_us)| *told_us).max().unwrap_or_default(), 5_000);
    finding.record();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_empty_costs_everyone_one_gap() {
    restarted_empty("Redis restarted empty", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_empty_and_in_the_past_costs_everyone_one_gap() {
    restarted_empty("Redis restarted empty, its clock 60 s earlier", -60).await;
}
