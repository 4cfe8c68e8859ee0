//! What hubs tell of rooms over either broker: the same, whatever was trimmed meanwhile, and what the log holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use roomcast::auth::{GrantList, Principal};
use roomcast::broker::{AckLevel, Body, Broker, PageLimit};
use roomcast::hub::latest::Wish;
use roomcast::hub::{Config, Hub, Limits};

use super::{ALL, org, publication, syntax};

fn hub(broker: &Arc<dyn Broker>) -> Hub {
    // Pages so short that a log is read by many.
    let config = Config { page_entries_max: 40, ..Config::default() };
    let limits = Limits { subscriptions_max: 8, room_members_max: 8 };
    Hub::new(config, limits, Arc::clone(broker), Arc::default(), 1)
}

fn wish(name: &str) -> Wish {
    let (org, pattern) = (org(name), syntax().pattern(&format!("kpi:{name}")).unwrap());
    let grants = GrantList::read(None, &[format!("history:*:{name}:**")], &org, &syntax()).unwrap();
    let principal = Principal::new("alice", &org, u64::MAX).unwrap().with_grants(grants);
    let live = principal.grant_subscribe(pattern.clone()).unwrap();
    Wish::new(principal.grant_history(pattern).unwrap(), &live)
}

/// What a node tells: the data by position, as text.
async fn told(hub: &Hub, name: &str) -> Vec<String> {
    let (latest, _) = hub.latest().ask(&org(name), vec![wish(name)]).await.unwrap();
    assert!(latest.complete);
    latest.publications.iter().map(|shown| serde_json::to_string(shown).unwrap()).collect()
}

/// What the log holds, read from its beginning.
async fn naive(broker: &dyn Broker, name: &str) -> Vec<String> {
    let (mut rooms, mut from_seq) = (BTreeMap::new(), 0);
    loop {
        let page = broker.read(&org(name), from_seq, ALL).await.unwrap();
        for entry in &page.entries {
            let Body::Publication(publication) = &entry.body else { continue };
            rooms.insert((publication.room.clone(), publication.event.clone()), (entry.position, Arc::clone(publication)));
        }
        match page.entries.last() {
            Some(last) if !page.end => from_seq = last.position.seq + 1,
            _ => break,
        }
    }
    let mut rooms: Vec<_> = rooms.into_values().collect();
    rooms.sort_by_key(|(position, _)| position.seq);
    let shown = rooms.iter().filter_map(|(_, publication)| roomcast::protocol::command::history::Shown::of(publication));
    shown.map(|shown| serde_json::to_string(&shown).unwrap()).collect()
}

/// Two nodes, one that has asked all along and one that asks late, tell what the log holds.
pub async fn rooms_are_told_as_the_log_has_them(broker: Arc<dyn Broker>) {
    let name = "latest";
    let early = hub(&broker);
    assert_eq!(told(&early, name).await, [""; 0], "nothing was ever published");
    for number in 0..1_300_u32 {
        // Some rooms fall silent, so that retention takes what they had.
        let room = number % 7 + number / 200 * 7;
        broker.publish(&publication(&format!("kpi:{name}:r{room}"), &number.to_string()), AckLevel::Primary).await.unwrap();
        if number % 130 == 0 {
            assert_eq!(told(&early, name).await, naive(broker.as_ref(), name).await, "after {number}");
        }
    }
    let page = broker.read(&org(name), 1, PageLimit { entries: 1, bytes: 1 }).await.unwrap();
    assert!(page.entries[0].position.seq > 1, "something was trimmed");
    let late = told(&hub(&broker), name).await;
    assert_eq!(late, told(&early, name).await, "two nodes tell the same");
    assert_eq!(late, naive(broker.as_ref(), name).await);
    assert!(!late[0].contains("\"data\":0}"));
}
