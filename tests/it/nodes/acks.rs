//! Publications that ask to be acknowledged: sent again until they are, counted over all nodes, told to their publisher once.

use roomcast_loadtest::{Message, Outcome};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::Token;
use crate::support::publishers::try_get;
use crate::support::redis::Redis;
use crate::support::world::{Person, World, messages};

const ROOM: &str = "kpi:acme:sales";

/// Nodes that remind soon, and wait for acknowledgements for so long.
async fn world(nodes: usize, deadline_ms: &str) -> World {
    let settings =
        [("HUB__ACKS__REDELIVERY_MS", "200"), ("HUB__ACKS__SETTLE_AFTER_MS", "500"), ("BROKER__REDIS__RECEIPTS__DEADLINE_MS", deadline_ms)];
    World::on(Redis::start(&[]).await, nodes, &settings).await
}

async fn publish(publisher: &Person, mark: &str) -> String {
    match publisher.client.publish_with(ROOM, "alert:triggered", json!({ "mark": mark }), json!({ "requires_ack": true })).await {
        Outcome::Acked { id: Some(id), .. } => id,
        other => panic!("{other:?}"),
    }
}

/// How many publications the server had waited for.
async fn acks(person: &Person, id: &str) -> u64 {
    let reply = person.client.ask("ack", json!({ "ids": [id] })).await.expect("it is answered");
    assert_eq!(reply.event, "acked", "{reply:?}");
    reply.data["count"].as_u64().unwrap()
}

/// The receipts by which a publisher was told of this publication.
fn receipts(person: &Person, id: &str) -> Vec<Value> {
    let events = person.events();
    messages(&events).filter(|message| message.event == "receipt" && message.data["id"] == id).map(|message| message.data.clone()).collect()
}

async fn is_told(publisher: &Person, id: &str) -> Value {
    publisher
        .until("a receipt", |events| messages(events).find(|message| message.event == "receipt" && message.data["id"] == id).cloned())
        .await
        .data
}

/// What REST says on some node, without what depends on the time.
async fn asked(world: &World, node: usize, id: &str) -> Value {
    let path = format!("/api/ws/messages/{id}/receipts?organization_id=acme");
    let (status, mut answer) = try_get(world.nodes[node].address, &Token::service().mint(), &path).await.expect("the node answers");
    assert_eq!(status, 200, "{answer}");
    answer.as_object_mut().unwrap().remove("deadline");
    answer
}

fn counts(id: &str, [matched, written, acked, expired]: [u64; 4]) -> Value {
    json!({"id": id, "matched": matched, "written": written, "acked": acked, "outstanding": 0, "expired": expired})
}

/// How often a publication came again.
fn again(person: &Person, mark: &str) -> Vec<u32> {
    let events = person.events();
    let came = |message: &&Message| message.data["mark"] == mark && message.redelivered > 0;
    messages(&events).filter(came).map(|message| message.redelivered).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_is_told_once_when_all_on_every_node_have_acknowledged() {
    let world = world(3, "60000").await;
    let publisher = world.member("acme", "publisher", 0, &[]).await;
    let mut readers = Vec::new();
    for node in 0..3 {
        readers.push(world.member("acme", &format!("reader{node}"), node, &["kpi:acme"]).await);
    }
    for mark in ["first", "second"] {
        let id = publish(&publisher, mark).await;
        for reader in &readers {
            assert!(reader.receives(mark).await.data["mark"] == mark);
            assert_eq!(acks(reader, &id).await, 1);
            assert_eq!(acks(reader, &id).await, 0, "once is enough");
        }
        assert_eq!(is_told(&publisher, &id).await, counts(&id, [3, 3, 3, 0]));
        for node in 0..3 {
            let mut expected = counts(&id, [3, 3, 3, 0]);
            expected["success"] = json!(true);
            expected["complete"] = json!(true);
            assert_eq!(asked(&world, node, &id).await, expected);
        }
        assert_eq!(receipts(&publisher, &id).len(), 1);
    }
    assert_eq!(acks(&publisher, &publish(&publisher, "third").await).await, 0, "it did not get what it published");
    let ephemeral = publisher.client.publish_with(ROOM, "kpi:update", json!(1), json!({ "requires_ack": true, "log": false })).await;
    assert_eq!(ephemeral, Outcome::Refused("INVALID_MESSAGE".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_acknowledged_comes_again_but_not_for_ever() {
    let world = world(2, "5000").await;
    let publisher = world.member("acme", "publisher", 0, &[]).await;
    let late = world.member("acme", "late", 0, &["kpi:acme"]).await;
    let never = world.member("acme", "never", 1, &["kpi:acme"]).await;
    let id = publish(&publisher, "alarm").await;
    let plain = publisher.publishes(ROOM, "plain").await;
    late.until("it comes again twice", |events| {
        messages(events).find(|message| message.data["mark"] == "alarm" && message.redelivered == 2).cloned()
    })
    .await;
    assert_eq!(acks(&late, &id).await, 1);
    assert_eq!(is_told(&publisher, &id).await, counts(&id, [2, 2, 1, 1]), "with the deadline the other is given up");
    assert_eq!((again(&late, "alarm"), again(&never, "alarm")), (vec![1, 2], vec![1, 2, 3]));
    for person in [&late, &never] {
        assert_eq!(person.client.position().as_deref(), Some(&*plain), "what comes again moves nobody");
        assert_eq!(person.received().iter().filter(|mark| *mark == "alarm").count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_is_not_waited_for() {
    let world = world(2, "60000").await;
    let publisher = world.member("acme", "publisher", 0, &[]).await;
    let (stays, leaves) = (world.member("acme", "stays", 0, &["kpi:acme"]).await, world.member("acme", "leaves", 1, &["kpi:acme"]).await);
    let id = publish(&publisher, "alarm").await;
    leaves.receives("alarm").await;
    stays.receives("alarm").await;
    assert_eq!(acks(&stays, &id).await, 1);
    leaves.leaves();
    let told = is_told(&publisher, &id).await;
    assert_eq!((&told["matched"], &told["acked"], &told["expired"]), (&json!(2), &json!(1), &json!(1)), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receipt_finds_a_publisher_whose_node_was_killed() {
    let mut world = world(3, "3000").await;
    let publisher = world.member("acme", "publisher", 0, &[]).await;
    let reader = world.member("acme", "reader", 1, &["kpi:acme"]).await;
    let id = publish(&publisher, "alarm").await;
    world.nodes[0].kill();
    reader.receives("alarm").await;
    assert_eq!(acks(&reader, &id).await, 1);
    // The killed node will never say whom it reached, so the deadline ends the waiting; any node then settles it.
    assert_eq!(is_told(&publisher, &id).await, counts(&id, [1, 1, 1, 0]));
    assert!(publisher.connections() > 1, "it had to come back");
    assert_eq!(receipts(&publisher, &id).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_share_of_a_killed_receivers_node_ends_with_the_deadline() {
    let mut world = world(3, "3000").await;
    let publisher = world.member("acme", "publisher", 0, &[]).await;
    let (here, there) = (world.member("acme", "here", 2, &["kpi:acme"]).await, world.member("acme", "there", 1, &["kpi:acme"]).await);
    let id = publish(&publisher, "alarm").await;
    here.receives("alarm").await;
    there.receives("alarm").await;
    assert_eq!(acks(&here, &id).await, 1);
    eventually("both nodes have reported", async || {
        let so_far = asked(&world, 0, &id).await;
        (so_far["matched"] == 2 && so_far["written"] == 2 && so_far["acked"] == 1).then_some(())
    })
    .await;
    world.nodes[1].kill();
    assert_eq!(is_told(&publisher, &id).await, counts(&id, [2, 2, 1, 1]));
    assert_eq!(asked(&world, 2, &id).await["complete"], true);
}
