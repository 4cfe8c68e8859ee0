//! Who gets in by the dialects' doors: they are closed unless enabled, ask for a good token, and let guests in where that is configured.

use roomcast_loadtest::socket::connect;
use serde_json::json;

use super::api_v2::API_V2;
use super::channels::CHANNELS;
use super::chat::CHAT;
use super::client::Client;
use super::command_center::COMMAND_CENTER;
use super::{ENABLED, Nature};
use crate::support::gateway::{Gateway, Token, unix_s};

/// Those that have no message for credentials.
const BY_ADDRESS: [&Nature; 3] = [&COMMAND_CENTER, &API_V2, &CHANNELS];

#[tokio::test]
async fn no_dialect_is_spoken_unless_it_is_enabled() {
    let node = Gateway::start("n0", &[("DIALECTS__ENABLED", "chat")]).await;
    for nature in BY_ADDRESS {
        let refused = connect(node.address, nature.path).await.err().unwrap().to_string();
        assert!(refused.contains("404"), "{refused}");
    }
    assert!(connect(node.address, CHAT.path).await.is_ok());
}

#[tokio::test]
async fn a_missing_or_expired_token_is_refused_in_the_clients_own_words_and_never_logged() {
    let node = Gateway::start("n0", &[ENABLED, ("TELEMETRY__LOG__FILTER", "info,roomcast=trace")]).await;
    let expired = Token::of("acme", "alice").issued_s_ago(600).lasting_s(60).mint();
    let good = Token::of("acme", "alice").mint();
    for nature in BY_ADDRESS {
        // One that expired may be followed by a fresh one.
        for (token, expected) in [(None, 4_500), (Some("no.token.atall"), 4_500), (Some(expired.as_str()), 4_002)] {
            let client = Client::start(nature, vec![node.address], token, vec![]);
            let (code, reason) = client.is_closed().await;
            assert_eq!((code, reason.contains("AUTH_FAILED")), (expected, true), "{} {token:?} {reason}", nature.path);
            client.hears_type("error").await;
        }
    }
    let client = Client::start(&CHAT, vec![node.address], None, vec![json!({"type": "auth", "token": expired})]);
    assert_eq!(client.hears_type("auth_response").await["payload"]["success"], false);
    assert_eq!(client.is_closed().await.0, 4_002);
    Client::start(&COMMAND_CENTER, vec![node.address], Some(&good), vec![]).hears_type("pong").await;
    let log = node.log();
    for token in [&expired, &good] {
        let signature = token.rsplit('.').next().unwrap();
        assert!(!log.contains(signature), "a token is in the log");
    }
}

#[tokio::test]
async fn a_token_that_ends_on_the_open_connection_ends_it_so_that_the_client_comes_back() {
    let node = Gateway::start("n0", &[ENABLED, ("AUTH__LEEWAY_S", "0")]).await;
    let ending = i64::try_from(unix_s()).unwrap() + 2;
    let client = Client::start(&COMMAND_CENTER, vec![node.address], Some(&Token::of("acme", "alice").expiring_at_s(ending).mint()), vec![]);
    client.hears_type("pong").await;
    assert_eq!(client.is_closed().await.0, 4_002);
    client.is_connected_again(1).await;
}

#[tokio::test]
async fn guests_come_in_where_they_are_granted_something_and_may_still_say_who_they_are() {
    let guests = [
        ("DIALECTS__ANONYMOUS__ORGANIZATION_ID", "public"),
        ("DIALECTS__ANONYMOUS__GRANTS", "subscribe:activity:public,subscribe:chat:public,publish:activity:public"),
    ];
    let node = Gateway::start("n0", &[&[ENABLED][..], &guests].concat()).await;
    let guest = Client::start(&COMMAND_CENTER, vec![node.address], None, vec![]);
    guest.says(json!({"type": "event", "channel": "activity.created", "payload": 1}));
    guest.hears("its own message", |message| message["channel"] == "activity.created").await;
    guest.says(json!({"type": "event", "channel": "kpi.update", "payload": 1}));
    assert_eq!(guest.hears_type("error").await["payload"]["code"], "UNAUTHORIZED");

    let chatting = Client::start(&CHAT, vec![node.address], None, vec![]);
    chatting.hears_type("pong").await;
    assert!(chatting.messages().iter().all(|message| message["type"] != "auth_response"), "nobody asked");
    chatting.says(json!({"type": "auth", "token": "no.good.token"}));
    assert_eq!(chatting.hears_type("auth_response").await["payload"]["success"], false);
    chatting.says(json!({"type": "auth", "token": Token::of("acme", "alice").mint()}));
    let good = chatting.hears("good credentials", |message| message["payload"]["success"] == true).await;
    assert_eq!(good["payload"]["userId"], "alice");
    chatting.says(json!({"type": "chat", "payload": "hi", "clientId": "c"}));
    chatting.hears("its own message, in its own org", |message| message["clientId"] == "c").await;
    assert_eq!(chatting.connections(), 1);
}
