//! Revocations take effect on every node, whatever becomes of Redis meanwhile.

use std::time::{Duration, Instant};

use roomcast_loadtest::{Client, Options};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::{Gateway, Token, unix_s};
use crate::support::proxy::Proxy;
use crate::support::publishers::rest;
use crate::support::redis::Redis;
use crate::support::world::{Person, World, goodbye, messages};

/// The bound of the promise, counted from when Redis can be reached.
const WITHIN: Duration = Duration::from_secs(5);
const ROOMS: &[&str] = &["kpi:acme"];

/// One session of everybody on every node: somebody for each way to revoke, and a bystander.
struct Town {
    revoked: Vec<Vec<Person>>,
    bystanders: Vec<Person>,
    /// What to ask for, in the order of `revoked`; sessions are asked for one by one.
    requests: Vec<Vec<Value>>,
    tokens: Vec<String>,
}

impl Town {
    async fn of(world: &World) -> Self {
        let tokens = [
            Token::of("acme", "mallory").mint(),
            Token::of("acme", "carol").named("jti-of-carol").mint(),
            Token::of("rogue", "everyone").mint(),
            Token::of("acme", "dave").mint(),
        ];
        let (mut revoked, mut bystanders) = (Vec::new(), Vec::new());
        for token in &tokens {
            revoked.push(on_every_node(world, token).await);
        }
        bystanders.extend(on_every_node(world, &Token::of("acme", "alice").mint()).await);
        let mut sessions = Vec::new();
        for dave in &revoked[3] {
            sessions.push(json!({ "session_id": dave.hears("authenticated").await.data["session_id"] }));
        }
        let requests = vec![
            vec![json!({ "organization_id": "acme", "user_id": "mallory" })],
            vec![json!({ "token_id": "jti-of-carol" })],
            vec![json!({ "organization_id": "rogue" })],
            sessions,
        ];
        Self { revoked, bystanders, requests, tokens: tokens.to_vec() }
    }

    /// Asks `node` for everything; each must be answered with this status.
    async fn ask(&self, node: &Gateway, status: u16) {
        for request in self.requests.iter().flatten() {
            let (answered, answer) = rest(node, &Token::service().mint(), "/api/ws/revoke", request).await;
            assert_eq!((answered, &answer["pending"]), (status, &json!(status == 202)), "{request}: {answer}");
        }
    }

    /// Waits until everybody's session on this node is closed.
    async fn is_closed_on(&self, node: usize) {
        for sessions in &self.revoked {
            assert_eq!(sessions[node].is_closed().await.0, 4_502);
        }
    }

    fn is_open_on(&self, node: usize) -> bool {
        self.revoked.iter().all(|sessions| sessions[node].is_still_connected())
    }

    fn bystanders_noticed_nothing(&self) -> bool {
        self.bystanders.iter().all(Person::is_still_connected)
    }

    /// All tokens but that of the revoked sessions, which may open another.
    async fn is_kept_out_of(&self, node: &Gateway) {
        for token in &self.tokens[..3] {
            let again = Person::of(Client::start(Options::new([node.address], token.clone())), "acme");
            assert!((4_500..5_000).contains(&again.is_closed().await.0), "the token is refused");
            assert_eq!(again.count("authenticated"), 0);
        }
    }
}

async fn on_every_node(world: &World, token: &str) -> Vec<Person> {
    let mut people = Vec::new();
    for node in &world.nodes {
        people.push(Person::meet("acme", &[], Options::new([node.address], token.to_owned())).await);
    }
    people
}

#[tokio::test]
async fn users_tokens_orgs_and_sessions_end_on_every_node_within_the_bound() {
    let world = World::of(3).await;
    let town = Town::of(&world).await;
    let asked = Instant::now();
    town.ask(&world.nodes[0], 200).await;
    for node in 0..3 {
        town.is_closed_on(node).await;
    }
    assert!(asked.elapsed() < WITHIN, "{:?}", asked.elapsed());
    for node in &world.nodes {
        town.is_kept_out_of(node).await;
    }
    assert!(town.bystanders_noticed_nothing());
}

#[tokio::test]
async fn what_is_revoked_while_redis_is_dead_ends_here_at_once_and_elsewhere_when_it_is_back() {
    let mut world = World::of(3).await;
    let town = Town::of(&world).await;
    world.redis.kill();
    town.ask(&world.nodes[0], 202).await;
    town.is_closed_on(0).await;
    assert!(town.is_open_on(1) && town.is_open_on(2), "no other node can know yet");
    // Tokens name whole seconds, so the next one counts as later.
    let asked_s = unix_s();
    eventually("the next second", async || (unix_s() > asked_s).then_some(())).await;
    let fresh = Token::of("acme", "mallory").mint();
    let pending = world.nodes[0].probe("/metrics").await.unwrap();
    assert!(pending.contains("roomcast_revocations_pending 6"), "{pending}");

    // Without its data: what waited is all that Redis will know.
    world.redis.restart().await;
    let back = Instant::now();
    for node in 1..3 {
        town.is_closed_on(node).await;
    }
    assert!(back.elapsed() < WITHIN, "{:?}", back.elapsed());
    for node in &world.nodes {
        eventually("the node is ready", async || node.is_ready().await.then_some(())).await;
        town.is_kept_out_of(node).await;
    }
    // It holds from when it was asked for, not from when it could be written.
    on_every_node(&world, &fresh).await;
    assert!(town.bystanders_noticed_nothing());
}

#[tokio::test]
async fn what_is_revoked_while_redis_hangs_ends_everywhere_when_it_goes_on() {
    let world = World::of(3).await;
    let mallory = on_every_node(&world, &Token::of("acme", "mallory").mint()).await;
    world.redis.freeze();
    let user = json!({ "organization_id": "acme", "user_id": "mallory" });
    let (status, answer) = rest(&world.nodes[0], &Token::service().mint(), "/api/ws/revoke", &user).await;
    assert_eq!((status, &answer["pending"]), (202, &json!(true)), "{answer}");
    assert_eq!(mallory[0].is_closed().await.0, 4_502);
    world.redis.thaw();
    let back = Instant::now();
    for session in &mallory {
        assert_eq!(session.is_closed().await.0, 4_502);
    }
    assert!(back.elapsed() < WITHIN, "{:?}", back.elapsed());
}

#[tokio::test]
async fn a_node_that_was_cut_off_learns_what_was_revoked_meanwhile() {
    let mut world = World::of(2).await;
    let proxy = Proxy::start(world.redis.port).await;
    world.add_node_at(&proxy.url()).await;
    let town = Town::of(&world).await;
    proxy.hold();
    town.ask(&world.nodes[0], 200).await;
    town.is_closed_on(1).await;
    assert!(town.is_open_on(2));
    proxy.reset();
    let back = Instant::now();
    town.is_closed_on(2).await;
    assert!(back.elapsed() < WITHIN, "{:?}", back.elapsed());
    assert!(town.bystanders_noticed_nothing());
}

#[tokio::test]
async fn revocations_outlive_a_redis_that_lost_its_data() {
    let mut world = World::of(2).await;
    let town = Town::of(&world).await;
    town.ask(&world.nodes[0], 200).await;
    for node in 0..2 {
        town.is_closed_on(node).await;
    }
    world.redis.restart_empty(0).await;
    // Only from Redis can a node know that starts now.
    eventually("the nodes write back what they remember", async || {
        let count: Option<usize> = world.redis.try_ask(redis::cmd("XLEN").arg("rc:revocations")).await;
        (count? >= 3 + 2).then_some(())
    })
    .await;
    world.add_node().await;
    town.is_kept_out_of(&world.nodes[2]).await;
    assert!(town.bystanders_noticed_nothing());
}

#[tokio::test]
async fn a_node_without_the_broker_lets_nobody_in_once_it_has_not_read_for_too_long() {
    let mut world = World::on(Redis::start(&[]).await, 1, &[("SESSION__REVOCATIONS_UNREAD_MAX_MS", "1500")]).await;
    let token = Token::of("acme", "alice").mint();
    let alice = Person::meet("acme", ROOMS, Options::new([world.nodes[0].address], token.clone())).await;
    world.redis.kill();
    eventually("newcomers are sent away", async || {
        let late = Person::of(Client::start(Options::new([world.nodes[0].address], token.clone())), "acme");
        let (code, reason) = late
            .until("an answer", |events| {
                let said = messages(events).any(|message| message.event == "authenticated");
                if said { Some((0, Value::Null)) } else { events.iter().find_map(goodbye) }
            })
            .await;
        ((code, &reason["code"]) == (4_005, &json!("BROKER_UNAVAILABLE"))).then_some(())
    })
    .await;
    assert!(alice.is_still_connected(), "who is in stays");
    world.redis.restart().await;
    eventually("everybody may come in again", async || {
        let late = Person::of(Client::start(Options::new([world.nodes[0].address], token.clone())), "acme");
        tokio::time::timeout(Duration::from_secs(2), late.hears("authenticated")).await.ok().map(|_| ())
    })
    .await;
}
