//! Urgent publications reach slow readers first, and those of low priority give way to later ones there, and only there.

use roomcast_loadtest::{Message, Options, Outcome};
use serde_json::json;

use crate::support::books::Books;
use crate::support::gateway::Token;
use crate::support::publishers::{pour, pour_as};
use crate::support::world::{Person, World, messages};

const ROOM: &str = "kpi:acme:sales";
/// 12 MB in all, so that not everything vanishes in sockets.
pub const BURST: (usize, usize) = (3_000, 4_000);
/// What the slow one's socket holds.
const RECEIVE_BUFFER_BYTES: u32 = 8 << 10;

pub async fn slow_reader(world: &World) -> Person {
    let mut options = Options::new(world.addresses(), Token::of("acme", "slow").mint());
    options.receive_buffer_bytes = Some(RECEIVE_BUFFER_BYTES);
    Person::meet("acme", &["kpi:acme"], options).await
}

/// The publications that somebody got, in order.
fn publications(person: &Person) -> Vec<Message> {
    messages(&person.events()).filter(|message| message.room.is_some()).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_urgent_publication_comes_before_what_waits_for_a_slow_reader_and_only_once() {
    let world = World::of(2).await;
    let books = Books::default();
    let slow = slow_reader(&world).await;
    let bob = world.member("acme", "bob", 1, &["kpi:acme"]).await;
    slow.client.stop_reading();
    pour(&world.redis, &books, "acme", ROOM, "burst", BURST).await;
    assert!(books.settle([&bob]).await.is_clean());
    let urgent = json!({ "priority": "urgent" });
    let outcome = bob.client.publish_with(ROOM, "kpi:alert", json!({ "mark": "fire" }), urgent).await;
    assert!(matches!(outcome, Outcome::Acked { .. }), "{outcome:?}");
    books.note("fire", ROOM, outcome.fate());
    let told = bob.receives("fire").await;
    assert!(!told.overtook, "nothing waited for bob");

    slow.client.read_again();
    let verdict = books.settle([&slow, &bob]).await;
    assert!(verdict.is_clean() && verdict.gaps == 0 && verdict.wire_dup == 0, "{verdict}");
    let publications = publications(&slow);
    let place = publications.iter().position(|message| message.data["mark"] == "fire").unwrap();
    assert!(publications[place].overtook && place + BURST.0 / 3 < publications.len(), "{place} of {}", publications.len());
    assert_eq!(slow.connections(), 1, "on the same connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn low_priority_gives_way_where_a_reader_is_slow_and_nowhere_else() {
    let world = World::of(2).await;
    let books = Books::default();
    let slow = slow_reader(&world).await;
    let bob = world.member("acme", "bob", 1, &["kpi:acme"]).await;
    slow.client.stop_reading();
    pour_as("low", &world.redis, &books, "acme", ROOM, "reading", BURST).await;
    assert!(books.settle([&bob]).await.is_clean());
    assert_eq!(publications(&bob).len(), BURST.0, "who keeps up gets each");

    slow.client.read_again();
    let last = slow.receives(&format!("reading-{}", BURST.0 - 1)).await;
    assert!(last.conflated > 0, "{last:?}");
    let verdict = books.settle([&slow]).await;
    assert!(verdict.is_clean() && verdict.gaps == 0, "{verdict}");
    let events = slow.events();
    let told = messages(&events).filter(|message| message.event == "conflated");
    let left_out: u64 = told.map(|message| message.data["left_out"].as_u64().unwrap()).sum();
    let publications = publications(&slow);
    let stood_for: u64 = publications.iter().map(|message| u64::from(message.conflated)).sum();
    assert_eq!((left_out, publications.len() as u64 + left_out), (stood_for, BURST.0 as u64), "each is accounted for");

    // Who comes back after an absence gets each of them, however low.
    let away = slow.leaves();
    pour_as("low", &world.redis, &books, "acme", ROOM, "offline", (50, 100)).await;
    let back = world.welcome(away, 1).await;
    let verdict = books.settle([&back]).await;
    assert!(verdict.is_clean(), "{verdict}");
    let replayed = messages(&back.events()).filter(|message| message.replayed).count();
    assert_eq!(replayed, 50);
}
