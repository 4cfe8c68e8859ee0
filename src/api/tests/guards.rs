use super::*;

/// Every route with the scope that it needs.
fn routes() -> Vec<(Method, &'static str, Value, &'static str)> {
    let publication = json!({"event": "kpi:update", "target": {"organization_id": "acme"}, "data": 1});
    let session = "/connections/0193a1f2c0de7a5b8c3d4e5f60718293";
    vec![
        (Method::GET, "/stats", Value::Null, "read"),
        (Method::GET, "/connections", Value::Null, "connections"),
        (Method::GET, session, Value::Null, "connections"),
        (Method::DELETE, session, Value::Null, "connections"),
        (Method::GET, "/rooms", Value::Null, "read"),
        (Method::GET, "/presence?room=kpi:acme:sales", Value::Null, "read"),
        (Method::GET, "/messages/1-1-1/receipts?organization_id=acme", Value::Null, "publish"),
        (Method::GET, "/explain?message=1-1-1&user=alice&organization_id=acme", Value::Null, "connections"),
        (Method::POST, "/broadcast", publication.clone(), "publish"),
        (Method::POST, "/broadcast/kpi", json!({"organization_id": "acme"}), "publish"),
        (Method::POST, "/broadcast/backlog", json!({"organization_id": "acme"}), "publish"),
        (Method::POST, "/broadcast/attendance", json!({"organization_id": "acme"}), "publish"),
        (Method::POST, "/broadcast/alert", json!({"organization_id": "acme"}), "publish"),
        (Method::POST, "/publish/batch", json!({"publications": [publication]}), "publish"),
        (Method::GET, "/log?organization_id=acme", Value::Null, "read"),
        (Method::POST, "/sync/write", json!({"room": "sync:acme:tasks", "op": "put", "key": "a", "value": 1}), "publish"),
        (
            Method::POST,
            "/sync/change",
            json!({"organization_id": "acme", "table": "tasks", "event": "INSERT", "data": {"id": 1}}),
            "publish",
        ),
        (Method::GET, "/sync/items?room=sync:acme:tasks", Value::Null, "read"),
        (Method::POST, "/revoke", json!({"organization_id": "acme"}), "revoke"),
    ]
}

async fn call(node: &Node, method: &Method, path: &str, body: &Value, key: &str) -> Answer {
    let request = request(method.clone(), key, path).header("content-type", "application/json");
    let body = if body.is_null() { String::new() } else { body.to_string() };
    node.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn every_route_needs_its_scope_and_no_other() {
    let node = Node::start();
    for (method, path, body, needed) in routes() {
        for scope in Scope::ALL {
            let answer = call(&node, &method, path, &body, scope.as_str()).await;
            if scope.as_str() == needed || scope == Scope::Admin {
                assert!(answer.status == StatusCode::OK || answer.status == StatusCode::NOT_FOUND, "{method} {path} {}", answer.body);
            } else {
                assert_eq!(answer.code(), (403, "UNAUTHORIZED"), "{method} {path} with {}", scope.as_str());
                assert!(answer.body["detail"].as_str().unwrap().contains(needed));
            }
        }
        let nobody = call(&node, &method, path, &body, "wrong").await;
        assert_eq!(nobody.code(), (401, "AUTH_FAILED"), "{method} {path}");
        assert_eq!(nobody.headers["www-authenticate"], "Bearer realm=\"roomcast\"");
    }
}

#[tokio::test]
async fn every_documented_route_is_in_the_table_of_scopes() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    let mut documented = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let scope = &operation["security"][0]["bearer"][0];
            if scope.is_null() {
                assert!(path.ends_with("/health") || path.ends_with("/openapi.json"), "{path}");
                continue;
            }
            documented += 1;
            let description = operation["description"].as_str().unwrap_or_default();
            let words = description.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(&format!("eeds the scope `{}`", scope.as_str().unwrap())), "{method} {path}: {words}");
            for status in ["400", "401", "403", "413", "429", "500", "503", "504"] {
                assert!(operation["responses"][status]["content"]["application/problem+json"].is_object(), "{method} {path} {status}");
            }
        }
    }
    assert_eq!(documented, routes().len());
}

/// The names of the fields that a documented schema has, whichever of its alternatives is meant.
fn fields(schema: &Value, document: &Value) -> Vec<String> {
    if let Some(path) = schema["$ref"].as_str() {
        return fields(document.pointer(path.trim_start_matches('#')).unwrap(), document);
    }
    let own = schema["properties"].as_object().into_iter().flat_map(|properties| properties.keys().cloned());
    let parts = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|how| schema[how].as_array()).flatten();
    own.chain(parts.flat_map(|part| fields(part, document))).collect()
}

#[tokio::test]
async fn answers_have_the_fields_that_the_document_names() {
    let node = Node::start();
    let document: Value = serde_json::from_str(&document()).unwrap();
    let (mut operations, session) = (std::collections::BTreeSet::new(), node.connect("alice", "acme", &["kpi:acme"]).await.id.to_string());
    let asking = json!({"event": "kpi:update", "target": {"organization_id": "acme"}, "data": 1, "requires_ack": true});
    let published = call(&node, &Method::POST, "/broadcast", &asking, ADMIN).await;
    let message = published.body["id"].as_str().unwrap();
    for (method, path, body, _) in routes() {
        let documented = path.split('?').next().unwrap();
        let documented = match documented.split('/').nth(1) {
            Some("connections") if documented != "/connections" => "/connections/{id}",
            Some("messages") => "/messages/{id}/receipts",
            _ => documented,
        };
        let operation = &document["paths"][format!("/api/ws{documented}")][method.as_str().to_lowercase()];
        assert!(operations.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
        let path = path.replace("0193a1f2c0de7a5b8c3d4e5f60718293", &session).replace("/messages/1-1-1/", &format!("/messages/{message}/"));
        let answer = call(&node, &method, &path, &body, ADMIN).await;
        assert_eq!(answer.status, StatusCode::OK, "{method} {path}: {}", answer.body);
        let known = fields(&operation["responses"]["200"]["content"]["application/json"]["schema"], &document);
        for (name, value) in answer.body.as_object().unwrap() {
            assert!(known.contains(name), "{method} {path}: {name} is not among {known:?}");
            assert!(name != "success" || value == &json!(true), "{method} {path}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn credentials_for_one_org_reach_nothing_of_another() {
    let node = Node::start();
    let eve = node.connect("eve", "other", &["kpi:other"]).await;
    let session = format!("/connections/{}", eve.id);
    let publication = |target: Value| json!({"event": "kpi:update", "target": target, "data": 1});
    for (method, path, body, status) in [
        (Method::GET, "/stats?organization_id=other", Value::Null, 403),
        (Method::GET, "/connections?organization_id=other", Value::Null, 403),
        (Method::GET, session.as_str(), Value::Null, 404),
        (Method::DELETE, session.as_str(), Value::Null, 404),
        (Method::GET, "/rooms?organization_id=other", Value::Null, 403),
        (Method::GET, "/explain?message=1-1-1&user=eve&organization_id=other", Value::Null, 403),
        (Method::GET, "/explain?message=1-1-1", Value::Null, 400),
        (Method::GET, "/explain?message=1-1-1&user=eve&session=0193a1f2c0de7a5b8c3d4e5f60718293", Value::Null, 400),
        (Method::GET, "/log?organization_id=other", Value::Null, 403),
        (Method::GET, "/log?room=kpi:other", Value::Null, 403),
        (Method::GET, "/log?organization_id=acme&room=kpi:other", Value::Null, 400),
        (Method::POST, "/broadcast", publication(json!({"organization_id": "other"})), 403),
        (Method::POST, "/broadcast", publication(json!({"room": "kpi:other"})), 403),
        (Method::POST, "/broadcast", publication(json!({"room": "user:other:eve"})), 403),
        (Method::POST, "/broadcast", publication(json!({"organization_id": "acme", "room": "kpi:other"})), 400),
        (Method::POST, "/broadcast", publication(json!({"all_organizations": true})), 403),
        (Method::POST, "/broadcast", publication(json!({"session_ids": [eve.id.to_string()]})), 200),
        (Method::POST, "/broadcast/kpi", json!({"organization_id": "other"}), 403),
        (Method::POST, "/revoke", json!({"organization_id": "other"}), 403),
        (Method::POST, "/revoke", json!({"organization_id": "other", "user_id": "eve"}), 403),
        (Method::POST, "/revoke", json!({"session_id": eve.id.to_string()}), 404),
        (Method::POST, "/revoke", json!({"token_id": "token-of-eve"}), 403),
    ] {
        let answer = call(&node, &method, path, &body, ACME).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path} {body}: {}", answer.body);
    }
    assert_eq!(node.get(ACME, "/connections").await.body["total_count"], 0);
    assert_eq!(node.get(ACME, "/stats").await.body["stats"]["active_connections"], 0);
    assert_eq!(node.get("read", "/log?organization_id=other").await.body["messages"], json!([]));
    assert!(!eve.queue.is_closed() && eve.queue.close_asked().is_none() && !eve.received().contains("kpi:update"));
}

#[tokio::test]
async fn a_publish_scope_for_all_orgs_is_not_enough_for_all_at_once() {
    let node = Node::start();
    let body = json!({"event": "system:broadcast", "target": {"all_organizations": true}, "data": 1});
    assert_eq!(node.post("publish", "/broadcast", body).await.code(), (403, "UNAUTHORIZED"));
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let node = Node::with(Config { body_bytes_max: 1_000, ..Config::default() });
    let post = |kind: &'static str, body: String| {
        node.send(request(Method::POST, "publish", "/broadcast").header("content-type", kind).body(body.into()).unwrap())
    };
    let deep = format!("{{\"event\":\"kpi:update\",\"data\":{}{}}}", "[".repeat(70), "]".repeat(70));
    let answers = [
        (post("application/json", "{".into()).await, 400, "INVALID_MESSAGE"),
        (post("application/json", "[]".into()).await, 400, "INVALID_MESSAGE"),
        (post("application/json", r#"{"event":"kpi:update","event":"kpi:update","data":1}"#.into()).await, 400, "INVALID_MESSAGE"),
        (post("application/json", deep).await, 400, "INVALID_MESSAGE"),
        (post("text/plain", "{}".into()).await, 415, "INVALID_MESSAGE"),
        (post("application/json", "x".repeat(1_001)).await, 413, "MESSAGE_TOO_LARGE"),
        (node.get("read", "/nothing/here").await, 404, "INVALID_MESSAGE"),
        (node.post("read", "/stats", json!({})).await, 405, "INVALID_MESSAGE"),
        (node.get("read", "/stats?unknown=1").await, 400, "INVALID_MESSAGE"),
        (node.get("read", "/rooms?limit=x").await, 400, "INVALID_MESSAGE"),
    ];
    let count = answers.len() as u64;
    for (answer, status, code) in answers {
        assert_eq!(answer.code(), (status, code), "{}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.body["status"], status);
        assert!(answer.body["title"].is_string() && answer.body["detail"].is_string());
    }
    assert_eq!(node.parts.counters.read(crate::clock::unix_us()).errors, count);
}

#[tokio::test]
async fn panics_and_slow_handlers_are_problems_too() {
    let node = Node::with(Config { request_timeout_ms: 20, scatter_timeout_ms: 10, ..Config::default() });
    let api = Arc::new(Api { parts: Arc::clone(&node.parts), rates: rate::Rates::new(Rate::default()) });
    let router = Router::new()
        .route("/panic", axum::routing::get(async || -> () { panic!("a defect, for the test") }))
        .route("/slow", axum::routing::get(std::future::pending::<()>));
    let router = layers::around(router, &api, None).with_state(api);
    for (path, status, code) in [("/panic", 500, "INTERNAL_ERROR"), ("/slow", 504, "BROKER_UNAVAILABLE")] {
        let answer = Node::ask(router.clone(), Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.code(), (status, code));
        assert!(!answer.body.to_string().contains("a defect, for the test"));
    }
}

#[tokio::test]
async fn a_caller_that_asks_too_often_is_told_when_to_come_back() {
    let node = Node::with(Config { requests_per_s: 1, requests_burst: 2, ..Config::default() });
    assert!(node.get("read", "/rooms").await.status.is_success() && node.get("read", "/rooms").await.status.is_success());
    let answer = node.get("read", "/rooms").await;
    assert_eq!(answer.code(), (429, "RATE_LIMIT_EXCEEDED"));
    assert_eq!(answer.headers["retry-after"], "1");
    assert!((1..=1_000).contains(&answer.body["retry_after_ms"].as_u64().unwrap()));
    assert!(node.get(ADMIN, "/rooms").await.status.is_success());
}

#[tokio::test]
async fn only_configured_origins_may_call() {
    let node = Node::with(Config { allowed_origins: vec!["https://app.example".into()], ..Config::default() });
    let preflight = async |origin: &str| {
        let request = Request::options("/api/ws/broadcast").header("origin", origin).header("access-control-request-method", "POST");
        node.send(request.body(Body::empty()).unwrap()).await.headers.get("access-control-allow-origin").cloned()
    };
    assert_eq!(preflight("https://app.example").await.unwrap(), "https://app.example");
    assert_eq!(preflight("https://evil.example").await, None);
    let request = request(Method::GET, "wrong", "/stats").header("origin", "https://app.example");
    let refused = node.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((refused.status.as_u16(), &refused.headers["access-control-allow-origin"]), (401, &"https://app.example".parse().unwrap()));
    let closed = Node::start();
    let request = Request::get("/api/ws/health").header("origin", "https://app.example").body(Body::empty()).unwrap();
    assert!(!closed.send(request).await.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn probes_tell_the_phases_of_a_node() {
    let node = Node::start();
    let fresh = Arc::new(Parts {
        node: node.parts.node.clone(),
        config: Config::default(),
        hub: Arc::clone(&node.parts.hub),
        broker: Arc::clone(&node.parts.broker),
        registry: Arc::default(),
        revoking: Arc::clone(&node.parts.revoking),
        rules: Arc::clone(&node.parts.rules),
        authenticator: Arc::clone(&node.parts.authenticator),
        counters: Arc::default(),
        http_sessions: Arc::clone(&node.parts.http_sessions),
        cluster: Cluster::default(),
        phase: Arc::default(),
        started: Instant::now(),
    });
    let probe = async |path: &str| {
        let answer = Node::ask(internal_router(Arc::clone(&fresh)), Request::get(path).body(Body::empty()).unwrap()).await;
        (answer.status.as_u16(), answer.body["status"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(probe("/livez").await, (200, "alive".into()));
    assert_eq!((probe("/startupz").await, probe("/readyz").await), ((503, "starting".into()), (503, "starting".into())));
    fresh.phase.note_started();
    assert_eq!((probe("/startupz").await, probe("/readyz").await), ((200, "started".into()), (200, "ready".into())));
    fresh.phase.note_draining();
    assert_eq!((probe("/livez").await, probe("/readyz").await), ((200, "alive".into()), (503, "draining".into())));
    let metrics = node.internal("/metrics").await;
    assert_eq!(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(metrics.body.as_str().unwrap().contains("roomcast_build_info"));
    let health = node.get("", "/health").await;
    assert_eq!((health.status, &health.body["status"]), (StatusCode::OK, &json!("ready")));
    let openapi = node.get("", "/openapi.json").await;
    assert_eq!(
        (openapi.headers["content-type"].as_bytes(), &openapi.body["info"]["title"]),
        (&b"application/json"[..], &json!("roomcast"))
    );
}
