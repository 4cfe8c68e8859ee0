//! Every limit of the configuration, reached: the stated code, and whoever is within it goes on.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::client::{Client, Heard, request, response_head};
use super::gateway::{Gateway, token};
use super::stage::Stage;
use crate::support::eventually;
use crate::support::redis::Redis;

#[tokio::test]
async fn the_129th_subscription_is_refused_and_the_others_stay() {
    let stage = Stage::start(&[]).await;
    let mut client = stage.session().await;
    let rooms: Vec<String> = (0..128).map(|n| format!("kpi:acme:{n}")).collect();
    client.command(&json!({"event": "subscribe", "id": "128", "data": {"rooms": rooms}})).await;
    assert_eq!(client.answer("128").await["event"], "subscribed");
    client.command(&json!({"event": "subscribe", "id": "129", "data": {"rooms": ["chat:acme"]}})).await;
    assert_eq!(client.answer("129").await["data"]["code"], "SUBSCRIPTION_FAILED");
    client.command(&json!({"event": "subscribe", "id": "again", "data": {"rooms": ["kpi:acme:7"]}})).await;
    assert_eq!(client.answer("again").await["event"], "subscribed", "what it has it may ask for again");
    client.command(&json!({"event": "unsubscribe", "id": "less", "data": {"rooms": ["kpi:acme:7"]}})).await;
    assert_eq!(client.answer("less").await["event"], "unsubscribed");
    client.command(&json!({"event": "subscribe", "id": "room", "data": {"rooms": ["chat:acme"]}})).await;
    assert_eq!(client.answer("room").await["event"], "subscribed");
    stage.end().await;
}

#[tokio::test]
async fn a_full_room_takes_no_further_session_and_others_may_still_come_in() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__MEMBERS_PER_ROOM_MAX", "3")]).await;
    let subscribe = json!({"event": "subscribe", "id": "s", "data": {"rooms": ["kpi:acme:sales"]}});
    let mut inside = Vec::new();
    for _ in 0..3 {
        let mut client = stage.session().await;
        client.command(&subscribe).await;
        assert_eq!(client.answer("s").await["event"], "subscribed");
        inside.push(client);
    }
    let mut client = stage.session().await;
    client.command(&subscribe).await;
    let answer = client.answer("s").await;
    assert_eq!(answer["data"]["code"], "ROOM_FULL");
    assert!(answer["data"]["retry_after_ms"].as_u64().is_some());
    client.assert_alive("outside").await;
    drop(inside.pop());
    eventually("a place comes free", async || {
        client.command(&subscribe).await;
        (client.answer("s").await["event"] == "subscribed").then_some(())
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn first_credentials_for_a_full_room_end_in_a_close_and_not_in_half_a_session() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__MEMBERS_PER_ROOM_MAX", "1")]).await;
    let command = json!({"event": "authenticate", "id": "in", "data": {"token": token("alice", "acme", None), "rooms": ["kpi:acme"]}});
    let mut first = Client::open(&stage.gateway, "/ws", "").await;
    first.command(&command).await;
    assert_eq!(first.answer("in").await["event"], "authenticated");
    let mut second = Client::open(&stage.gateway, "/ws", "").await;
    second.command(&command).await;
    assert_eq!(second.answer("in").await["data"]["code"], "ROOM_FULL");
    assert_eq!(second.closed().await, (4003, r#"{"code":"ROOM_FULL","retry_after_ms":5000}"#.to_owned()));
    first.assert_alive("inside").await;
    stage.end().await;
}

#[tokio::test]
async fn a_full_node_answers_503_and_takes_others_when_there_is_room() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__CONNECTIONS_PER_NODE_MAX", "4")]).await;
    let (first, second) = (stage.session().await, stage.session().await);
    let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
    socket.write_all(request("/ws", "").as_bytes()).await.unwrap();
    let head = response_head(&mut socket).await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 503") && head.contains("retry-after: 5"), "{head}");
    drop((first, second));
    eventually("there is room again", async || {
        let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
        socket.write_all(request("/ws", "").as_bytes()).await.unwrap();
        response_head(&mut socket).await.starts_with("HTTP/1.1 101").then_some(())
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn an_address_that_holds_its_share_of_sockets_gets_no_more() {
    let gateway = Gateway::start(&[("ROOMCAST_SERVER__CONNECTIONS_PER_ADDRESS_MAX", "2")]).await;
    let mut kept = Client::session(&gateway, &token("alice", "acme", None)).await;
    let _second = TcpStream::connect(gateway.address).await.unwrap();
    eventually("the third is refused", async || {
        let mut socket = TcpStream::connect(gateway.address).await.unwrap();
        socket.write_all(request("/ws", "").as_bytes()).await.unwrap();
        response_head(&mut socket).await.starts_with("HTTP/1.1 503").then_some(())
    })
    .await;
    kept.assert_alive("within its share").await;
}

#[tokio::test]
async fn an_org_has_its_number_of_connections_over_the_whole_cluster() {
    let redis = Redis::start(&[]).await;
    let url = redis.url();
    let variables = [
        ("ROOMCAST_BROKER__KIND", "redis"),
        ("ROOMCAST_BROKER__REDIS__URL", url.as_str()),
        ("ROOMCAST_LIMITS__CONNECTIONS_PER_ORG_MAX", "2"),
    ];
    let (mut one, mut two) = (Gateway::start(&variables).await, Gateway::start(&variables).await);
    let token_of = |org: &str| token("alice", org, None);
    let mut first = Client::session(&one, &token_of("acme")).await;
    let mut second = Client::session(&two, &token_of("acme")).await;
    for node in [&one, &two] {
        let mut third = Client::open(node, "/ws", &format!("Authorization: Bearer {}\r\n", token_of("acme"))).await;
        assert_eq!(third.message().await["data"]["code"], "CONNECTION_LIMIT");
        let (code, reason) = third.closed().await;
        assert!(code == 4003 && reason.contains("CONNECTION_LIMIT") && reason.contains("retry_after_ms"), "{code} {reason}");
    }
    let mut fourth = Client::open(&one, "/ws", "").await;
    fourth.command(&json!({"event": "authenticate", "id": "in", "data": {"token": token_of("acme")}})).await;
    assert_eq!(fourth.answer("in").await["data"]["code"], "CONNECTION_LIMIT");
    Client::session(&one, &token_of("other")).await.assert_alive("another org").await;
    first.assert_alive("within the limit").await;
    second.assert_alive("within the limit").await;
    drop(first);
    eventually("the place is free on the other node too", async || {
        let mut client = Client::open(&two, "/ws", &format!("Authorization: Bearer {}\r\n", token_of("acme"))).await;
        (client.message().await["event"] == "authenticated").then_some(())
    })
    .await;
    one.assert_well();
    two.assert_well();
}

#[tokio::test]
async fn connections_without_credentials_end_after_the_auth_timeout_whatever_they_send() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__AUTH_TIMEOUT_MS", "1500")]).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(Client::open(&stage.gateway, "/ws", "").await);
    }
    let mut talking = Client::open(&stage.gateway, "/ws", "").await;
    loop {
        talking.command(&json!({"event": "client:ping"})).await;
        match talking.heard().await {
            Heard::Text(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            Heard::Close(code, _) => break assert_eq!(code, 4501),
            other => panic!("{other:?}"),
        }
    }
    for client in &mut silent {
        assert_eq!(client.closed().await, (4501, r#"{"code":"AUTH_FAILED"}"#.to_owned()));
    }
    stage.end().await;
}

#[tokio::test]
async fn a_client_that_gives_no_sign_of_life_is_let_go() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__PING_INTERVAL_MS", "300"), ("ROOMCAST_LIMITS__STALE_AFTER_MS", "1200")]).await;
    let mut silent = stage.session().await;
    let mut pings = 0;
    let closed = loop {
        match silent.heard().await {
            Heard::Ping(_) => pings += 1,
            Heard::Text(_) => {}
            Heard::Close(code, _) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert!(closed == 4001 && pings > 0, "{closed} after {pings} pings");
    stage.end().await;
}
