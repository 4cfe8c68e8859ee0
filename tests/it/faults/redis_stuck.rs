//! Redis is there and does not work: it sleeps, it holds its clients, it is full.

use super::town::{PHASE_MAX, Town};
use crate::support::redis::Redis;
use crate::support::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sleeping_redis_left_unanswered_is_logged_once() {
    let mut town = Town::on(Redis::start(&["--enable-debug-command", "yes"]).await, &[]).await;
    town.world.redis.sleeps(5).await;
    let awake_us = town.books.now_us();
    town.goes_on().await;
    assert_eq!(town.world.redis.cli(&["CLIENT", "PAUSE", "5000", "ALL"]), "OK");
    town.goes_on().await;

    let mut finding = town.ends("Redis stuck: DEBUG SLEEP 5, CLIENT PAUSE 5 s").await;
    finding.no_gaps();
    finding.no_connection_lost(&town.people);
    // The second of the two lasts five seconds of this time itself.
    finding.back_within_ms(awake_us, 60_000);
    finding.record();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_full_redis_refuses_is_not_acknowledged() {
    let mut town = Town::on(Redis::start(&[]).await, &[]).await;
    town.world.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    // What was under way before is answered first.
    let answered = town.books.attempts();
    within(PHASE_MAX, "publishers are refused", async || (town.books.attempts() > answered + 50).then_some(())).await;
    let (acked, attempts) = (town.books.acked(), town.books.attempts());
    within(PHASE_MAX, "publishers try in vain", async || (town.books.attempts() > attempts + 200).then_some(())).await;
    let acked_meanwhile = town.books.acked() - acked;
    town.world.redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    let room_us = town.books.now_us();
    town.goes_on().await;

    let mut finding = town.ends("Redis full (maxmemory)").await;
    finding.no_gaps();
    finding.exactly("acknowledged while Redis refused", acked_meanwhile as u64, 0);
    finding.no_connection_lost(&town.people);
    finding.back_within_ms(room_us, 5_000);
    finding.record();
}
