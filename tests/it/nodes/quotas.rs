//! Quotas of orgs as their clients meet them, on two nodes.

use jsonwebtoken::{EncodingKey, Header};
use roomcast_loadtest::{Client, Options, Outcome};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::{SECRET, Token, unix_s};
use crate::support::publishers::rest;
use crate::support::redis::Redis;
use crate::support::world::{Person, World};

/// A user's token that claims quotas for its org.
fn claiming(org: &str, user: &str, quotas: &Value) -> String {
    let rights = ["subscribe", "publish"].map(|right| format!("{right}:*:{org}:**"));
    let claims = json!({ "sub": user, "org": org, "grants": rights, "quotas": quotas, "iat": unix_s(), "exp": unix_s() + 600 });
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// How many of so many publications, sent one after another, are accepted.
async fn accepted(person: &Person, room: &str, count: usize) -> usize {
    let mut accepted = 0;
    for number in 0..count {
        match person.publish(room, &number.to_string()).await {
            Outcome::Acked { .. } => accepted += 1,
            Outcome::Refused(code) => assert_eq!(code, "RATE_LIMIT_EXCEEDED"),
            other @ Outcome::Unknown => panic!("{other:?}"),
        }
    }
    accepted
}

#[tokio::test]
async fn an_org_publishes_as_much_as_its_quota_by_all_doors_and_others_do_not_feel_it() {
    let settings = [("QUOTAS__ORGS", "{ acme = { publications_per_s = 10 } }")];
    let world = World::on(Redis::start(&[]).await, 2, &settings).await;
    eventually("Redis knows the quota", async || (world.redis.cli(&["EXISTS", "rc:{acme}:quota"]) == "1").then_some(())).await;
    let alice = world.member("acme", "alice", 0, &["kpi:acme"]).await;
    let bob = world.member("acme", "bob", 1, &["kpi:acme"]).await;
    let other = world.member("other", "olga", 0, &["kpi:other"]).await;
    let passed = accepted(&alice, "kpi:acme", 100).await + accepted(&bob, "kpi:acme", 100).await;
    assert!((20..120).contains(&passed), "{passed} of 200");
    let publication = json!({ "event": "kpi:update", "target": { "room": "kpi:acme" }, "data": { "mark": "rest" } });
    eventually("REST is refused too", async || {
        let (status, answer) = rest(&world.nodes[0], &Token::service().mint(), "/api/ws/broadcast", &publication).await;
        let is_limited = status == 429 && answer["code"] == "RATE_LIMIT_EXCEEDED" && answer["retry_after_ms"].is_u64();
        is_limited.then_some(())
    })
    .await;
    assert_eq!(accepted(&other, "kpi:other", 100).await, 100);
    let metrics = world.nodes[0].probe("/metrics").await.unwrap();
    assert!(metrics.contains("roomcast_quota_refusals_total{quota=\"publications\"}"), "{metrics}");
    eventually("the next ones pass", async || matches!(alice.publish("kpi:acme", "later").await, Outcome::Acked { .. }).then_some(()))
        .await;
}

#[tokio::test]
async fn sessions_and_subscriptions_of_an_org_are_bounded() {
    let settings = [("QUOTAS__DEFAULT__SESSIONS_MAX", "2"), ("QUOTAS__DEFAULT__SUBSCRIPTIONS_MAX", "3")];
    let world = World::on(Redis::start(&[]).await, 2, &settings).await;
    let alice = world.member("acme", "alice", 0, &["kpi:acme", "chat:acme"]).await;
    let full = Options::new([world.nodes[0].address], Token::of("acme", "bob").mint()).rooms(["kpi:acme", "kpi:acme:a"]);
    let bob = Person::of(Client::start(full), "acme");
    let (code, reason) = bob.is_closed().await;
    assert_eq!((code, &reason["code"]), (4_003, &json!("SUBSCRIPTION_FAILED")), "four subscriptions on the node are one too many");
    drop(bob);
    let carol = world.member("acme", "carol", 1, &["kpi:acme", "kpi:acme:a"]).await;
    eventually("the org has its two sessions", async || {
        let dave = Options::new([world.nodes[1].address], Token::of("acme", "dave").mint());
        let dave = Person::of(Client::start(dave), "acme");
        let (code, reason) = dave.is_closed().await;
        ((code, &reason["code"]) == (4_003, &json!("CONNECTION_LIMIT"))).then_some(())
    })
    .await;
    world.member("other", "olga", 1, &["kpi:other", "chat:other", "kpi:other:a"]).await;
    assert!(alice.is_still_connected() && carol.is_still_connected());
}

#[tokio::test]
async fn a_token_claims_quotas_up_to_the_ceiling() {
    let settings =
        [("AUTH__CLAIMS__QUOTAS", "quotas"), ("QUOTAS__DEFAULT__PUBLICATIONS_PER_S", "5"), ("QUOTAS__CEILING__PUBLICATIONS_PER_S", "50")];
    let world = World::on(Redis::start(&[]).await, 1, &settings).await;
    let meets = async |org: &str, claim: u32| {
        let token = claiming(org, "alice", &json!({ "publications_per_s": claim }));
        Person::meet(org, &[], Options::new([world.nodes[0].address], token)).await
    };
    let modest = meets("modest", 20).await;
    let greedy = meets("greedy", 1_000_000).await;
    for org in ["modest", "greedy"] {
        let key = format!("rc:{{{org}}}:quota");
        eventually("Redis knows the claim", async || (world.redis.cli(&["EXISTS", &key]) == "1").then_some(())).await;
    }
    assert_eq!(world.redis.cli(&["GET", "rc:{modest}:quota"]), "20 0 0 0");
    assert_eq!(world.redis.cli(&["GET", "rc:{greedy}:quota"]), "50 0 0 0");
    assert!(accepted(&modest, "kpi:modest", 40).await >= 40, "two seconds' worth");
    assert!(accepted(&greedy, "kpi:greedy", 400).await < 400);
    let broken = Options::new([world.nodes[0].address], claiming("acme", "eve", &json!({ "publications_per_s": "many" })));
    assert_eq!(Person::of(Client::start(broken), "acme").is_closed().await.0, 4_500);
}
