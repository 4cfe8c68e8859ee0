//! What one node can prove by itself: nodes that say nothing are named. Whole clusters stand on Redis (tests/it/api_cluster.rs).

use super::*;
use crate::broker::ControlMessage;

/// The registry says that there is one more node, which never answers.
async fn node_beside_a_dead_one() -> Node {
    let node = Node::with(Config { scatter_timeout_ms: 20, ..Config::default() });
    let dead = NodeInfo { id: "n2".into(), ..node.parts.node.clone() };
    node.parts.broker.renew(&dead).await.unwrap();
    tokio::spawn(crate::api::cluster::answer_notes(Arc::clone(&node.parts)));
    // The test's runtime has one thread, so the reader is there after its first turn.
    tokio::task::yield_now().await;
    node
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_named() {
    let node = node_beside_a_dead_one().await;
    let client = node.connect("alice", "acme", &["kpi:acme"]).await;
    for path in ["/stats", "/connections", "/rooms"] {
        let answer = node.get(ADMIN, path).await;
        assert_eq!((answer.status, &answer.body["partial"]), (StatusCode::OK, &json!(["n2"])), "{path}");
        assert_eq!(node.get(ADMIN, &format!("{path}?node=n1")).await.body["partial"], Value::Null, "{path}");
    }
    assert_eq!(node.get(ADMIN, "/connections").await.body["total_count"], 1);
    let other = node.get(ADMIN, "/connections?node=n2").await.body;
    assert_eq!((&other["total_count"], &other["partial"]), (&json!(0), &json!(["n2"])));
    assert_eq!(node.get(ADMIN, "/connections?node=n3").await.status, StatusCode::NOT_FOUND);
    // A session that is here is found without asking anybody; one that is not may be on the silent node.
    assert_eq!(node.get(ADMIN, &format!("/connections/{}", client.id)).await.status, StatusCode::OK);
    let missing = node.get(ADMIN, &format!("/connections/{}", uuid::Uuid::nil())).await;
    assert_eq!(missing.code(), (503, "BROKER_UNAVAILABLE"));
    assert!(missing.body["detail"].as_str().unwrap().contains("n2"));
}

#[tokio::test]
async fn notes_that_cannot_be_read_are_counted_and_change_nothing() {
    let node = node_beside_a_dead_one().await;
    let ignored = || metrics_value("roomcast_notes_ignored_total");
    let before = ignored();
    for note in
        ["", "{}", "nonsense", r#"{"v":9,"id":"00000000-0000-0000-0000-000000000000","from":"n2","question":{"stats":{"org":null}}}"#]
    {
        node.parts.broker.send_control(None, ControlMessage(note.into())).await.unwrap();
    }
    eventually("all are counted", || ignored() >= before + 4).await;
    assert_eq!(node.get(ADMIN, "/stats").await.status, StatusCode::OK);
}

fn metrics_value(name: &str) -> u64 {
    let text = crate::telemetry::metrics::render();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
}
