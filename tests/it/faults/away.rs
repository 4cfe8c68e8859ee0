//! A client that comes back later than its log is kept.

use roomcast_loadtest::position::Position;

use super::scale::scale;
use crate::support::books::Books;
use crate::support::publishers::pour;
use crate::support::redis::Redis;
use crate::support::world::{World, messages};
use crate::support::{DEADLINE, within};

const ROOM: &str = "kpi:acme:sales";
/// Redis trims whole blocks of a stream, of a hundred entries each.
const KEPT: &str = "200";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_beyond_retention_is_told_exactly_what_is_gone() {
    let mut world = World::on(Redis::start(&[]).await, 2, &[("BROKER__REDIS__ENTRIES_MAX", KEPT)]).await;
    let books = Books::default();
    let bob = world.member("acme", "bob", 1, &["kpi:acme"]).await;
    let alice = world.member("acme", "alice", 0, &["kpi:acme"]).await;
    pour(&world.redis, &books, "acme", ROOM, "early", (50, 100)).await;
    assert!(books.settle([&alice, &bob]).await.is_clean());
    let away = alice.leaves();
    let since: Position = away.position.as_deref().and_then(|position| position.parse().ok()).expect("alice knows where she is");
    let parts = if scale().long { 25 } else { 3 };
    for part in 0..parts {
        pour(&world.redis, &books, "acme", ROOM, &format!("meanwhile{part}"), (2_000, 100)).await;
        // With so little kept, who stays must not be left behind by more than a node holds of the log.
        within(DEADLINE, "bob has all of it", async || (bob.received().len() == books.acked()).then_some(())).await;
    }
    let oldest = world.redis.cli(&["--no-raw", "XRANGE", "rc:{acme}:log", "-", "+", "COUNT", "1"]);
    let oldest: u64 = oldest.split('-').nth(1).and_then(|rest| rest.split('"').next()?.parse().ok()).expect("an id is epoch-seq");
    // A node that was there all along might still know it all by heart.
    world.add_node().await;
    let alice = world.welcome(away, 2).await;
    alice.hears("gap").await;
    // She reads what is left in several pages, and what would be trimmed before she came to it would be a gap of its own.
    alice.receives(&format!("meanwhile{}-1999", parts - 1)).await;
    pour(&world.redis, &books, "acme", ROOM, "later", (200, 100)).await;

    let audit = books.audit([&alice, &bob], DEADLINE).await;
    let verdict = audit.ledger.verdict();
    let gaps: Vec<_> = messages(&alice.events()).filter(|message| message.event == "gap").cloned().collect();
    let mut finding = super::finding::Finding::new("a client away beyond retention", scale(), audit);
    finding.exactly("gaps", gaps.len() as u64, 1);
    let place = |name: &str| gaps[0].data[name].as_str().and_then(|text| text.parse::<Position>().ok());
    finding.holds("its reason", gaps[0].data["reason"].to_string(), "\"trimmed\"", gaps[0].data["reason"] == "trimmed");
    finding.holds("from where the client was", since.seq.to_string(), format!("= {}", since.seq), place("from") == Some(since));
    let to = place("to").map_or(0, |to| to.seq);
    finding.exactly("to the entry before the oldest that is kept", to, oldest - 1);
    finding.exactly("received by who stayed", bob.received().len() as u64, verdict.acked);
    finding.record();
}
