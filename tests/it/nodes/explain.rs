//! Why somebody got a publication or did not, asked of any node after the fact.

use roomcast_loadtest::Options;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::{Gateway, Token};
use crate::support::publishers::try_get;
use crate::support::world::{Person, World};

/// What a node answers about a publication and a session or a user.
async fn explains(node: &Gateway, id: &str, whose: &str) -> Value {
    let path = format!("/api/ws/explain?organization_id=acme&message={id}&{whose}");
    let (status, answer) = try_get(node.address, &Token::service().mint(), &path).await.expect("the node answers");
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The verdict on the one session that is told of.
fn verdict(answer: &Value) -> &str {
    assert_eq!(answer["sessions"].as_array().map(Vec::len), Some(1), "{answer}");
    answer["sessions"][0]["verdict"].as_str().unwrap()
}

async fn session_of(person: &Person) -> String {
    format!("session={}", person.hears("authenticated").await.data["session_id"].as_str().unwrap())
}

#[tokio::test]
async fn every_node_tells_what_became_of_a_publication_for_a_session() {
    let world = World::of(2).await;
    let bob = world.member("acme", "bob", 0, &[]).await;
    let early = bob.publishes("kpi:acme:sales", "early").await;
    let alice = world.member("acme", "alice", 1, &["kpi:acme:sales", "chat:acme"]).await;
    let alices = session_of(&alice).await;
    let sales = bob.publishes("kpi:acme:sales", "sales").await;
    let support = bob.publishes("kpi:acme:support", "support").await;
    alice.receives("sales").await;
    let chat = bob.publishes("chat:acme", "chat").await;
    alice.receives("chat").await;
    let narrowed = Token::of("acme", "alice").granting(&["subscribe:kpi:acme:sales"]).mint();
    alice.client.renew(&narrowed).await.unwrap();
    alice.hears("unsubscribed").await;
    let after = bob.publishes("chat:acme", "after").await;
    let last = bob.publishes("kpi:acme:sales", "last").await;
    alice.receives("last").await;

    for node in &world.nodes {
        for (id, expected, reached) in [
            (&early, "subscribed_later", json!(["kpi:acme:sales"])),
            (&sales, "written", json!(["kpi:acme:sales"])),
            (&support, "no_match", json!([])),
            (&chat, "written", json!(["chat:acme"])),
            (&after, "unsubscribed_before", json!(["chat:acme"])),
            (&last, "written", json!(["kpi:acme:sales"])),
        ] {
            let answer = explains(node, id, &alices).await;
            assert_eq!((verdict(&answer), &answer["message"]["state"]), (expected, &json!("logged")), "{answer}");
            let session = &answer["sessions"][0];
            assert_eq!((&session["subscriptions"], &session["node"]), (&reached, &json!("n1")), "{answer}");
        }
        let answer = explains(node, &support, &alices).await;
        assert_eq!(answer["sessions"][0]["granted"], json!(false), "her token would not allow it");
        assert!(answer["sessions"][0]["history"].to_string().contains("unsubscribed from chat:acme"), "{answer}");
        assert_eq!(answer["partial"], Value::Null);
    }

    // What is over is remembered, under the user's name too.
    drop(alice);
    eventually("her session has ended", async || {
        let answer = explains(&world.nodes[0], &last, &alices).await;
        (verdict(&answer) == "handed_over").then_some(())
    })
    .await;
    let missed = bob.publishes("kpi:acme:sales", "missed").await;
    assert_eq!(verdict(&explains(&world.nodes[0], &missed, &alices).await), "ended_before");
    let again = world.member("acme", "alice", 0, &["kpi:acme:sales"]).await;
    let answer = explains(&world.nodes[1], &sales, "user=alice").await;
    let mut verdicts: Vec<&str> = answer["sessions"].as_array().unwrap().iter().map(|it| it["verdict"].as_str().unwrap()).collect();
    verdicts.sort_unstable();
    assert_eq!(verdicts, ["handed_over", "subscribed_later"], "{answer}");
    assert!(again.is_still_connected());
    assert_eq!(explains(&world.nodes[0], &sales, "user=nobody").await["sessions"], json!([]));
}

#[tokio::test]
async fn a_resume_and_a_log_that_is_gone_are_told() {
    let mut world = World::of(1).await;
    let bob = world.member("acme", "bob", 0, &[]).await;
    let first = bob.publishes("kpi:acme", "first").await;
    let second = bob.publishes("kpi:acme", "second").await;
    let options = Options::new(world.addresses(), Token::of("acme", "alice").mint()).since(Some(first.clone()));
    let alice = Person::meet("acme", &["kpi:acme"], options).await;
    alice.receives("second").await;
    let alices = session_of(&alice).await;
    let answer = explains(&world.nodes[0], &second, &alices).await;
    assert_eq!(verdict(&answer), "written");
    assert!(answer["sessions"][0]["history"].to_string().contains("resumed from"), "{answer}");
    assert_eq!(verdict(&explains(&world.nodes[0], &first, &alices).await), "subscribed_later");

    let mut parts = second.split('-');
    let (epoch, check) = (parts.next().unwrap(), parts.nth(1).unwrap());
    for (id, state) in
        [(format!("{epoch}-ff-{check}"), "not_logged"), (format!("{epoch}-2-1"), "replaced"), (format!("1-2-{check}"), "other_log")]
    {
        let answer = explains(&world.nodes[0], &id, &alices).await;
        assert_eq!((&answer["message"]["state"], &answer["sessions"]), (&json!(state), &json!([])), "{answer}");
    }
    world.redis.kill();
    let path = format!("/api/ws/explain?organization_id=acme&message={second}&{alices}");
    let (status, answer) = try_get(world.nodes[0].address, &Token::service().mint(), &path).await.expect("the node answers");
    assert_eq!((status, &answer["code"]), (503, &json!("BROKER_UNAVAILABLE")));
}
