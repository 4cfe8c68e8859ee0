//! Why somebody got a publication or did not, asked of any node after the fact.

use roomcast_loadtest::{Options, Outcome};
use serde_json::{Value, json};

use super::priorities::{BURST, slow_reader};
use crate::support::books::Books;
use crate::support::eventually;
use crate::support::gateway::{Gateway, Token};
use crate::support::publishers::{pour_as, try_get};
use crate::support::redis::Redis;
use crate::support::world::{Person, World, messages};

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

/// Publishes something that asks for more than most; its id.
async fn publishes_with(publisher: &Person, mark: &str, options: Value) -> String {
    match publisher.client.publish_with("kpi:acme:sales", "kpi:alert", json!({ "mark": mark }), options).await {
        Outcome::Acked { id: Some(id), .. } => id,
        other => panic!("{other:?}"),
    }
}

/// The id under which somebody got a publication.
fn id_of(person: &Person, mark: &str) -> String {
    let events = person.events();
    let message = messages(&events).find(|message| message.data["mark"] == mark).expect("they got it");
    message.id.as_str().expect("it is logged").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_acknowledged_and_who_is_reminded_is_told_by_every_node() {
    let settings = [("HUB__ACKS__REDELIVERY_MS", "200"), ("HUB__ACKS__REDELIVERIES_MAX", "2")];
    let world = World::on(Redis::start(&[]).await, 2, &settings).await;
    let publisher = world.member("acme", "publisher", 0, &[]).await;
    let (alice, bob) = (world.member("acme", "alice", 0, &["kpi:acme"]).await, world.member("acme", "bob", 1, &["kpi:acme"]).await);
    let (alices, bobs) = (session_of(&alice).await, session_of(&bob).await);
    let alarm = publishes_with(&publisher, "alarm", json!({ "requires_ack": true })).await;
    let plain = publisher.publishes("kpi:acme:sales", "plain").await;
    alice.receives("alarm").await;
    alice.client.ask("ack", json!({ "ids": [alarm] })).await.expect("it is answered");
    bob.receives("plain").await;
    bob.until("it comes again twice", |events| messages(events).find(|message| message.redelivered == 2).cloned()).await;
    for node in &world.nodes {
        let answer = explains(node, &alarm, &alices).await;
        assert_eq!((verdict(&answer), &answer["sessions"][0]["ack"]["state"]), ("written", &json!("acked")), "{answer}");
        let answer = explains(node, &alarm, &bobs).await;
        let ack = json!({ "state": "awaited", "redelivered": 2 });
        assert_eq!((verdict(&answer), &answer["sessions"][0]["ack"]), ("written", &ack), "{answer}");
        assert_eq!(explains(node, &plain, &bobs).await["sessions"][0]["ack"], Value::Null);
    }
    drop(bob);
    eventually("nothing is waited for any more", async || {
        let answer = explains(&world.nodes[0], &alarm, &bobs).await;
        (answer["sessions"][0]["ack"]["state"] == "expired").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_slow_reader_is_behind_with_gets_ahead_and_is_spared_is_told() {
    let world = World::of(2).await;
    let books = Books::default();
    let slow = slow_reader(&world).await;
    let slows = session_of(&slow).await;
    let bob = world.member("acme", "bob", 1, &["kpi:acme"]).await;
    slow.client.stop_reading();
    pour_as("low", &world.redis, &books, "acme", "kpi:acme:sales", "reading", BURST).await;
    assert!(books.settle([&bob]).await.is_clean());
    let fire = publishes_with(&bob, "fire", json!({ "priority": "urgent" })).await;
    bob.receives("fire").await;
    let last = id_of(&bob, &format!("reading-{}", BURST.0 - 1));
    eventually("it is behind", async || (verdict(&explains(&world.nodes[1], &last, &slows).await) == "lagging").then_some(())).await;
    let answer = explains(&world.nodes[1], &fire, &slows).await;
    assert_eq!(verdict(&answer), "waiting", "it is in the queue, before what the session is behind with: {answer}");

    slow.client.read_again();
    slow.receives(&format!("reading-{}", BURST.0 - 1)).await;
    let got = slow.received();
    let spared = (0..BURST.0).map(|number| format!("reading-{number}")).find(|mark| !got.contains(mark)).expect("some gave way");
    for node in &world.nodes {
        let answer = explains(node, &id_of(&bob, &spared), &slows).await;
        assert_eq!(verdict(&answer), "conflated", "{answer}");
        assert!(answer["sessions"][0]["history"].to_string().contains("gave way to later ones"), "{answer}");
    }
    eventually("all is written", async || {
        let verdicts = [explains(&world.nodes[0], &last, &slows).await, explains(&world.nodes[1], &fire, &slows).await];
        verdicts.iter().all(|answer| verdict(answer) == "written").then_some(())
    })
    .await;
}
