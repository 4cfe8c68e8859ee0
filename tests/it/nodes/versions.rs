//! A node beside nodes of the next version: what these write and it cannot read is admitted, never left out.

use serde_json::Value;

use crate::redis_broker::versions::reload;
use crate::support::eventually;
use crate::support::world::{World, messages};

/// The next version writes an option that today's nodes do not know.
const NEXT: [(&str, &str); 2] = [
    ("local VERSION = 1\n", "local VERSION = 2\n"),
    ("  return table.concat(parts, ' ')\nend\n\n-- Puts a fence", "  return table.concat(parts, ' ') .. ' z=1'\nend\n\n-- Puts a fence"),
];

#[tokio::test]
async fn what_the_next_version_writes_is_told_as_a_gap_to_those_who_are_there_and_to_those_who_come_back() {
    let world = World::of(2).await;
    let alice = world.member("acme", "alice", 0, &["kpi:acme"]).await;
    let away = world.member("acme", "bob", 1, &["kpi:acme"]).await;
    let before = alice.publishes("kpi:acme", "before").await;
    away.receives("before").await;
    let away = away.leaves();

    reload(&world.redis, &NEXT);
    let answer = world.redis.cli(&["FCALL", "roomcast_publish", "1", "rc:{acme}", "kpi:acme", "kpi:update", "{\"mark\":\"next\"}"]);
    let written = answer.lines().next().unwrap().to_owned();
    let is_admitted = |data: &Value| data["reason"] == "unreadable" && data["from"] == *before && data["to"] == *written;
    let gap = alice.hears("gap").await;
    assert!(is_admitted(&gap.data), "{:?}", gap.data);

    let bob = world.welcome(away, 0).await;
    let gap = bob.hears("gap").await;
    assert!(is_admitted(&gap.data), "{:?}", gap.data);

    // No node of the next version runs, so today's functions are back with the next renewal, and everything goes on.
    let after = eventually("what is published can be read again", async || {
        let mark = "after";
        alice.publish("kpi:acme", mark).await;
        let received = messages(&alice.client.journal().events()).filter(|message| message.data["mark"] == mark).count();
        (received > 0).then_some(mark)
    })
    .await;
    bob.receives(after).await;
    assert_eq!(alice.received().first().map(String::as_str), Some("before"));
    assert!(!alice.received().contains(&"next".to_owned()));
}
