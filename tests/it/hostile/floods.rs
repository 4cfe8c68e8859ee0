//! Too much of what is allowed: it is bounded for whoever floods, and nobody else notices.

use serde_json::json;

use super::client::{Client, Heard, frame, text};
use super::gateway::token;
use super::stage::Stage;

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
