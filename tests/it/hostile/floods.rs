//! Too much of what is allowed: it is bounded for whoever floods, and nobody else notices.

use serde_json::json;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::client::{Client, Heard, frame, request, response_head, text, within};
use super::gateway::token;
use super::stage::Stage;
use crate::support::eventually;

#[tokio::test]
async fn commands_beyond_the_rate_are_refused_with_a_wait_and_never_end_the_session_at_once() {
    let stage = Stage::start(&[]).await;
    let mut client = stage.session().await;
    client.send(&text(r#"{"event":"client:ping"}"#).repeat(600)).await;
    let (mut pongs, mut refused) = (0, 0);
    for _ in 0..600 {
        let message = client.message().await;
        if message["event"] == "client:pong" {
            pongs += 1;
        } else {
            assert_eq!(message["data"]["code"], "RATE_LIMIT_EXCEEDED");
            assert!((1..=1_000).contains(&message["data"]["retry_after_ms"].as_u64().unwrap()), "{message}");
            refused += 1;
        }
    }
    assert!(pongs >= 199 && refused > 100, "{pongs} answered, {refused} refused");
    loop {
        client.command(&json!({"event": "client:ping", "id": "again"})).await;
        if client.answer("again").await["event"] == "client:pong" {
            break;
        }
    }
    stage.end().await;
}

#[tokio::test]
async fn whoever_goes_on_flooding_or_talking_nonsense_is_sent_away() {
    let stage = Stage::start(&[("ROOMCAST_SESSION__INVALID_COMMANDS_MAX", "50")]).await;
    for (message, code, reason) in [("nonsense", 4504, "INVALID_MESSAGE"), (r#"{"event":"client:ping"}"#, 4004, "RATE_LIMIT_EXCEEDED")] {
        let mut client = stage.session().await;
        client.send(&text(message).repeat(5_000)).await;
        assert_eq!(client.closed().await, (code, format!(r#"{{"code":"{reason}"}}"#)));
    }
    stage.end().await;
}

#[tokio::test]
async fn ten_thousand_pings_are_answered_and_cost_nothing() {
    let stage = Stage::start(&[]).await;
    let mut client = stage.session().await;
    for _ in 0..100 {
        client.send(&frame(0x89, &[b'x'; 125]).repeat(100)).await;
        for _ in 0..100 {
            assert_eq!(client.heard().await, Heard::Pong(vec![b'x'; 125]));
        }
    }
    client.assert_alive("after the pings").await;
    stage.end().await;
}

#[tokio::test]
async fn a_flooder_that_does_not_read_is_not_read_from_any_more() {
    let stage = Stage::start(&[("ROOMCAST_SESSION__INVALID_COMMANDS_MAX", "100000000")]).await;
    let mut client = stage.session().await;
    let pings = text(r#"{"event":"client:ping"}"#).repeat(1_000);
    // Its commands are read while the replies have room: then the socket's buffers fill and sending stands still.
    let stuck = async {
        loop {
            if tokio::time::timeout(std::time::Duration::from_secs(1), client.send(&pings)).await.is_err() {
                return;
            }
        }
    };
    super::client::within("the node stops reading", stuck).await;
    stage.end().await;
}

#[tokio::test]
async fn a_thousand_connections_that_come_and_go_leave_nothing() {
    let stage = Stage::start(&[]).await;
    for round in 0..1_000 {
        let client = Client::open(&stage.gateway, "/ws", "").await;
        if round % 2 == 0 {
            client.reset();
        }
    }
    let mut client = stage.session().await;
    client.assert_alive("after a thousand connections").await;
    stage.end().await;
}

#[tokio::test]
async fn subscribing_and_unsubscribing_over_and_over_leaves_nothing() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__COMMANDS_PER_S", "100000"), ("ROOMCAST_LIMITS__COMMANDS_BURST", "100000")]).await;
    let mut client = Client::session(&stage.gateway, &token("mallory", "acme", None)).await;
    for round in 0..50 {
        let rooms: Vec<String> = (0..128).map(|n| format!("kpi:acme:{round}:{n}")).collect();
        client.command(&json!({"event": "subscribe", "id": "s", "data": {"rooms": rooms}})).await;
        assert_eq!(client.answer("s").await["event"], "subscribed", "{round}");
        client.command(&json!({"event": "unsubscribe", "id": "u", "data": {"rooms": rooms}})).await;
        assert_eq!(client.answer("u").await["event"], "unsubscribed", "{round}");
    }
    stage.end().await;
}

#[tokio::test]
async fn sockets_without_credentials_take_their_share_and_no_more() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__CONNECTIONS_PER_NODE_MAX", "40"), ("ROOMCAST_LIMITS__AUTH_TIMEOUT_MS", "6000")]).await;
    let (mut waiting, mut refused) = (Vec::new(), 0);
    for _ in 0..200 {
        let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
        socket.write_all(request("/ws", "").as_bytes()).await.unwrap();
        let head = response_head(&mut socket).await;
        if head.starts_with("HTTP/1.1 101") {
            waiting.push(Client::over(socket));
        } else {
            assert!(head.starts_with("HTTP/1.1 503") && head.to_ascii_lowercase().contains("retry-after"), "{head}");
            refused += 1;
        }
    }
    assert!(waiting.len() <= 20 && refused >= 180, "{} were let in", waiting.len());
    // Whoever brings credentials along still gets in, and a bad token holds no place.
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    for _ in 0..50 {
        let mut forged = Client::open(&stage.gateway, "/ws", &bearer("x.y.z")).await;
        assert_eq!(forged.closed().await.0, 4500);
    }
    let mut honest = Client::open(&stage.gateway, "/ws", &bearer(&token("alice", "acme", None))).await;
    assert_eq!(honest.message().await["event"], "authenticated");
    for client in &mut waiting {
        assert_eq!(client.closed().await.0, 4501);
    }
    drop(waiting);
    eventually("there is room for first commands again", async || {
        let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
        socket.write_all(request("/ws", "").as_bytes()).await.unwrap();
        response_head(&mut socket).await.starts_with("HTTP/1.1 101").then_some(())
    })
    .await;
    honest.assert_alive("beside the flood").await;
    stage.end().await;
}

#[tokio::test]
async fn sockets_that_say_nothing_at_all_end_and_make_room() {
    let limits = [("ROOMCAST_SERVER__CONNECTIONS_MAX", "50"), ("ROOMCAST_SERVER__HEADER_TIMEOUT_MS", "1500")];
    let stage = Stage::start(&limits).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(stage.gateway.address).await.unwrap());
    }
    eventually("a newcomer gets in", async || {
        let mut socket = TcpStream::connect(stage.gateway.address).await.unwrap();
        let _ = socket.write_all(request("/ws", "").as_bytes()).await;
        response_head(&mut socket).await.starts_with("HTTP/1.1 101").then_some(())
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn pings_from_one_who_does_not_read_are_not_answered_for_ever() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__AUTH_TIMEOUT_MS", "600000")]).await;
    for authenticated in [true, false] {
        let mut client = if authenticated { stage.session().await } else { Client::open(&stage.gateway, "/ws", "").await };
        let pings = frame(0x89, &[b'x'; 125]).repeat(1_000);
        let stuck = async { while tokio::time::timeout(std::time::Duration::from_secs(1), client.send(&pings)).await.is_ok() {} };
        within("the node stops reading", stuck).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn pings_alone_do_not_keep_a_connection_without_credentials() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__AUTH_TIMEOUT_MS", "1000")]).await;
    let mut client = Client::open(&stage.gateway, "/ws", "").await;
    let code = loop {
        client.send(&frame(0x89, b"still here")).await;
        match client.heard().await {
            Heard::Pong(_) => {}
            Heard::Close(code, _) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 4501);
    stage.end().await;
}

#[tokio::test]
async fn a_flood_of_subscriptions_is_answered_by_the_rate() {
    let stage = Stage::start(&[("ROOMCAST_SESSION__INVALID_COMMANDS_MAX", "100000")]).await;
    let mut client = stage.session().await;
    let subscribe = |n: usize| text(&json!({"event": "subscribe", "data": {"rooms": [format!("kpi:acme:{n}")]}}).to_string());
    client.send(&(0..1_000).flat_map(subscribe).collect::<Vec<u8>>()).await;
    let (mut subscribed, mut full, mut limited) = (0, 0, 0);
    for _ in 0..1_000 {
        let message = client.message().await;
        match message["data"]["code"].as_str() {
            None => subscribed += 1,
            Some("SUBSCRIPTION_FAILED") => full += 1,
            Some("RATE_LIMIT_EXCEEDED") => limited += 1,
            Some(other) => panic!("{other}"),
        }
    }
    assert!(subscribed == 128 && full > 0 && limited > 500, "{subscribed} subscribed, {full} beyond, {limited} too fast");
    stage.end().await;
}

#[tokio::test]
async fn unfinished_messages_of_strangers_fill_no_memory() {
    let stage = Stage::start(&[("ROOMCAST_LIMITS__AUTH_TIMEOUT_MS", "600000")]).await;
    let begun = &frame(0x81, &vec![b' '; 1 << 20])[..1_000_000];
    let fragments = [frame(0x01, b" "), frame(0x00, &[b' '; 1_024]).repeat(900)].concat();
    let mut strangers = Vec::new();
    for input in [begun, &fragments].repeat(100) {
        let mut client = Client::open(&stage.gateway, "/ws", "").await;
        client.send(input).await;
        assert_eq!(client.closed().await, (1009, r#"{"code":"MESSAGE_TOO_LARGE"}"#.to_owned()));
        strangers.push(client);
    }
    // Whoever is known, or is about to be, may say as much as the configuration allows, be it in one breath.
    let good = token("alice", "acme", Some(&["publish:kpi:acme"]));
    let long = json!({"event": "publish", "id": "p", "data": {"event": "kpi:update", "room": "kpi:acme", "data": "x".repeat(900_000)}});
    let mut client = Client::open(&stage.gateway, "/ws", "").await;
    let authenticate = json!({"event": "authenticate", "data": {"token": good}});
    client.send(&[text(&authenticate.to_string()), text(&long.to_string())].concat()).await;
    assert_eq!(client.answer("p").await["event"], "published");
    stage.end().await;
}
