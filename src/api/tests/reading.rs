use super::*;

async fn publish(node: &Node, room: &str, data: u32) -> String {
    let answer = node.post("publish", "/broadcast", json!({"event": "kpi:update", "target": {"room": room}, "data": data})).await;
    answer.body["id"].as_str().unwrap().to_owned()
}

fn data_of(log: &Value) -> Vec<u64> {
    log["messages"].as_array().unwrap().iter().map(|message| message["data"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn the_log_is_read_page_by_page_and_goes_on_later() {
    let node = Node::start();
    assert_eq!(node.get("read", "/log?organization_id=acme").await.body["next"], Value::Null);
    for data in 0..5 {
        publish(&node, if data % 2 == 0 { "kpi:acme:a" } else { "kpi:acme:b" }, data).await;
    }
    let (mut seen, mut since) = (Vec::new(), String::new());
    for end in [false, false, true] {
        let log = node.get("read", &format!("/log?organization_id=acme&limit=2{since}")).await.body;
        seen.extend(data_of(&log));
        assert_eq!((&log["end"], &log["gaps"]), (&json!(end), &json!([])), "{log}");
        since = format!("&since={}", log["next"].as_str().unwrap());
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
    let log = node.get("read", &format!("/log?organization_id=acme{since}")).await.body;
    assert_eq!((data_of(&log), &log["end"]), (vec![], &json!(true)));
    publish(&node, "kpi:acme", 5).await;
    assert_eq!(data_of(&node.get("read", &format!("/log?organization_id=acme{since}")).await.body), [5]);
    assert_eq!(data_of(&node.get("read", "/log?room=kpi:acme:b").await.body), [1, 3]);
    assert_eq!(data_of(&node.get("read", "/log?room=kpi:acme:*").await.body), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_room_filter_shows_what_subscribers_of_the_room_got() {
    let node = Node::start();
    for (data, (target, cascade)) in [
        (json!({"room": "kpi:acme"}), false),
        (json!({"room": "kpi:acme"}), true),
        (json!({"room": "org:acme"}), false),
        (json!({"room": "org:acme"}), true),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"event": "kpi:update", "target": target, "data": data, "cascade": cascade});
        assert_eq!(node.post("publish", "/broadcast", body).await.status, StatusCode::OK);
    }
    assert_eq!(data_of(&node.get("read", "/log?room=kpi:acme:sales").await.body), [1, 3]);
    assert_eq!(data_of(&node.get("read", "/log?organization_id=acme").await.body), [0, 1, 2, 3]);
}

#[tokio::test]
async fn what_the_log_no_longer_holds_is_told_as_a_gap() {
    let node = Node::start();
    let first = publish(&node, "kpi:acme", 0).await;
    for data in 1..30 {
        publish(&node, "kpi:acme", data).await;
    }
    // The broker of these tests keeps 20 entries.
    let log = node.get("read", &format!("/log?organization_id=acme&since={first}")).await.body;
    assert_eq!((&log["gaps"][0]["reason"], &log["gaps"][0]["from"]), (&json!("trimmed"), &json!(first)));
    assert_eq!(data_of(&log), (10..30).collect::<Vec<_>>());
    let last: Vec<String> = log["next"].as_str().unwrap().split('-').map(str::to_owned).collect();
    for (since, reason) in [
        (format!("1-{}-{}", last[1], last[2]), "log_lost"),
        (format!("{}-{}-1", last[0], last[1]), "fork"),
        (format!("{}-ffff-{}", last[0], last[2]), "fork"),
    ] {
        let log = node.get("read", &format!("/log?organization_id=acme&since={since}")).await.body;
        assert_eq!(log["gaps"][0]["reason"], reason, "{since}");
        assert_eq!(log["gaps"].as_array().unwrap().len(), 1);
    }
    let log = node.get("read", "/log?organization_id=acme&since=nonsense").await;
    assert_eq!(log.code(), (400, "INVALID_MESSAGE"));
}

#[tokio::test]
async fn connections_are_listed_filtered_paged_and_shown() {
    let node = Node::start();
    let mut ids = Vec::new();
    for (user, org) in [("alice", "acme"), ("bob", "acme"), ("alice", "other")] {
        ids.push(node.connect(user, org, &[&format!("kpi:{org}:sales")]).await.id.to_string());
    }
    let list = node.get("connections", "/connections?limit=2").await.body;
    assert_eq!((&list["total_count"], &list["next_cursor"]), (&json!(3), &json!(ids[1])));
    let connection = &list["connections"][0];
    assert_eq!(
        (&connection["socket_id"], &connection["user_id"], &connection["organization_id"], &connection["status"]),
        (&json!(ids[0]), &json!("alice"), &json!("acme"), &json!("connected"))
    );
    assert_eq!(connection["subscriptions"], json!(["org:acme", "user:acme:alice", "kpi:acme:sales"]));
    assert!(connection["connected_at"].as_str().unwrap().ends_with('Z') && connection["last_activity_at"].is_string());
    let rest = node.get("connections", &format!("/connections?limit=2&cursor={}", ids[1])).await.body;
    assert_eq!((&rest["connections"][0]["socket_id"], &rest["next_cursor"]), (&json!(ids[2]), &Value::Null));
    for (query, count) in [("organization_id=acme", 2), ("user_id=alice", 2), ("organization_id=acme&user_id=alice", 1), ("node=n1", 3)] {
        assert_eq!(node.get("connections", &format!("/connections?{query}")).await.body["total_count"], count, "{query}");
    }
    let shown = node.get("connections", &format!("/connections/{}", ids[1])).await;
    assert_eq!(shown.body["connection"]["user_id"], "bob");
    for (query, status) in [
        ("?limit=0", 400),
        ("?limit=1001", 400),
        ("?cursor=x", 400),
        ("?node=n9", 404),
        ("/x", 400),
        (&format!("/{}", uuid::Uuid::nil()), 404),
    ] {
        assert_eq!(node.get("connections", &format!("/connections{query}")).await.code(), (status, "INVALID_MESSAGE"), "{query}");
    }
}

#[tokio::test]
async fn a_session_can_be_disconnected() {
    let node = Node::start();
    let client = node.connect("alice", "acme", &[]).await;
    let path = format!("/connections/{}", client.id);
    let answer = node.send(request(Method::DELETE, ACME, &path).body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status, &answer.body["socket_id"]), (StatusCode::OK, &json!(client.id.to_string())));
    assert_eq!(client.queue.close_asked().unwrap().code, crate::protocol::CloseCode::Disconnected);
}

#[tokio::test]
async fn rooms_are_counted_and_paged() {
    let node = Node::start();
    node.connect("alice", "acme", &["kpi:acme", "kpi:acme:sales:q"]).await;
    node.connect("bob", "acme", &["kpi:acme", "kpi:acme:*:q"]).await;
    node.connect("eve", "other", &["kpi:other:d"]).await;
    let (mut rooms, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = node.get("read", &format!("/rooms?limit=3{cursor}")).await.body;
        rooms.extend(page["rooms"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let room = |room: &str, kind: &str, org: &str, sessions: u64| json!({"room": room, "type": kind, "organization_id": org, "sessions": sessions});
    let expected = [
        room("kpi:acme", "org", "acme", 2),
        room("kpi:acme:*:q", "queue", "acme", 1),
        room("kpi:acme:sales:q", "queue", "acme", 1),
        room("kpi:other:d", "dept", "other", 1),
    ];
    assert_eq!(rooms, expected);
    let own = node.get(ACME, "/rooms").await.body;
    assert_eq!(own["rooms"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn statistics_have_the_documented_shape() {
    let node = Node::start();
    node.connect("alice", "acme", &["kpi:acme", "kpi:acme:sales:q"]).await;
    node.connect("eve", "other", &["kpi:other:d"]).await;
    let now_us = crate::clock::unix_us();
    node.parts.counters.delivered("kpi:update", 4, now_us - 2_000, now_us);
    node.get("read", "/nowhere").await;
    let answer = node.get("read", "/stats").await.body;
    let expected = json!({"success": true, "stats": {
        "active_connections": 2, "connections_by_org": {"acme": 1, "other": 1}, "active_rooms": 3,
        "rooms_by_type": {"org": 1, "dept": 1, "queue": 1}, "total_messages": 4, "messages_per_second": answer["stats"]["messages_per_second"],
        "messages_by_event": {"kpi:update": 4}, "average_latency_ms": 2.0, "max_latency_ms": 2.0, "error_count": 1,
        "uptime_seconds": answer["stats"]["uptime_seconds"],
    }});
    assert_eq!(answer, expected);
    let own = node.get(ACME, "/stats").await.body;
    assert_eq!((&own["stats"]["connections_by_org"], &own["stats"]["active_rooms"]), (&json!({"acme": 1}), &json!(2)));
    assert_eq!((&own["stats"]["total_messages"], &own["stats"]["error_count"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn revoking_closes_sessions_and_refuses_tokens() {
    let node = Node::start();
    let (alice, bob) = (node.connect("alice", "acme", &[]).await, node.connect("bob", "acme", &[]).await);
    let (carol, dave) = (node.connect("carol", "acme", &[]).await, node.connect("dave", "other", &[]).await);
    let service = node.token("alice", Some("acme"), &[Scope::Read]);
    assert_eq!(node.get(&service, "/rooms").await.status, StatusCode::OK);
    let clients = [&alice, &bob, &carol, &dave];
    for (index, (key, body)) in [
        (ACME, json!({"user_id": "alice"})),
        (ACME, json!({"session_id": bob.id.to_string()})),
        ("revoke", json!({"token_id": "token-of-carol"})),
        ("revoke", json!({"organization_id": "other"})),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = node.post(key, "/revoke", body.clone()).await;
        assert_eq!(answer.body["success"], true, "{body} {}", answer.body);
        assert!(answer.body["revoked_at_ms"].as_u64().unwrap() > 0);
        for (other, client) in clients.iter().enumerate() {
            let close = client.queue.close_asked().map(|close| close.code);
            assert_eq!(close, (other <= index).then_some(crate::protocol::CloseCode::Revoked), "{body}");
        }
    }
    assert_eq!(node.get(&service, "/rooms").await.code(), (401, "AUTH_FAILED"));
    for body in [json!({}), json!({"user_id": "a", "token_id": "t"}), json!({"token_id": ""}), json!({"sub": "a"})] {
        assert_eq!(node.post("revoke", "/revoke", body).await.code(), (400, "INVALID_MESSAGE"));
    }
    let gone = json!({"session_id": uuid::Uuid::nil()});
    assert_eq!(node.post("revoke", "/revoke", gone).await.status, StatusCode::NOT_FOUND);
}
