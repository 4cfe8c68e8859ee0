//! Who is in a room, over several nodes: users, not sessions; no hole between snapshot and diffs; nobody left behind by a killed
//! node, nobody flickering on a quick reconnect or when Redis loses everything.

mod moving;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use roomcast_loadtest::{Event, Message, Options};
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, Token};
use crate::support::publishers::{rest, try_get};
use crate::support::redis::Redis;
use crate::support::world::{Person, World, messages};
use crate::support::{DEADLINE, eventually, within};

const LOBBY: &str = "chat:acme:lobby";
/// Members of a killed node are gone within this (`presence.lease_ms`).
const LEASE: Duration = Duration::from_secs(10);

/// What a watcher has seen, by the rules of docs/presence.md.
#[derive(Default, Debug, PartialEq)]
struct Seen {
    members: BTreeSet<String>,
    /// Everybody who joined or left, in order: `+alice`, `-alice`.
    course: Vec<String>,
    updates: Vec<Value>,
    version: u64,
}

fn seen(events: &[Event]) -> Seen {
    let mut seen = Seen::default();
    let of_room = messages(events).filter(|message| message.data["room"] == LOBBY);
    for message in of_room {
        let (data, version) = (&message.data, message.data["version"].as_u64().unwrap_or_default());
        match &*message.event {
            "presence:snapshot" => {
                seen.members = users(&data["members"]).collect();
                seen.version = version;
            }
            "presence:diff" => {
                assert_eq!(version, seen.version + 1, "no number is missing");
                seen.version = version;
                for user in data["left"].as_array().unwrap().iter().map(|user| user.as_str().unwrap()) {
                    assert!(seen.members.remove(user), "{user} was there");
                    seen.course.push(format!("-{user}"));
                }
                for user in users(&data["joined"]) {
                    seen.course.push(format!("+{user}"));
                    assert!(seen.members.insert(user), "whoever joins was not there");
                }
                seen.updates.extend(data["updated"].as_array().unwrap().iter().cloned());
            }
            _ => {}
        }
    }
    seen
}

fn users(members: &Value) -> impl Iterator<Item = String> {
    members.as_array().unwrap().iter().map(|member| member["user_id"].as_str().unwrap().to_owned())
}

impl Person {
    async fn is_answered(&self, event: &'static str, data: Value) -> Message {
        let asking = tokio::time::timeout(DEADLINE, self.client.ask(event, data));
        asking.await.unwrap_or_else(|_| panic!("{event} is not answered")).expect("the connection holds")
    }

    async fn says(&self, event: &'static str, data: Value) -> Value {
        let reply = self.is_answered(event, data).await;
        assert_ne!(reply.event, "error", "{event}: {}", reply.data);
        reply.data
    }

    async fn refused(&self, event: &'static str, data: Value) -> String {
        let reply = self.is_answered(event, data).await;
        assert_eq!(reply.event, "error", "{event}: {}", reply.data);
        reply.data["code"].as_str().unwrap().to_owned()
    }

    async fn enters(&self, status: &str) {
        self.says("presence:enter", json!({ "room": LOBBY, "status": status })).await;
    }

    async fn watches(&self) -> Value {
        self.says("presence:watch", json!({ "room": LOBBY })).await
    }

    /// Waits until the watcher sees exactly these.
    async fn sees(&self, expected: &[&str]) -> Seen {
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        self.until(&format!("seeing {expected:?}"), |events| Some(seen(events)).filter(|seen| seen.members == expected)).await
    }

    /// Waits until the watcher has seen exactly this coming and going.
    async fn sees_course(&self, expected: &[&str]) {
        self.until(&format!("the course {expected:?}"), |events| (seen(events).course == expected).then_some(())).await;
    }
}

/// The members as REST tells them.
async fn listed(node: &Gateway, query: &str) -> Value {
    let path = format!("/api/ws/presence?{query}");
    // While Redis is away there is nothing to tell.
    let asking = async || try_get(node.address, &Token::service().mint(), &path).await.filter(|(status, _)| *status == 200);
    eventually("REST tells who is there", asking).await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_sessions_of_a_user_count_once_and_the_one_that_spoke_last_counts() {
    let world = World::of(3).await;
    let watcher = world.member("acme", "watcher", 0, &[]).await;
    assert_eq!(watcher.watches().await["members"], json!([]));
    let (desk, phone) = (world.member("acme", "alice", 1, &[]).await, world.member("acme", "alice", 2, &[]).await);
    desk.enters("online").await;
    watcher.sees(&["alice"]).await;
    phone.says("presence:enter", json!({ "room": "chat:org:acme:dept:lobby", "status": "busy", "state": {"on": "the phone"} })).await;
    let told = |status: &str, state: Value| json!({ "user_id": "alice", "status": status, "state": state });
    let updated = async |what: &str, expected: Value| {
        watcher.until(what, |events| (seen(events).updates.last() == Some(&expected)).then_some(())).await;
    };
    updated("the phone speaks", told("busy", json!({"on": "the phone"}))).await;
    desk.says("presence:update", json!({ "room": LOBBY, "state": [1, 2] })).await;
    updated("the desk speaks", told("online", json!([1, 2]))).await;
    desk.says("presence:leave", json!({ "room": LOBBY })).await;
    updated("the phone is left", told("busy", json!({"on": "the phone"}))).await;
    let bob = world.member("acme", "bob", 1, &[]).await;
    let snapshot = bob.watches().await;
    assert_eq!(snapshot["members"], json!([told("busy", json!({"on": "the phone"}))]));
    let page = listed(&world.nodes[2], &format!("room={LOBBY}")).await;
    assert_eq!(
        (&page["members"][0]["user_id"], &page["members"][0]["sessions"], &page["total_count"]),
        (&json!("alice"), &json!(1), &json!(1))
    );

    phone.says("presence:leave", json!({ "room": LOBBY })).await;
    watcher.sees_course(&["+alice", "-alice"]).await;
    assert_eq!(phone.refused("presence:update", json!({ "room": LOBBY, "status": "away" })).await, "ROOM_NOT_FOUND");
    phone.says("presence:leave", json!({ "room": LOBBY })).await;
    bob.sees(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_on_another_node_was_never_away_for_others() {
    let world = World::of(3).await;
    let watcher = world.member("acme", "watcher", 0, &[]).await;
    watcher.watches().await;
    let alice = world.member("acme", "alice", 1, &[]).await;
    alice.enters("online").await;
    watcher.sees(&["alice"]).await;
    // Moves to another node without a word, and one more time.
    for node in [2, 1] {
        drop(world.member("acme", "alice", node, &[]).await.leaves());
        let again = world.member("acme", "alice", node, &[]).await;
        again.enters("online").await;
        drop(again.leaves());
    }
    let last = world.member("acme", "alice", 2, &[]).await;
    last.enters("online").await;
    drop(alice.leaves());
    // Long enough that every session but the last has ended for good.
    eventually("one session is left", async || {
        let page = listed(&world.nodes[0], &format!("room={LOBBY}")).await;
        (page["members"][0]["sessions"] == 1).then_some(())
    })
    .await;
    watcher.sees_course(&["+alice"]).await;
    drop(last.leaves());
    watcher.sees_course(&["+alice", "-alice"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_killed_node_are_gone_within_the_lease_and_those_who_moved_stay() {
    let mut world = World::of(3).await;
    let watcher = world.member("acme", "watcher", 0, &[]).await;
    watcher.watches().await;
    let options = |node: usize, name: &str| Options::new([world.nodes[node].address], Token::of("acme", name).mint());
    let lost = Person::meet("acme", &[], options(1, "lost")).await;
    let mover = Person::meet("acme", &[], options(1, "mover")).await;
    let other = world.member("acme", "other", 2, &[]).await;
    for person in [&lost, &mover, &other] {
        person.enters("online").await;
    }
    watcher.sees(&["lost", "mover", "other"]).await;
    world.nodes[1].kill();
    let killed = Instant::now();
    let moved = world.member("acme", "mover", 2, &[]).await;
    moved.enters("online").await;
    let seen = within(LEASE * 2, "the lost one is gone", async || {
        let seen = seen(&watcher.events());
        (!seen.members.contains("lost")).then_some(seen)
    })
    .await;
    let took = killed.elapsed();
    println!("members of a killed node were gone after {took:?}");
    assert!(took <= LEASE, "{took:?}");
    assert_eq!(seen.members, ["mover", "other"].map(String::from).into());
    assert_eq!(seen.course, ["+lost", "+mover", "+other", "-lost"]);
    assert_eq!(listed(&world.nodes[2], &format!("room={LOBBY}")).await["total_count"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_shutdown_moves_members_and_nobody_sees_it() {
    let world = World::on(Redis::start(&[]).await, 3, &[("DRAIN__ANNOUNCE_MS", "200"), ("DRAIN__SPREAD_MS", "1000")]).await;
    let watcher = world.member("acme", "watcher", 0, &[]).await;
    watcher.watches().await;
    let people = ["a", "b", "c"].map(|name| world.member("acme", name, 1, &[]));
    let people = futures_util::future::join_all(people).await;
    for person in &people {
        person.enters("online").await;
    }
    watcher.sees(&["a", "b", "c"]).await;
    world.nodes[1].terminate();
    for person in &people {
        eventually("a second session", async || person.is_in_again(1).then_some(())).await;
        person.enters("online").await;
    }
    eventually("nothing is left of the first sessions", async || {
        let page = listed(&world.nodes[2], &format!("room={LOBBY}")).await;
        let sessions = page["members"].as_array().unwrap().iter().map(|member| member["sessions"].as_u64().unwrap());
        (sessions.sum::<u64>() == 3).then_some(())
    })
    .await;
    let seen = watcher.sees(&["a", "b", "c"]).await;
    assert_eq!(seen.course.len(), 3, "{:?}", seen.course);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_comes_back_empty_is_told_again_and_nobody_sees_it() {
    let mut world = World::of(3).await;
    let watcher = world.member("acme", "watcher", 0, &[]).await;
    watcher.watches().await;
    let options = |node: usize, name: &str| Options::new([world.nodes[node].address], Token::of("acme", name).mint());
    let people = [("a", 0), ("b", 1), ("c", 1), ("d", 2)].map(|(name, node)| Person::meet("acme", &[], options(node, name)));
    let people = futures_util::future::join_all(people).await;
    for person in &people {
        person.enters("busy").await;
    }
    watcher.sees(&["a", "b", "c", "d"]).await;
    world.redis.kill();
    eventually("the node knows", async || world.nodes[1].is_degraded().await.then_some(())).await;
    // Whoever leaves meanwhile is told that nobody can be told, and is gone once somebody can.
    assert_eq!(people[2].refused("presence:leave", json!({ "room": LOBBY })).await, "BROKER_UNAVAILABLE");
    assert_eq!(people[1].refused("presence:update", json!({ "room": LOBBY, "status": "away" })).await, "BROKER_UNAVAILABLE");
    world.nodes[2].kill();
    world.redis.restart_empty(0).await;
    eventually("all are told again", async || {
        let page = listed(&world.nodes[1], &format!("room={LOBBY}")).await;
        let users: Vec<String> = users(&page["members"]).collect();
        (users == ["a", "b"]).then_some(())
    })
    .await;
    people[1].says("presence:update", json!({ "room": LOBBY, "status": "away" })).await;
    watcher.until("an update goes on", |events| seen(events).updates.iter().any(|member| member["status"] == "away").then_some(())).await;
    // Nobody can know at once that the node of the last one died meanwhile; past the doubt everybody does.
    let seen = watcher.sees(&["a", "b"]).await;
    assert_eq!(seen.course[..4], ["+a", "+b", "+c", "+d"]);
    assert_eq!(BTreeSet::from_iter(&seen.course[4..]), BTreeSet::from([&"-c".to_owned(), &"-d".to_owned()]));
}

#[tokio::test]
async fn rights_on_presence_are_asked_for_and_end_with_the_token() {
    let world = World::of(2).await;
    let watcher = world.member("acme", "watcher", 0, &[]).await;
    watcher.watches().await;
    let plain = Token::of("acme", "plain").granting(&["subscribe:*:acme:**", "publish:*:acme:**"]).mint();
    let plain = Person::meet("acme", &["chat:acme"], Options::new([world.nodes[1].address], plain)).await;
    for command in ["presence:enter", "presence:watch"] {
        assert_eq!(plain.refused(command, json!({ "room": LOBBY })).await, "UNAUTHORIZED");
    }
    let narrow = |grants: &[&str]| Token::of("acme", "alice").granting(grants).mint();
    let first = narrow(&["presence:chat:acme:**"]);
    let alice = Person::meet("acme", &[], Options::new([world.nodes[1].address], first)).await;
    alice.enters("online").await;
    alice.watches().await;
    watcher.sees(&["alice"]).await;
    assert_eq!(alice.client.renew(&narrow(&["presence:chat:acme:elsewhere"])).await.unwrap().event, "authenticated");
    let ended = alice.hears("presence:ended").await;
    assert_eq!((&ended.data["room"], &ended.data["code"]), (&json!(LOBBY), &json!("UNAUTHORIZED")));
    watcher.sees_course(&["+alice", "-alice"]).await;

    let mallory = world.member("acme", "mallory", 1, &[]).await;
    mallory.enters("online").await;
    watcher.sees(&["mallory"]).await;
    let body = json!({ "organization_id": "acme", "user_id": "mallory" });
    let asked = Instant::now();
    rest(&world.nodes[0], &Token::service().mint(), "/api/ws/revoke", &body).await;
    watcher.sees(&[]).await;
    assert!(asked.elapsed() < Duration::from_secs(4), "whoever is revoked does not linger: {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_large_room_comes_in_parts_and_pages() {
    let world = World::on(Redis::start(&[]).await, 2, &[("PRESENCE__MESSAGE_BYTES_MAX", "4096")]).await;
    let mut people = Vec::new();
    let filling = "x".repeat(900);
    for number in 10..30 {
        let person = world.member("acme", &format!("user{number}"), number % 2, &[]).await;
        person.says("presence:enter", json!({ "room": LOBBY, "state": filling })).await;
        people.push(person);
    }
    let expected: Vec<String> = (10..30).map(|number| format!("user{number}")).collect();
    let names: Vec<&str> = expected.iter().map(String::as_str).collect();
    for person in &people[..2] {
        // Twice: to watch again is no error, and numbers do not mix.
        for _ in 0..2 {
            assert!(person.watches().await["members"].as_array().unwrap().len() < 20);
            person.sees(&names).await;
        }
        let sizes = messages(&person.events()).map(|message| message.data.to_string().len()).max();
        assert!(sizes < Some(5_000), "{sizes:?}");
    }
    let (mut cursor, mut pages) = (String::new(), Vec::new());
    loop {
        let page = listed(&world.nodes[0], &format!("room={LOBBY}&limit=7{cursor}")).await;
        pages.extend(users(&page["members"]));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, expected);
}

#[tokio::test]
async fn rooms_and_sessions_have_their_full_numbers() {
    let settings = [("PRESENCE__MEMBERS_MAX", "2"), ("PRESENCE__ROOMS_PER_SESSION_MAX", "2"), ("PRESENCE__WATCHED_ROOMS_MAX", "3")];
    let world = World::on(Redis::start(&[]).await, 2, &settings).await;
    let people = [("a", 0), ("b", 1), ("c", 0)].map(|(name, node)| world.member("acme", name, node, &[]));
    let people = futures_util::future::join_all(people).await;
    people[0].enters("online").await;
    people[1].enters("online").await;
    assert_eq!(people[2].refused("presence:enter", json!({ "room": LOBBY })).await, "ROOM_FULL");
    people[0].enters("away").await;
    people[0].says("presence:leave", json!({ "room": LOBBY })).await;
    people[2].enters("online").await;
    let room = |name: &str| json!({ "room": format!("chat:acme:{name}") });
    people[1].says("presence:enter", room("second")).await;
    assert_eq!(people[1].refused("presence:enter", room("third")).await, "ROOM_FULL");
    for name in ["second", "third"] {
        people[0].says("presence:watch", room(name)).await;
    }
    assert_eq!(people[0].refused("presence:watch", room("fourth")).await, "ROOM_FULL");
    people[2].says("presence:watch", room("fourth")).await;
    assert_eq!(people[2].refused("presence:watch", room("fifth")).await, "ROOM_FULL", "rooms of the org on the node");
    people[0].says("presence:unwatch", room("third")).await;
    people[2].says("presence:watch", room("fifth")).await;
}
