//! Collections over several nodes: who writes with the same version, what is lost on the way and sent again, and what a Redis that was
//! restarted leaves of them.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use roomcast_loadtest::{Event, Message};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::gateway::Token;
use crate::support::proxy::Proxy;
use crate::support::publishers::{log_length, rest, try_get};
use crate::support::redis::Redis;
use crate::support::world::{Person, World, messages};

const ROOM: &str = "sync:acme:tasks";

fn write(op: &str, key: &str, value: impl Into<Value>) -> Value {
    json!({ "room": ROOM, "op": op, "key": key, "value": value.into(), "idempotency_key": uuid::Uuid::new_v4() })
}

fn with(mut write: Value, name: &str, value: impl Into<Value>) -> Value {
    write[name] = value.into();
    write
}

/// Sends a write, again and again under its key while connections are lost or Redis is away.
async fn writes(person: &Person, write: &Value) -> Message {
    eventually("the write is answered", async || {
        let answer = person.client.ask("sync:write", write.clone()).await?;
        (answer.data["code"] != "BROKER_UNAVAILABLE").then_some(answer)
    })
    .await
}

fn version(written: &Message) -> u64 {
    assert_eq!(written.event, "sync:written", "{written:?}");
    written.data["version"].as_u64().unwrap()
}

type Items = BTreeMap<String, (u64, Value)>;

fn item(data: &Value) -> (String, (u64, Value)) {
    (data["key"].as_str().unwrap().to_owned(), (data["version"].as_u64().unwrap(), data["value"].clone()))
}

/// What stands in the collection.
async fn reads(person: &Person) -> Items {
    let (mut items, mut cursor) = (Items::new(), Value::Null);
    loop {
        let page = eventually("a page is answered", async || {
            let answer = person.client.ask("sync:subscribe", json!({ "room": ROOM, "cursor": cursor })).await?;
            (answer.event == "sync:snapshot").then_some(answer)
        })
        .await;
        items.extend(page.data["items"].as_array().unwrap().iter().map(item));
        cursor = page.data["cursor"].clone();
        if cursor.is_null() {
            return items;
        }
    }
}

/// The collection as somebody sees it who applies each change that is newer than what is known of its key, on top of `begun`, which was
/// read after the last gap.
fn mirrors(begun: &Items, events: &[Event]) -> Items {
    let (mut items, mut deleted) = (begun.clone(), BTreeMap::<String, u64>::new());
    for change in messages(events) {
        if change.event == "gap" {
            // What was read then is what goes on from here.
            (items, deleted) = (begun.clone(), BTreeMap::new());
        }
        if change.room.as_deref() != Some(ROOM) {
            continue;
        }
        let (key, (version, value)) = item(&change.data);
        let known = items.get(&key).map_or(0, |(version, _)| *version).max(deleted.get(&key).copied().unwrap_or_default());
        if version <= known {
            continue;
        }
        if change.event == "sync:delete" {
            items.remove(&key);
            deleted.insert(key, version);
        } else {
            items.insert(key, (version, value));
        }
    }
    items
}

/// Waits until what somebody saw come is what stands there.
async fn is_in_step(person: &Person, begun: &Items, reader: &Person) {
    let stands = reads(reader).await;
    person.until("the mirror is in step", |events| (mirrors(begun, events) == stands).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_who_write_with_one_version_on_three_nodes_exactly_one_wins() {
    const WRITERS: usize = 6;
    const EACH: usize = 15;
    let world = World::of(3).await;
    let watcher = world.member("acme", "watcher", 2, &[ROOM]).await;
    let mut writers = Vec::new();
    for index in 0..WRITERS {
        writers.push(world.member("acme", &format!("writer{index}"), index % 3, &[]).await);
    }
    let begun = version(&writes(&writers[0], &write("insert", "counter", 0)).await);
    // Everybody counts the same number up, by what they know of it or are told by a conflict.
    let counting = writers.iter().map(|writer| async move {
        let (mut known, mut count, mut conflicts, mut done) = (begun, 0, 0, 0);
        while done < EACH {
            let answer = writes(writer, &with(write("update", "counter", count + 1), "if_version", known)).await;
            if answer.event == "sync:written" {
                (known, count, done) = (version(&answer), count + 1, done + 1);
            } else {
                assert_eq!(answer.data["code"], "CONFLICT", "{answer:?}");
                let (_, (version, value)) = item(&answer.data["current"]);
                (known, count, conflicts) = (version, value.as_u64().unwrap(), conflicts + 1);
            }
        }
        conflicts
    });
    let conflicts: usize = join_all(counting).await.into_iter().sum();
    assert!(conflicts > 0, "nobody met anybody");
    let total = WRITERS * EACH;
    let counts: Vec<u64> = watcher
        .until("every count", |events| {
            let counts: Vec<u64> =
                messages(events).filter(|message| message.room.is_some()).filter_map(|message| message.data["value"].as_u64()).collect();
            (counts.len() > total).then_some(counts)
        })
        .await;
    assert_eq!(counts, (0..=total as u64).collect::<Vec<_>>(), "each count once, in order");
    assert_eq!(log_length(&world.redis, "acme").await, total + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_after_its_node_was_killed_is_written_once() {
    const ITEMS: usize = 120;
    let mut world = World::of(3).await;
    let watcher = world.member("acme", "watcher", 2, &[ROOM]).await;
    let writer = world.member("acme", "writer", 0, &[]).await;
    let mut versions = Vec::new();
    for number in 0..ITEMS {
        // An insert that was carried out before its answer got lost would meet itself, but for its key.
        let insert = write("insert", &format!("k{number:03}"), number);
        if number % 20 == 10 {
            let node = (number / 20) % 2;
            let sending = writes(&writer, &insert);
            let killing = async {
                tokio::task::yield_now().await;
                world.nodes[node].kill();
            };
            let (answer, ()) = tokio::join!(sending, killing);
            versions.push(version(&answer));
            world.nodes[node].restart().await;
        } else {
            versions.push(version(&writes(&writer, &insert).await));
        }
    }
    assert!(versions.is_sorted_by(|earlier, later| earlier < later), "{versions:?}");
    assert_eq!(log_length(&world.redis, "acme").await, ITEMS, "each is logged once");
    let items = reads(&watcher).await;
    assert_eq!(items.values().map(|(version, _)| *version).collect::<Vec<_>>(), versions);
    is_in_step(&watcher, &Items::new(), &writer).await;
    assert!(writer.connections() > 1 && watcher.is_still_connected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_keeps_its_data_goes_on_with_the_versions() {
    let redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let mut world = World::on(redis, 3, &[]).await;
    let watcher = world.member("acme", "watcher", 1, &[ROOM]).await;
    let writer = world.member("acme", "writer", 0, &[]).await;
    for number in 0..20 {
        version(&writes(&writer, &write("put", &format!("k{}", number % 7), number)).await);
    }
    let last = version(&writes(&writer, &write("delete", "k3", Value::Null)).await);
    let before = reads(&writer).await;
    world.redis.kill();
    let refused = watcher.client.ask("sync:write", write("put", "away", 1)).await.unwrap();
    assert_eq!(refused.data["code"], "BROKER_UNAVAILABLE", "{refused:?}");
    let refused = watcher.client.ask("sync:subscribe", json!({ "room": ROOM })).await.unwrap();
    assert_eq!(refused.data["code"], "BROKER_UNAVAILABLE", "{refused:?}");
    world.redis.restart().await;

    assert_eq!(reads(&writer).await, before);
    let conflict = writes(&writer, &with(write("update", "k3", 1), "if_version", last)).await;
    assert_eq!((&conflict.data["current"], &conflict.data["deleted_version"]), (&Value::Null, &json!(last)), "{conflict:?}");
    assert!(version(&writes(&writer, &write("insert", "k3", "again")).await) > last);
    is_in_step(&watcher, &Items::new(), &writer).await;
    assert_eq!(watcher.count("gap"), 0);
    assert!(watcher.is_still_connected() && writer.is_still_connected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_lost_its_data_tells_a_gap_and_no_version_comes_twice() {
    let mut world = World::of(3).await;
    let watcher = world.member("acme", "watcher", 1, &[ROOM]).await;
    let writer = world.member("acme", "writer", 0, &[]).await;
    let mut lost = Vec::new();
    for number in 0..10 {
        lost.push(version(&writes(&writer, &write("put", "k", number)).await));
    }
    is_in_step(&watcher, &Items::new(), &writer).await;
    world.redis.restart_empty(0).await;
    watcher.until("a gap", |events| messages(events).find(|message| message.event == "gap").map(|gap| gap.data["reason"].clone())).await;
    let begun = reads(&watcher).await;
    assert_eq!(begun, Items::new());
    // What was there before is nothing that anybody can write upon.
    for known in &lost {
        let conflict = writes(&writer, &with(write("update", "k", "old"), "if_version", *known)).await;
        assert_eq!(conflict.data["code"], "CONFLICT", "{conflict:?}");
    }
    let fresh = version(&writes(&writer, &write("insert", "k", "new")).await);
    assert!(fresh > lost[9]);
    let conflict = writes(&writer, &with(write("update", "k", "old"), "if_version", lost[0])).await;
    assert_eq!(conflict.data["current"]["version"], fresh, "{conflict:?}");
    is_in_step(&watcher, &begun, &writer).await;
    assert!(watcher.is_still_connected());
}

#[tokio::test]
async fn every_door_writes_to_the_same_collection_and_is_told_the_same_conflicts() {
    let world = World::of(2).await;
    let alice = world.member("acme", "alice", 0, &[ROOM]).await;
    let service = Token::service().mint();
    let body = json!({ "room": ROOM, "op": "insert", "key": "a", "value": 1, "idempotency_key": "r1" });
    let (status, by_rest) = rest(&world.nodes[1], &service, "/api/ws/sync/write", &body).await;
    assert_eq!((status, &by_rest["duplicate"]), (200, &json!(false)), "{by_rest}");
    let (_, again) = rest(&world.nodes[0], &service, "/api/ws/sync/write", &body).await;
    assert_eq!((&again["duplicate"], &again["version"], &again["id"]), (&json!(true), &by_rest["version"], &by_rest["id"]));
    let (status, problem) = rest(&world.nodes[0], &service, "/api/ws/sync/write", &with(body, "idempotency_key", "r2")).await;
    let stands = json!({ "key": "a", "version": by_rest["version"], "value": 1 });
    assert_eq!((status, &problem["code"], &problem["current"]), (409, &json!("CONFLICT"), &stands), "{problem}");

    let call = ["FCALL", "roomcast_sync", "1", "rc:{acme}", ROOM];
    let by_function = |more: &[&str]| -> Vec<String> {
        let answer = world.redis.cli(&[&call[..], more].concat());
        answer.lines().map(str::to_owned).collect()
    };
    let first = by_rest["version"].to_string();
    assert_eq!(by_function(&["update", "a", "value", "2", "if_version", "1"])[..3], ["conflict", &first, "1"]);
    assert_eq!(by_function(&["update", "a", "value", "2", "if_version", &first])[0], "written");

    let by_stream = |fields: &[&str]| world.redis.cli(&[&["XADD", "rc:ingest", "*"], fields].concat());
    by_stream(&["room", ROOM, "op", "insert", "key", "a", "value", "3"]);
    by_stream(&["room", ROOM, "op", "upsert", "key", "a", "value", "3"]);
    by_stream(&["room", ROOM, "event", "sync:insert", "data", "3"]);
    by_stream(&["organization_id", "acme", "table", "tasks", "event", "INSERT", "data", "{\"id\":\"b\"}"]);
    by_stream(&["organization_id", "acme", "table", "tasks", "event", "UPDATE", "new", "{\"id\":\"b\",\"n\":1}", "old", "{\"id\":\"b\"}"]);
    by_stream(&["organization_id", "acme", "table", "tasks", "event", "DELETE", "old", "{\"id\":\"a\"}"]);
    alice.hears("sync:delete").await;
    let (_, change) = rest(
        &world.nodes[1],
        &service,
        "/api/ws/sync/change",
        &json!({
            "type": "database_change", "organization_id": "acme", "table": "tasks", "eventType": "UPDATE", "new": { "id": "c" }
        }),
    )
    .await;
    assert_eq!((&change["room"], &change["key"]), (&json!(ROOM), &json!("c")), "{change}");

    let stands = reads(&alice).await;
    let values: Vec<_> = stands.iter().map(|(key, (_, value))| (key.as_str(), value.clone())).collect();
    assert_eq!(values, [("b", json!({ "id": "b", "n": 1 })), ("c", json!({ "id": "c" }))]);
    is_in_step(&alice, &Items::new(), &alice).await;
    let (status, page) = try_get(world.nodes[1].address, &service, &format!("/api/ws/sync/items?room={ROOM}&cursor=b")).await.unwrap();
    assert_eq!((status, page["items"].as_array().map(Vec::len), &page["next_cursor"]), (200, Some(1), &Value::Null), "{page}");
    let dead = world.redis.cli(&["XRANGE", "rc:ingest:dead", "-", "+"]);
    for reason in
        [&format!("conflict: the item has version {}", version_in_log(&world, "sync:update").await), "op is", "give op, key and value"]
    {
        assert!(dead.contains(reason), "{reason} in {dead}");
    }
    assert_eq!(world.redis.cli(&["XLEN", "rc:ingest:dead"]), "3");
}

/// The version in the first change of its kind.
async fn version_in_log(world: &World, event: &str) -> u64 {
    let log: redis::streams::StreamRangeReply = world.redis.ask(redis::cmd("XRANGE").arg("rc:{acme}:log").arg("-").arg("+")).await;
    let data = log.ids.iter().find(|entry| entry.get::<String>("h").is_some_and(|header| header.contains(event)));
    let data: Value = serde_json::from_str(&data.and_then(|entry| entry.get::<String>("d")).unwrap()).unwrap();
    data["version"].as_u64().unwrap()
}

/// The moment between the write and its acknowledgement cannot be hit from outside, so Redis makes it (as in `once`).
#[tokio::test]
async fn a_consumer_killed_between_write_and_ack_leaves_one_change() {
    let mut world = World::of(1).await;
    // Who is there has the log begun, which takes the right to delete.
    let early = world.member("acme", "early", 0, &[ROOM]).await;
    world.redis.cli(&["ACL", "SETUSER", "default", "-xack", "-xdel"]);
    for number in 0..10 {
        let (op, value) = (if number % 2 == 0 { "insert" } else { "delete" }, number.to_string());
        world.redis.cli(&["XADD", "rc:ingest", "*", "room", ROOM, "op", op, "key", "k", "value", &value]);
    }
    early.hears("sync:insert").await;
    assert_eq!(world.redis.cli(&["XLEN", "rc:ingest"]), "10", "nothing of it could be acknowledged");
    world.nodes[0].kill();
    world.redis.cli(&["ACL", "SETUSER", "default", "+xack", "+xdel"]);
    world.add_node().await;
    eventually("the stream is consumed", async || (world.redis.cli(&["XLEN", "rc:ingest"]) == "0").then_some(())).await;
    let log = world.redis.cli(&["XRANGE", "rc:{acme}:log", "-", "+"]);
    assert_eq!(log_length(&world.redis, "acme").await, 10, "{log}");
    assert_eq!(world.redis.cli(&["EXISTS", "rc:ingest:dead"]), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_read_at_once_cost_redis_a_few_reads() {
    const READERS: usize = 150;
    let world = World::on(Redis::start(&[]).await, 1, &[("LIMITS__CONNECTIONS_PER_ORG_MAX", "200")]).await;
    let mut readers = Vec::new();
    for index in 0..READERS {
        readers.push(world.member("acme", &format!("reader{index}"), 0, &[]).await);
    }
    for number in 0..50 {
        version(&writes(&readers[0], &write("put", &format!("k{number:02}"), number)).await);
    }
    let pages = join_all(readers.iter().map(reads)).await;
    assert!(pages.iter().all(|items| items.len() == 50));
    let metrics = world.nodes[0].probe("/metrics").await.unwrap();
    let reads: usize = metrics.lines().find_map(|line| line.strip_prefix("roomcast_collection_reads_total ")?.parse().ok()).unwrap();
    assert!((1..READERS / 3).contains(&reads), "{reads} reads for {READERS} who asked at once");
}

#[tokio::test]
async fn an_idle_log_expires_and_its_collection_stays() {
    let world = World::on(Redis::start(&[]).await, 1, &[("BROKER__REDIS__IDLE_MAX_S", "1")]).await;
    let service = Token::service().mint();
    let body = json!({ "room": ROOM, "op": "put", "key": "a", "value": 1 });
    let (_, first) = rest(&world.nodes[0], &service, "/api/ws/sync/write", &body).await;
    eventually("the log expires", async || (world.redis.cli(&["EXISTS", "rc:{acme}:log"]) == "0").then_some(())).await;
    let alice = world.member("acme", "alice", 0, &[ROOM]).await;
    let stands = reads(&alice).await;
    assert_eq!(Some(stands["a"].0), first["version"].as_u64());
    assert!(version(&writes(&alice, &write("update", "a", 2)).await) > stands["a"].0);
    is_in_step(&alice, &stands, &alice).await;
}

/// A replica is promoted that lacks the last writes, and others are written there before anybody comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lagging_replica_was_promoted_mirrors_are_told_and_no_version_comes_twice() {
    let primary = Redis::start(&[]).await;
    let replica = Redis::start_replica(primary.port).await;
    let proxy = Proxy::start(primary.port).await;
    let url = proxy.url();
    let world = World::at(primary, &url, 2, &[]).await;
    let watcher = world.member("acme", "watcher", 1, &[ROOM]).await;
    let writer = world.member("acme", "writer", 0, &[]).await;
    let shared = version(&writes(&writer, &write("insert", "a", "shared")).await);
    eventually("the replica has it", async || (replica.cli(&["XLEN", "rc:{acme}:log"]) == "1").then_some(())).await;
    assert_eq!(replica.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    let lost = version(&writes(&writer, &with(write("update", "a", "lost"), "if_version", shared)).await);
    version(&writes(&writer, &write("insert", "b", "lost")).await);
    is_in_step(&watcher, &Items::new(), &writer).await;
    let other = replica.cli(&[
        "FCALL",
        "roomcast_sync",
        "1",
        "rc:{acme}",
        ROOM,
        "update",
        "a",
        "value",
        "\"other\"",
        "if_version",
        &shared.to_string(),
    ]);
    assert!(other.starts_with("written"), "{other}");
    proxy.lead_to(replica.port);

    watcher.until("the fork", |events| messages(events).find(|message| message.event == "gap").map(|gap| gap.data["reason"].clone())).await;
    let begun = reads(&watcher).await;
    assert_eq!(begun.keys().collect::<Vec<_>>(), ["a"], "what was lost is gone with its log");
    assert!(begun["a"].0 > lost && begun["a"].1 == "other", "{begun:?}");
    // Who knows what was lost can do nothing by it.
    let conflict = writes(&writer, &with(write("update", "a", "mine"), "if_version", lost)).await;
    assert_eq!(conflict.data["current"]["value"], "other", "{conflict:?}");
    version(&writes(&writer, &with(write("update", "a", "mine"), "if_version", begun["a"].0)).await);
    is_in_step(&watcher, &begun, &writer).await;
}

#[tokio::test]
async fn a_write_is_charged_to_the_orgs_quota_by_whatever_door() {
    let quota = [("QUOTAS__DEFAULT__PUBLICATIONS_PER_S", "1")];
    let world = World::on(Redis::start(&[]).await, 1, &quota).await;
    let alice = world.member("acme", "alice", 0, &[]).await;
    let (mut done, mut refused) = (0, Value::Null);
    for number in 0..20 {
        let answer = alice.client.ask("sync:write", write("put", "a", number)).await.unwrap();
        if answer.event == "sync:written" {
            done += 1;
        } else {
            refused = answer.data;
            break;
        }
    }
    assert!((1..=4).contains(&done), "{done} writes");
    assert_eq!(refused["code"], "RATE_LIMIT_EXCEEDED", "{refused}");
    assert!(refused["retry_after_ms"].as_u64().is_some_and(|wait_ms| wait_ms > 0), "{refused}");
    let by_function = world.redis.cli(&["FCALL", "roomcast_sync", "1", "rc:{acme}", ROOM, "put", "a", "value", "1"]);
    assert!(by_function.contains("LIMITED publications"), "{by_function}");
    // Entries of the stream wait for their turn, and are carried out.
    for number in 0..3_u8 {
        world.redis.cli(&["XADD", "rc:ingest", "*", "room", ROOM, "op", "put", "key", "late", "value", &number.to_string()]);
    }
    eventually("the last of them", async || (reads(&alice).await.get("late")?.1 == 2).then_some(())).await;
    assert_eq!(world.redis.cli(&["EXISTS", "rc:ingest:dead"]), "0");
}

#[tokio::test]
async fn an_org_whose_collections_are_empty_leaves_nothing_behind() {
    let short = [("BROKER__REDIS__COLLECTIONS__TOMBSTONE_AGE_MAX_S", "1")];
    let world = World::on(Redis::start(&[]).await, 1, &short).await;
    let service = Token::service().mint();
    let kept = || world.redis.cli(&["--scan", "--pattern", "rc:{acme}:sync:*"]).lines().count();
    for op in ["put", "delete", "put"] {
        let body = json!({ "room": ROOM, "op": op, "key": "a", "value": 1 });
        assert_eq!(rest(&world.nodes[0], &service, "/api/ws/sync/write", &body).await.0, 200);
    }
    // What came back keeps what it needs, for longer than deletions are remembered.
    eventually("the deletion is forgotten", async || {
        let body = json!({ "room": ROOM, "op": "update", "key": "b", "value": 1 });
        let (_, problem) = rest(&world.nodes[0], &service, "/api/ws/sync/write", &body).await;
        let age: i64 = world.redis.cli(&["OBJECT", "IDLETIME", "rc:{acme}:sync:order:sync:acme:tasks"]).parse().unwrap();
        (problem["current"].is_null() && age >= 2).then_some(())
    })
    .await;
    assert_eq!(kept(), 4, "items, their order, the tally, and the list of collections");
    let body = json!({ "room": ROOM, "op": "delete", "key": "a" });
    assert_eq!(rest(&world.nodes[0], &service, "/api/ws/sync/write", &body).await.0, 200);
    eventually("all is forgotten", async || (kept() == 0).then_some(())).await;
}
