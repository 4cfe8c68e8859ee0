//! A client that stops reading costs a bounded queue and nothing else.

use crate::support::books::Books;
use crate::support::publishers::pour;
use crate::support::world::World;

const ROOM: &str = "kpi:acme:sales";
/// 20 MB in all.
const PUBLICATIONS: (usize, usize) = (5_000, 4_000);
/// What may wait for one session: `hub.queue_bytes_max` (256 KiB), and one batch of publications that was let in while it was
/// empty (128 KiB). Everything else that the burst takes (the tail of 4 MiB, events on their way, the allocator's reserves) was
/// taken by the burst before, when everybody read.
const QUEUE_BYTES: u64 = (256 + 128) << 10;
/// By how much two bursts without a slow reader may differ: what the allocator happens to hold in its arenas at the moment. With a
/// queue that had no bound the growth would be 15 MB, which is the burst less what the sockets' buffers take.
const SLACK_BYTES: u64 = 6 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_costs_a_bounded_queue_and_misses_nothing() {
    let world = World::of(1).await;
    let books = Books::default();
    let slow = world.member("acme", "slow", 0, &["kpi:acme"]).await;
    let bob = world.member("acme", "bob", 0, &["kpi:acme"]).await;
    // Fills the tail and warms the allocator up with the very same load.
    pour(&world.redis, &books, "acme", ROOM, "warm", PUBLICATIONS).await;
    assert!(books.settle([&slow, &bob]).await.is_clean());

    slow.client.stop_reading();
    let before = world.nodes[0].resident_bytes();
    pour(&world.redis, &books, "acme", ROOM, "burst", PUBLICATIONS).await;
    let verdict = books.settle([&bob]).await;
    assert!(verdict.is_clean() && verdict.gaps == 0, "the other is not affected: {verdict}");
    let grown = world.nodes[0].resident_bytes().saturating_sub(before);
    assert!(grown <= QUEUE_BYTES + SLACK_BYTES, "while it does not read, it costs {grown} bytes");
    let waiting = books.ledger([&slow]).verdict().silent;
    assert!(waiting > 1_000, "the slow one really did not read: only {waiting} are missing");

    slow.client.read_again();
    let verdict = books.settle([&slow]).await;
    assert!(verdict.is_clean() && verdict.gaps == 0 && verdict.wire_dup == 0, "{verdict}");
    assert!(slow.is_still_connected() && slow.connections() == 1, "on the same connection");
    assert_eq!(slow.received().len(), 2 * PUBLICATIONS.0);
}
