use super::*;

const ROOM: &str = "sync:acme:tasks";

fn write(op: &str, key: &str, value: &Value) -> Value {
    json!({"room": ROOM, "op": op, "key": key, "value": value})
}

#[tokio::test]
async fn a_node_without_redis_keeps_collections_that_rest_writes_and_sessions_follow() {
    let node = Node::start();
    let alice = node.connect("alice", "acme", &[ROOM]).await;
    let first = node.post("publish", "/sync/write", write("insert", "a", &json!({"n": null}))).await;
    assert_eq!((first.status, &first.body["room"], &first.body["key"]), (StatusCode::OK, &json!(ROOM), &json!("a")), "{}", first.body);
    let version = first.body["version"].as_u64().unwrap();
    alice.receives(&format!(r#""data":{{"key":"a","version":{version},"value":{{"n":null}}}}"#)).await;

    let conflict = node.post("publish", "/sync/write", write("insert", "a", &json!(2))).await;
    assert_eq!(conflict.code(), (409, "CONFLICT"));
    assert_eq!(conflict.body["current"], json!({"key": "a", "version": version, "value": {"n": null}}));
    let none = node.post("publish", "/sync/write", write("update", "b", &json!(2))).await;
    assert_eq!((none.code(), &none.body["current"]), ((409, "CONFLICT"), &Value::Null));
    assert!(none.body.as_object().unwrap().contains_key("current"), "{}", none.body);
    let log = node.get("read", "/log?organization_id=acme").await.body;
    assert!(!log["messages"][0].as_object().unwrap().contains_key("current"), "only conflicts tell an item");

    let nothing = node.post("publish", "/sync/write", json!({"room": ROOM, "op": "delete", "key": "b"})).await;
    assert_eq!((&nothing.body["id"], &nothing.body["version"]), (&Value::Null, &json!(version)));
    let mut keyed = write("put", "b", &json!(1));
    keyed["idempotency_key"] = "k".into();
    keyed["ack"] = "replica".into();
    let (once, again) = (node.post("publish", "/sync/write", keyed.clone()).await, node.post("publish", "/sync/write", keyed).await);
    assert_eq!((&again.body["version"], &again.body["duplicate"]), (&once.body["version"], &json!(true)));
}

#[tokio::test]
async fn a_changed_row_is_put_or_deleted_and_pages_show_what_is_left() {
    let node = Node::start();
    let change = |event: &str, row: &Value| json!({"organization_id": "acme", "table": "tasks", "event": event, "data": row});
    for id in 1..=3 {
        let answer = node.post("publish", "/sync/change", change("UPDATE", &json!({"id": id}))).await;
        assert_eq!((answer.status, &answer.body["key"]), (StatusCode::OK, &json!(id.to_string())), "{}", answer.body);
    }
    // Callers of one org need not name it.
    let own = json!({"type": "database_change", "table": "tasks", "eventType": "DELETE", "old": {"id": 2}, "primary_key": ["id"]});
    assert_eq!(node.post(ACME, "/sync/change", own).await.status, StatusCode::OK);
    let foreign = json!({"organization_id": "other", "table": "tasks", "event": "INSERT", "data": {"id": 1}});
    assert_eq!(node.post(ACME, "/sync/change", foreign).await.code(), (403, "UNAUTHORIZED"));

    let page = node.get("read", &format!("/sync/items?room={ROOM}")).await.body;
    let keys: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["key"].as_str().unwrap()).collect();
    assert_eq!((keys, &page["next_cursor"]), (vec!["1", "3"], &Value::Null));
    let rest = node.get("read", &format!("/sync/items?room={ROOM}&cursor=1")).await.body;
    assert_eq!(rest["items"][0]["value"], json!({"id": 3}));
    let log = node.get("read", "/log?organization_id=acme").await.body;
    assert_eq!(page["position"], log["next"], "every change up to the log's end is in the page");
    assert_eq!(node.get(ACME, "/sync/items?room=sync:other:tasks").await.code(), (403, "UNAUTHORIZED"));
    assert_eq!(node.get(ACME, "/sync/items?room=kpi:acme").await.code(), (400, "INVALID_ROOM"));
}
