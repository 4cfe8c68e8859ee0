//! What every broker promises of collections.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast::broker::collections::{Config, WriteError, Written};
use roomcast::broker::{AckLevel, Broker};
use roomcast::protocol::item::{Conflict, Item, ItemKey, ItemValue, NewWrite, Op, Snapshot, collection_room};
use roomcast::protocol::{NewPublication, Position, RoomName};
use serde_json::{Value, json};

use super::{ALL, Ear, data_of, org, publish, syntax};
use crate::support::eventually;
use crate::support::redis::Cluster;

/// Small enough to be reached.
pub fn bounds() -> Config {
    Config {
        collections_max: 3,
        items_max: 20,
        item_bytes_max: 100,
        bytes_max: 1_000,
        tombstones_max: 4,
        page_items_max: 5,
        page_bytes_max: 300,
        ..Config::default()
    }
}

fn room(text: &str) -> RoomName {
    let named = syntax().room(text).unwrap();
    collection_room(text, &syntax(), named.org()).unwrap()
}

fn key(text: &str) -> ItemKey {
    ItemKey::new(text).unwrap()
}

fn write(room_name: &str, op: Op, item: &str, value: &str, if_version: Option<u64>) -> NewWrite {
    NewWrite::new(room(room_name), op, key(item), ItemValue::read(value.into()), if_version).unwrap()
}

async fn written(broker: &dyn Broker, write: &NewWrite) -> Written {
    broker.write(write, AckLevel::Primary).await.unwrap()
}

async fn refused(broker: &dyn Broker, write: &NewWrite) -> WriteError {
    broker.write(write, AckLevel::Primary).await.unwrap_err()
}

async fn items(broker: &dyn Broker, room_name: &str) -> Vec<(String, u64, String)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = broker.items(&room(room_name), after.as_ref()).await.unwrap();
        all.extend(page.items.into_iter().map(|item| (item.key.to_string(), item.version, item.value.as_str().to_owned())));
        after = page.cursor;
        if after.is_none() {
            return all;
        }
    }
}

pub async fn all_promises(broker: &dyn Broker) {
    each_change_is_one_entry_and_its_version_is_above_all_before(broker).await;
    a_conflict_tells_what_stands_there_and_changes_nothing(broker).await;
    to_delete_what_is_not_there_changes_nothing(broker).await;
    a_key_of_a_write_is_carried_out_once(broker).await;
    pages_hold_everything_once_while_others_write(broker).await;
    a_page_is_bounded_in_items_and_bytes_and_holds_one_at_least(broker).await;
    full_is_told_and_room_that_is_made_is_taken(broker).await;
    an_emptied_collection_makes_way_and_a_full_org_says_so(broker).await;
    any_text_and_any_value_comes_back_as_it_was(broker).await;
    nothing_of_one_org_is_seen_in_another(broker).await;
    random_writes_agree_with_a_naive_model(broker).await;
}

/// On a Cluster all keys of a collection lie in the slot of its org's log, and go with it when the slot moves.
pub async fn moves_with_its_log(broker: &dyn Broker, cluster: &Cluster) {
    let name = "sync:moving:tasks";
    let first = written(broker, &write(name, Op::Insert, "a", "1", None)).await;
    written(broker, &write(name, Op::Insert, "b", "1", None)).await;
    written(broker, &write(name, Op::Delete, "b", "", None)).await;
    cluster.move_slot_of("rc:{moving}");
    let update = write(name, Op::Update, "a", "2", Some(first.version)).with_idempotency_key(Some("k".into()));
    let second = eventually("the write follows the slot", || async { broker.write(&update, AckLevel::Primary).await.ok() }).await;
    // A fence tells that another server's history goes on here.
    let (before, after) = (first.position.unwrap(), second.position.unwrap());
    assert!(after.epoch == before.epoch && after.seq >= before.seq + 3, "the log has moved too: {before:?} {after:?}");
    assert_eq!(items(broker, name).await, [("a".to_owned(), second.version, "2".to_owned())]);
    let gone = refused(broker, &write(name, Op::Update, "b", "2", None)).await;
    assert!(matches!(gone, WriteError::Conflict(Conflict { current: None, deleted_version: Some(_) })), "{gone:?}");
}

async fn each_change_is_one_entry_and_its_version_is_above_all_before(broker: &dyn Broker) {
    let org = org("changes");
    let mut ear = Ear::join(broker, &org).await;
    let name = "sync:changes:tasks";
    let empty = broker.items(&room(name), None).await.unwrap();
    assert_eq!((empty.items.len(), empty.cursor, empty.position.seq), (0, None, 0));
    let steps = [
        (Op::Insert, "1", "sync:insert"),
        (Op::Update, "2", "sync:update"),
        (Op::Put, "3", "sync:update"),
        (Op::Delete, "", "sync:delete"),
        (Op::Put, "4", "sync:insert"),
    ];
    let mut last = 0;
    for (op, value, event) in steps {
        let done = written(broker, &write(name, op, "a", value, None)).await;
        assert!(done.version > last && !done.duplicate, "{done:?} after {last}");
        assert!(done.version < 1 << 53, "programs hold numbers as doubles: {}", done.version);
        last = done.version;
        let entry = ear.entry().await;
        assert_eq!(Some(entry.position), done.position);
        let told: Value = serde_json::from_str(&data_of(&entry)).unwrap();
        let mut expected = json!({ "key": "a", "version": last });
        if !value.is_empty() {
            expected["value"] = serde_json::from_str(value).unwrap();
        }
        assert_eq!(told, expected);
        let roomcast::broker::Body::Publication(publication) = &entry.body else { panic!("{entry:?}") };
        assert_eq!((publication.event.as_str(), publication.room.as_str()), (event, name));
        assert_eq!(broker.items(&room(name), None).await.unwrap().position, entry.position);
    }
    assert_eq!(items(broker, name).await, [("a".to_owned(), last, "4".to_owned())]);
    assert_eq!(broker.read(&org, 1, ALL).await.unwrap().entries.len(), steps.len());
}

async fn a_conflict_tells_what_stands_there_and_changes_nothing(broker: &dyn Broker) {
    let name = "sync:conflicts:tasks";
    let never = Conflict { current: None, deleted_version: None };
    assert_eq!(refused(broker, &write(name, Op::Update, "a", "1", None)).await, WriteError::Conflict(never.clone()));
    assert_eq!(refused(broker, &write(name, Op::Put, "a", "1", Some(7))).await, WriteError::Conflict(never.clone()));
    assert_eq!(refused(broker, &write(name, Op::Delete, "a", "", Some(7))).await, WriteError::Conflict(never));
    let first = written(broker, &write(name, Op::Insert, "a", "{\"n\": 1}", None)).await;
    let item = Item { key: key("a"), version: first.version, value: ItemValue::read(b"{\"n\": 1}".to_vec()).unwrap() };
    let stands = WriteError::Conflict(Conflict { current: Some(item), deleted_version: None });
    let other = Some(first.version - 1);
    for asked in [
        write(name, Op::Insert, "a", "2", None),
        write(name, Op::Update, "a", "2", other),
        write(name, Op::Put, "a", "2", other),
        write(name, Op::Delete, "a", "", other),
    ] {
        assert_eq!(refused(broker, &asked).await, stands, "{:?}", asked.op);
    }
    let second = written(broker, &write(name, Op::Update, "a", "2", Some(first.version))).await;
    let gone = written(broker, &write(name, Op::Delete, "a", "", Some(second.version))).await;
    let buried = WriteError::Conflict(Conflict { current: None, deleted_version: Some(gone.version) });
    assert_eq!(refused(broker, &write(name, Op::Update, "a", "3", Some(second.version))).await, buried);
    // Only so many deletions are remembered.
    for number in 0..bounds().tombstones_max {
        let other = format!("other {number}");
        written(broker, &write(name, Op::Insert, &other, "1", None)).await;
        written(broker, &write(name, Op::Delete, &other, "", None)).await;
    }
    let forgotten = WriteError::Conflict(Conflict { current: None, deleted_version: None });
    assert_eq!(refused(broker, &write(name, Op::Update, "a", "3", Some(second.version))).await, forgotten);
    assert_eq!(items(broker, name).await, []);
}

async fn to_delete_what_is_not_there_changes_nothing(broker: &dyn Broker) {
    let name = "sync:nothing:tasks";
    let nothing = |version| Written { key: key("b"), version, position: None, duplicate: false };
    assert_eq!(written(broker, &write(name, Op::Delete, "b", "", None)).await, nothing(0));
    let done = written(broker, &write(name, Op::Insert, "a", "1", None)).await;
    assert_eq!(written(broker, &write(name, Op::Delete, "b", "", None)).await, nothing(done.version));
    assert_eq!(broker.open(&org("nothing")).await.unwrap().last, done.position.unwrap());
}

async fn a_key_of_a_write_is_carried_out_once(broker: &dyn Broker) {
    let name = "sync:keys:tasks";
    let keyed = |write: NewWrite, key: &str| write.with_idempotency_key(Some(key.into()));
    let insert = keyed(write(name, Op::Insert, "a b\nc", "1", None), "k 1");
    let first = written(broker, &insert).await;
    let again = Written { duplicate: true, ..first.clone() };
    assert_eq!(written(broker, &insert).await, again);
    // Whatever is asked under the key, and whatever has become of the item.
    written(broker, &write(name, Op::Update, "a b\nc", "2", None)).await;
    assert_eq!(written(broker, &keyed(write(name, Op::Delete, "z", "", None), "k 1")).await, again);
    assert_eq!(items(broker, name).await[0].2, "2");
    // A refusal uses no key up.
    let update = keyed(write(name, Op::Update, "b", "1", None), "k2");
    refused(broker, &update).await;
    written(broker, &write(name, Op::Insert, "b", "0", None)).await;
    assert!(!written(broker, &update).await.duplicate);
    // Nothing to delete is an answer like any other.
    let delete = keyed(write(name, Op::Delete, "c", "", None), "k3");
    let nothing = written(broker, &delete).await;
    written(broker, &write(name, Op::Insert, "c", "0", None)).await;
    assert_eq!(written(broker, &delete).await, Written { duplicate: true, ..nothing });
    // Keys of publications are others.
    let mut publication = NewPublication::new(room(name), roomcast::protocol::EventName::parse("kpi:update").unwrap(), "1");
    publication.idempotency_key = Some("k 1".into());
    assert!(!publish(broker, &publication).await.duplicate);
}

async fn pages_hold_everything_once_while_others_write(broker: &dyn Broker) {
    let name = "sync:pages:tasks";
    for number in (0..18).rev() {
        written(broker, &write(name, Op::Insert, &format!("k{number:02}"), "1", None)).await;
    }
    let first = broker.items(&room(name), None).await.unwrap();
    assert_eq!(keys(&first), ["k00", "k01", "k02", "k03", "k04"], "in the order of keys");
    assert_eq!(first.cursor, Some(key("k04")));
    // The key that the cursor names goes, one comes before it and one behind it.
    written(broker, &write(name, Op::Delete, "k04", "", None)).await;
    written(broker, &write(name, Op::Insert, "k00a", "1", None)).await;
    written(broker, &write(name, Op::Insert, "k04a", "1", None)).await;
    let second = broker.items(&room(name), first.cursor.as_ref()).await.unwrap();
    assert_eq!(keys(&second), ["k04a", "k05", "k06", "k07", "k08"]);
    assert!(second.position.seq == first.position.seq + 3);
    let third = broker.items(&room(name), second.cursor.as_ref()).await.unwrap();
    let fourth = broker.items(&room(name), third.cursor.as_ref()).await.unwrap();
    assert_eq!((keys(&fourth), fourth.cursor.clone()), (vec!["k14", "k15", "k16", "k17"], None));
    assert_eq!(broker.items(&room(name), Some(&key("zzz"))).await.unwrap().items, []);
}

fn keys(page: &Snapshot) -> Vec<&str> {
    page.items.iter().map(|item| item.key.as_str()).collect()
}

async fn a_page_is_bounded_in_items_and_bytes_and_holds_one_at_least(broker: &dyn Broker) {
    let name = "sync:large:tasks";
    let value = format!("\"{}\"", "x".repeat(88));
    for item in ["a", "b", "c", "d", "e"] {
        written(broker, &write(name, Op::Insert, item, &value, None)).await;
    }
    let page = broker.items(&room(name), None).await.unwrap();
    assert_eq!((keys(&page), page.cursor.clone()), (vec!["a", "b", "c"], Some(key("c"))), "300 bytes");
    assert_eq!(items(broker, name).await.len(), 5);
    let too_large = format!("\"{}\"", "x".repeat(99));
    assert!(matches!(refused(broker, &write(name, Op::Put, "a", &too_large, None)).await, WriteError::Refused(_)));
}

async fn full_is_told_and_room_that_is_made_is_taken(broker: &dyn Broker) {
    let (name, bounds) = ("sync:full:tasks", bounds());
    for number in 0..bounds.items_max {
        written(broker, &write(name, Op::Put, &format!("k{number}"), "1", None)).await;
    }
    assert!(matches!(refused(broker, &write(name, Op::Put, "more", "1", None)).await, WriteError::Full(_)));
    written(broker, &write(name, Op::Put, "k0", "22", None)).await;
    written(broker, &write(name, Op::Delete, "k0", "", None)).await;
    written(broker, &write(name, Op::Put, "more", "1", None)).await;
    let value = format!("\"{}\"", "x".repeat(90));
    let mut filled = 0;
    while broker.write(&write(name, Op::Put, &format!("k{}", filled + 1), &value, None), AckLevel::Primary).await.is_ok() {
        filled += 1;
    }
    let bytes: usize = items(broker, name).await.iter().map(|(key, _, value)| key.len() + value.len()).sum();
    assert!((9..bounds.items_max).contains(&filled) && bytes <= bounds.bytes_max && bytes + 92 > bounds.bytes_max, "{filled}, {bytes}");
    written(broker, &write(name, Op::Put, "k1", "1", None)).await;
    written(broker, &write(name, Op::Put, &format!("k{}", filled + 1), &value, None)).await;
}

async fn an_emptied_collection_makes_way_and_a_full_org_says_so(broker: &dyn Broker) {
    let name = |number: usize| format!("sync:rooms:r{number}");
    for number in 0..bounds().collections_max {
        written(broker, &write(&name(number), Op::Insert, "a", "1", None)).await;
    }
    let insert = write(&name(9), Op::Insert, "a", "1", None);
    assert!(matches!(refused(broker, &insert).await, WriteError::Full(_)));
    assert_eq!(written(broker, &write(&name(9), Op::Delete, "a", "", None)).await.position, None);
    let gone = written(broker, &write(&name(1), Op::Delete, "a", "", None)).await;
    let done = written(broker, &insert).await;
    assert!(done.version > gone.version);
    assert!(matches!(refused(broker, &write(&name(1), Op::Insert, "a", "1", None)).await, WriteError::Full(_)));
    written(broker, &write(&name(0), Op::Delete, "a", "", None)).await;
    assert!(written(broker, &write(&name(1), Op::Insert, "a", "1", None)).await.version > gone.version);
}

async fn any_text_and_any_value_comes_back_as_it_was(broker: &dyn Broker) {
    let name = "sync:texts:tasks:deep";
    let texts = ["é 😀 \"\\/", " ", "\u{0}\n\u{7f}", "inf", "-", "(a", "[a", "+", &"x".repeat(128)];
    let values = ["null", "{\"a\":[1,\n2]}", "\"\\u0000é😀\"", "1e400", " 1 ", "-0.0", "[]", "{}", "12345678901234567890"];
    let mut expected: Vec<_> = texts.iter().zip(values).map(|(text, value)| ((*text).to_owned(), value.trim().to_owned())).collect();
    for (text, value) in &expected {
        let mut ear = Ear::join(broker, &org("texts")).await;
        let done = written(broker, &write(name, Op::Insert, text, value, None)).await;
        let told = data_of(&ear.entry_or_log(broker, &org("texts"), |entry| Some(entry.position) == done.position).await);
        assert!(told.contains(&format!("\"value\":{value}")), "{told}");
        let read: Value = serde_json::from_str(&told.replace("1e400", "0")).unwrap();
        assert_eq!(read["key"], **text);
    }
    expected.sort();
    let read: Vec<_> = items(broker, name).await.into_iter().map(|(key, _, value)| (key, value)).collect();
    assert_eq!(read, expected);
}

async fn nothing_of_one_org_is_seen_in_another(broker: &dyn Broker) {
    let own = written(broker, &write("sync:mine:tasks", Op::Insert, "a", "1", None).with_idempotency_key(Some("k".into()))).await;
    let theirs = written(broker, &write("sync:yours:tasks", Op::Insert, "a", "2", None).with_idempotency_key(Some("k".into()))).await;
    assert!(!own.duplicate && !theirs.duplicate);
    assert_eq!(items(broker, "sync:mine:tasks").await[0].2, "1");
    assert_eq!(items(broker, "sync:yours:tasks").await[0].2, "2");
    assert_eq!(items(broker, "sync:mine:tasks:below").await, [], "a room below is another collection");
}

/// One collection as a map, and the log of its changes.
#[derive(Default)]
struct Model {
    items: BTreeMap<String, (u64, String)>,
    changes: usize,
    last: u64,
}

async fn random_writes_agree_with_a_naive_model(broker: &dyn Broker) {
    let (name, mut rng, mut model) = ("sync:random:tasks", SmallRng::seed_from_u64(7), Model::default());
    let mut versions = vec![1];
    for step in 0..400_usize {
        let op = [Op::Insert, Op::Update, Op::Delete, Op::Put][rng.random_range(0..4)];
        let item = format!("k{}", rng.random_range(0..6));
        let stored = model.items.get(&item).cloned();
        let if_version = match rng.random_range(0..3) {
            0 if op != Op::Insert => stored.as_ref().map(|(version, _)| *version),
            1 if op != Op::Insert => Some(versions[rng.random_range(0..versions.len())]),
            _ => None,
        };
        let value = step.to_string();
        let outcome = broker.write(&write(name, op, &item, &value, if_version), AckLevel::Primary).await;
        let stands = stored.as_ref().map(|(version, _)| *version);
        let is_refused = (if_version.is_some() && if_version != stands)
            || (op == Op::Insert && stored.is_some())
            || (op == Op::Update && stored.is_none());
        match outcome {
            Err(WriteError::Conflict(conflict)) => {
                assert!(is_refused, "step {step}: {op:?} of {stored:?} under {if_version:?} is refused");
                let current = conflict.current.map(|item| (item.version, item.value.as_str().to_owned()));
                assert_eq!(current, stored, "step {step}");
            }
            Ok(done) => {
                assert!(!is_refused, "step {step}: {op:?} of {stored:?} under {if_version:?} is done");
                if op == Op::Delete && stored.is_none() {
                    assert_eq!((done.version, done.position), (model.last, None), "step {step}");
                    continue;
                }
                assert!(done.version > model.last, "step {step}");
                (model.last, model.changes) = (done.version, model.changes + 1);
                versions.push(done.version);
                if op == Op::Delete {
                    model.items.remove(&item);
                } else {
                    model.items.insert(item, (done.version, value));
                }
            }
            Err(other) => panic!("step {step}: {other:?}"),
        }
    }
    let expected: Vec<_> = model.items.into_iter().map(|(key, (version, value))| (key, version, value)).collect();
    assert_eq!(items(broker, name).await, expected);
    let state = broker.open(&org("random")).await.unwrap();
    assert_eq!(usize::try_from(state.last.seq), Ok(model.changes));
    assert_eq!(broker.items(&room(name), None).await.unwrap().position, Position { ..state.last });
}
