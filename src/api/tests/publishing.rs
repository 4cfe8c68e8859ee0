use super::*;

#[tokio::test]
async fn a_publication_reaches_whom_its_target_names() {
    let node = Node::start();
    let (alice, bob) = (node.connect("alice", "acme", &["kpi:acme:sales"]).await, node.connect("bob", "acme", &[]).await);
    let other = node.connect("eve", "other", &["kpi:other"]).await;
    let broadcast = |target: Value, data: &'static str| {
        node.post("publish", "/broadcast", json!({"event": "kpi:update", "target": target, "data": data}))
    };

    let answer = broadcast(json!({"organization_id": "acme", "department_id": "sales", "queue_name": "support"}), "to-queue").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!((&answer.body["room"], &answer.body["duplicate"]), (&json!("kpi:acme:sales:support"), &json!(false)));
    alice.receives("to-queue").await;
    broadcast(json!({"organization_id": "acme", "user_id": "bob"}), "to-bob").await;
    bob.receives("to-bob").await;
    broadcast(json!({"organization_id": "acme", "session_ids": [alice.id.to_string()]}), "to-session").await;
    alice.receives("to-session").await;
    let everyone =
        node.post(ADMIN, "/broadcast", json!({"event": "system:broadcast", "target": {"all_organizations": true}, "data": "to-all"})).await;
    assert_eq!((&everyone.body["success"], &everyone.body["organizations"]), (&json!(true), &json!(2)));
    for client in [&alice, &bob, &other] {
        client.receives("to-all").await;
    }
    assert!(!bob.received().contains("to-session") && !other.received().contains("to-"));
}

#[tokio::test]
async fn options_reach_the_log_and_a_key_is_logged_once() {
    let node = Node::start();
    let body = json!({"event": "kpi:update", "target": {"room": "kpi:acme"}, "data": {"a": [1, null]}, "priority": "high", "cascade": true,
        "requires_ack": true, "idempotency_key": "k1", "ttl_ms": 60_000, "headers": {"h": "v"}, "ack": "replica"});
    let first = node.post("publish", "/broadcast", body.clone()).await;
    let again = node.post("publish", "/broadcast", body).await;
    assert_eq!((&first.body["id"], &again.body["duplicate"]), (&again.body["id"], &json!(true)));
    let log = node.get("read", "/log?organization_id=acme").await.body;
    let messages = log["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1);
    let expected = json!({"event": "kpi:update", "room": "kpi:acme", "id": first.body["id"], "ts": messages[0]["ts"], "data": {"a": [1, null]},
        "priority": "high", "headers": {"h": "v"}, "cascade": true, "requires_ack": true});
    assert_eq!(messages[0], expected);
    let ephemeral =
        node.post("publish", "/broadcast", json!({"event": "kpi:update", "target": {"room": "kpi:acme"}, "data": 1, "log": false})).await;
    assert_eq!((&ephemeral.body["success"], &ephemeral.body["id"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn shortcuts_publish_the_payload_whole() {
    let node = Node::start();
    for (path, room, event) in [
        ("/broadcast/kpi", "kpi:acme:sales:_q", "kpi:update"),
        ("/broadcast/backlog", "backlog:acme:sales:_q", "backlog:update"),
        ("/broadcast/attendance", "attendance:acme:sales:_q", "attendance:update"),
        ("/broadcast/alert", "alerts:acme:sales:_q", "alert:triggered"),
    ] {
        let payload =
            json!({"organization_id": "acme", "department_id": "sales", "queue_name": "_q", "value": {"deep": 1}, "priority": "p1"});
        let answer = node.post("publish", &format!("{path}?priority=low"), payload.clone()).await;
        assert_eq!(answer.body["room"], room, "{}", answer.body);
        let log = node.get("read", &format!("/log?room={room}")).await.body;
        let message = &log["messages"][0];
        assert_eq!((&message["event"], &message["data"], &message["priority"]), (&json!(event), &payload, &json!("low")));
        let foreign = node.post("publish", path, json!({"organization_id": "acme", "event": "system:broadcast"})).await;
        assert_eq!(foreign.code(), (400, "INVALID_MESSAGE"));
    }
    let named = node.post(ACME, "/broadcast/alert", json!({"event": "alert:resolved"})).await;
    assert_eq!(named.body["room"], "alerts:acme", "{}", named.body);
}

#[tokio::test]
async fn a_batch_gives_each_publication_its_outcome() {
    let node = Node::with(Config { batch_max: 4, ..Config::default() });
    let good = |room: &str, data: u32| json!({"event": "kpi:update", "target": {"room": room}, "data": data});
    let publications = json!([good("kpi:acme", 1), {"event": "nope"}, good("kpi:other", 2), good("kpi:acme", 3)]);
    let answer = node.post(ACME, "/publish/batch", json!({"publications": publications})).await;
    assert_eq!((&answer.body["accepted"], &answer.body["failed"], &answer.body["success"]), (&json!(2), &json!(2), &json!(false)));
    let results = answer.body["results"].as_array().unwrap();
    assert_eq!(results[0]["room"], "kpi:acme");
    assert_eq!((&results[1]["code"], &results[2]["code"]), (&json!("INVALID_MESSAGE"), &json!("UNAUTHORIZED")));
    let log = node.get("read", "/log?organization_id=acme").await.body;
    let data: Vec<_> = log["messages"].as_array().unwrap().iter().map(|message| message["data"].clone()).collect();
    assert_eq!(data, [json!(1), json!(3)]);
    for wrong in [json!([]), json!(vec![good("kpi:acme", 1); 5])] {
        assert_eq!(node.post(ADMIN, "/publish/batch", json!({"publications": wrong})).await.code(), (400, "INVALID_MESSAGE"));
    }
    let all = json!({"publications": [{"event": "kpi:update", "data": 1, "target": {"all_organizations": true}}]});
    assert_eq!(node.post(ADMIN, "/publish/batch", all).await.body["results"][0]["code"], "INVALID_MESSAGE");
}

#[tokio::test]
async fn what_is_no_publication_is_refused_with_its_code() {
    let node = Node::start();
    let with = |change: Value| {
        let mut body = json!({"event": "kpi:update", "target": {"organization_id": "acme"}, "data": 1});
        change.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        body
    };
    for (change, code) in [
        (json!({"event": "kpi:delete"}), "INVALID_MESSAGE"),
        (json!({"event": 1}), "INVALID_MESSAGE"),
        (json!({"more": 1}), "INVALID_MESSAGE"),
        (json!({"target": {"organisation": "acme"}}), "INVALID_MESSAGE"),
        (json!({"target": {}}), "INVALID_MESSAGE"),
        (json!({"target": {"room": "nope:acme"}}), "INVALID_ROOM"),
        (json!({"target": {"organization_id": "a b"}}), "INVALID_ROOM"),
        (json!({"priority": "highest"}), "INVALID_MESSAGE"),
        (json!({"idempotency_key": ""}), "INVALID_MESSAGE"),
        (json!({"headers": {"h": "x".repeat(5_000)}}), "INVALID_MESSAGE"),
        (json!({"headers": {"h": 1}}), "INVALID_MESSAGE"),
        (json!({"ack": "all"}), "INVALID_MESSAGE"),
    ] {
        let answer = node.post("publish", "/broadcast", with(change.clone())).await;
        assert_eq!(answer.code(), (400, code), "{change}");
    }
    assert_eq!(node.get("read", "/log?organization_id=acme").await.body["messages"], json!([]));
}

#[tokio::test]
async fn the_trace_of_the_request_travels_with_the_publication() {
    let node = Node::start();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request =
        request(Method::POST, "publish", "/broadcast").header("content-type", "application/json").header("traceparent", traceparent);
    let body = json!({"event": "kpi:update", "target": {"room": "kpi:acme"}, "data": 1}).to_string();
    node.send(request.body(body.into()).unwrap()).await;
    let log = node.get("read", "/log?organization_id=acme").await.body;
    assert_eq!(log["messages"][0]["headers"]["traceparent"], traceparent);
}
