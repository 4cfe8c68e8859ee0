//! A node whose clock is two minutes ahead, and one whose clock is two minutes behind.

use std::time::Duration;

use roomcast_loadtest::Options;

use super::backend::Address;
use super::town::{NODES, PHASE_MAX, Town, settings};
use super::traffic::Doors;
use crate::support::gateway::{Token, unix_s};
use crate::support::redis::Redis;
use crate::support::within;
use crate::support::world::{Person, World};

const SHIFT_S: i64 = 120;
/// What the documents say: a token ends by the clock of the node that holds the session, at most `auth.leeway_s` later.
const LEEWAY_S: i64 = 5;
/// How exactly the end is met: timers and the test's own looking.
const SLACK_MS: u64 = 2_000;

/// When a token that ends `left_s` from now by the node's clock has its session closed: by how much later than `exp`, in ms.
async fn closes_after_expiry(world: &World, node: usize, shift_s: i64, left_s: i64) -> u64 {
    let expires_s = i64::try_from(unix_s()).expect("the clock stands within reason") + shift_s + left_s;
    let token = Token::of("org0", "short-lived").issued_s_ago(600).expiring_at_s(expires_s).mint();
    let person = Person::meet("org0", &["kpi:org0"], Options::new([world.nodes[node].address], token)).await;
    within(PHASE_MAX, "the session ends with its token", async || (!person.is_still_connected()).then_some(())).await;
    let now_ms = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis());
    u64::try_from(now_ms.expect("the clock stands within reason") + (shift_s - expires_s) * 1_000).unwrap_or(0)
}

async fn one_clock_is_wrong(fault: &'static str, shift_s: i64) {
    let redis = Redis::start(&[]).await;
    let address = Address::server(redis.url());
    let mut world = World::on(redis, NODES - 1, &settings(&[])).await;
    world.add_node_with_clock(shift_s).await;
    let late_ms = closes_after_expiry(&world, NODES - 1, shift_s, 3).await;
    // Fresh tokens are not valid yet where the clock is behind, and whoever has one is sent to the others; these are older.
    let mut town = Town::new(world, address).with_tokens_of_age(2 * SHIFT_S.unsigned_abs());
    town.fills().await;
    town.wakes(Doors::All).await;
    town.goes_on().await;

    let mut finding = town.ends(fault).await;
    finding.no_gaps();
    finding.at_most("wire-dup", finding.verdict.wire_dup, 0, "");
    let most_ms = Duration::from_secs(LEEWAY_S.unsigned_abs()).as_millis() as u64 + SLACK_MS;
    finding.at_most("session ended after its token's end by that clock", late_ms, most_ms, " ms");
    finding.record();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_clock_ahead_keeps_the_order() {
    one_clock_is_wrong("one node's clock 120 s ahead", SHIFT_S).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_clock_behind_keeps_the_order() {
    one_clock_is_wrong("one node's clock 120 s behind", -SHIFT_S).await;
}
