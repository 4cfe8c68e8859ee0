//! What a session may do changes while it is open, on every node.

use std::time::{Duration, Instant};

use roomcast_loadtest::{Client, Options};
use serde_json::json;

use crate::support::gateway::Token;
use crate::support::publishers::rest;
use crate::support::redis::Redis;
use crate::support::world::{Person, World};

/// The bound of the promise.
const REVOKED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test]
async fn who_renews_stays_and_who_does_not_is_closed_at_expiry() {
    let world = World::on(Redis::start(&[]).await, 1, &[("SESSION__EXPIRY_WARNING_MS", "2000")]).await;
    let short = |name: &str| Options::new(world.addresses(), Token::of("acme", name).lasting_s(3).mint());
    let alice = Person::meet("acme", &["kpi:acme"], short("alice")).await;
    let bob = Person::meet("acme", &["kpi:acme"], short("bob")).await;
    let warning = alice.hears("token:expiring").await;
    let expires_at = alice.hears("authenticated").await.data["expires_at"].clone();
    assert_eq!(warning.data["expires_at"], expires_at);

    let foreign = alice.client.renew(&Token::of("other", "alice").mint()).await.unwrap();
    assert_eq!((&*foreign.event, &foreign.data["code"]), ("error", &json!("AUTH_FAILED")));
    let renewed = alice.client.renew(&Token::of("acme", "alice").mint()).await.unwrap();
    assert_eq!(renewed.event, "authenticated");
    assert!(renewed.data["expires_at"].as_u64() > expires_at.as_u64());

    let (code, reason) = bob.is_closed().await;
    assert_eq!((code, &reason["code"]), (4_002, &json!("AUTH_FAILED")));
    alice.publishes("kpi:acme", "still here").await;
    alice.receives("still here").await;
    assert!(alice.is_still_connected());
}

#[tokio::test]
async fn narrowed_grants_end_subscriptions_with_a_push() {
    let world = World::of(2).await;
    let alice = world.member("acme", "alice", 0, &["kpi:acme:sales", "backlog:acme"]).await;
    let bob = world.member("acme", "bob", 1, &["*:acme:**"]).await;
    let narrowed = Token::of("acme", "alice").granting(&["subscribe:kpi:acme:**"]).mint();
    let reply = alice.client.renew(&narrowed).await.unwrap();
    assert_eq!(reply.event, "authenticated");
    let push = alice.hears("unsubscribed").await;
    assert_eq!((&push.data["rooms"], &push.data["code"]), (&json!(["backlog:acme"]), &json!("UNAUTHORIZED")));

    bob.publishes("backlog:acme", "not for alice").await;
    bob.publishes("kpi:acme:sales", "for alice").await;
    alice.receives("for alice").await;
    bob.receives("for alice").await;
    assert_eq!(alice.received(), ["for alice"]);
    assert_eq!(bob.received(), ["not for alice", "for alice"]);
    let refused = alice.publish("kpi:acme:sales", "no right any more").await;
    assert_eq!(refused, roomcast_loadtest::Outcome::Refused("UNAUTHORIZED".to_owned()));
}

#[tokio::test]
async fn a_revoked_user_is_closed_on_every_node_within_the_bound() {
    let world = World::of(3).await;
    let token = Token::of("acme", "mallory").mint();
    let mut sessions = Vec::new();
    for node in &world.nodes {
        sessions.push(Person::meet("acme", &["kpi:acme"], Options::new([node.address], token.clone())).await);
    }
    let alice = world.member("acme", "alice", 1, &["kpi:acme"]).await;

    let asked = Instant::now();
    let body = json!({ "organization_id": "acme", "user_id": "mallory" });
    let (status, answer) = rest(&world.nodes[0], &Token::service().mint(), "/api/ws/revoke", &body).await;
    assert_eq!(status, 200, "{answer}");
    for session in &sessions {
        assert_eq!(session.is_closed().await.0, 4_502);
    }
    assert!(asked.elapsed() < REVOKED_WITHIN, "{:?}", asked.elapsed());
    assert!(alice.is_still_connected());

    let again = Client::start(Options::new([world.nodes[2].address], token));
    let again = Person::of(again, "acme");
    assert!((4_500..5_000).contains(&again.is_closed().await.0), "the token is refused from now on");
    assert_eq!(again.count("authenticated"), 0);
}
