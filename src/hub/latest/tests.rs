//! The desks of a node over an embedded broker.

use std::time::Duration;

use super::*;
use crate::auth::{GrantList, Principal};
use crate::broker::AckLevel;
use crate::broker::memory::{self, MemoryBroker};
use crate::protocol::{EventName, NewPublication, RoomSyntax};

fn syntax() -> RoomSyntax {
    RoomSyntax::new(4, ["kpi"])
}

fn org(name: &str) -> OrgId {
    OrgId::parse(name).unwrap()
}

fn wish(name: &str) -> Wish {
    let grants = GrantList::read(None, &[format!("history:*:{name}:**")], &org(name), &syntax()).unwrap();
    let principal = Principal::new("alice", &org(name), u64::MAX).unwrap().with_grants(grants);
    let pattern = syntax().pattern(&format!("kpi:{name}")).unwrap();
    Wish::new(principal.grant_history(pattern.clone()).unwrap(), &principal.grant_subscribe(pattern).unwrap())
}

fn desks(config: Config) -> (Arc<MemoryBroker>, Arc<LatestValues>) {
    let broker = Arc::new(MemoryBroker::new(memory::Config::default()));
    let limit = PageLimit { entries: 10, bytes: 1 << 20 };
    let values = LatestValues::new(Arc::clone(&broker) as Arc<dyn Broker>, config, limit, Arc::new(Readers::new(1)));
    (broker, Arc::new(values))
}

async fn publish(broker: &MemoryBroker, name: &str, number: usize) {
    let room = syntax().room(&format!("kpi:{name}:r{}", number % 3)).unwrap();
    let new = NewPublication::new(room, EventName::parse("kpi:update").unwrap(), number.to_string());
    broker.publish(&new, AckLevel::Primary).await.unwrap();
}

fn has_desk(values: &LatestValues, name: &str) -> bool {
    let mut has = true;
    drop(values.books.desk(&org(name), || {
        has = false;
        mpsc::channel(1).0
    }));
    has
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_less_than_there_was_when_they_asked() {
    let (broker, values) = desks(Config::default());
    for round in 1..=40_usize {
        publish(&broker, "acme", round).await;
        let asked: Vec<_> = (0..50)
            .map(|_| {
                let values = Arc::clone(&values);
                tokio::spawn(async move { values.ask(&org("acme"), vec![wish("acme")]).await.unwrap() })
            })
            .collect();
        for asked in asked {
            let (latest, at) = asked.await.unwrap();
            assert_eq!((latest.publications.len(), at.seq), (round.min(3), round as u64));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_while_others_are_told_is_told_with_the_next_ones() {
    let (broker, values) = desks(Config { pace_ms: 1_000, ..Config::default() });
    publish(&broker, "acme", 1).await;
    let begun = tokio::time::Instant::now();
    values.ask(&org("acme"), vec![wish("acme")]).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO, "the first one does not wait");
    publish(&broker, "acme", 2).await;
    let asking = (0..10).map(|_| async { values.ask(&org("acme"), vec![wish("acme")]).await });
    let told = futures_util::future::join_all(asking).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    let (first, _) = told[0].as_ref().unwrap();
    assert!(told.iter().all(|told| Arc::ptr_eq(&told.as_ref().unwrap().0, first)), "what is asked alike is selected once");
}

#[tokio::test(start_paused = true)]
async fn a_desk_that_nobody_asks_goes_and_comes_back_when_somebody_does() {
    let (broker, values) = desks(Config { idle_ms: 60_000, ..Config::default() });
    publish(&broker, "acme", 1).await;
    values.ask(&org("acme"), vec![wish("acme")]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(has_desk(&values, "acme"));
    values.ask(&org("acme"), vec![wish("acme")]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(has_desk(&values, "acme"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!has_desk(&values, "acme"));
    publish(&broker, "acme", 2).await;
    let (latest, _) = values.ask(&org("acme"), vec![wish("acme")]).await.unwrap();
    assert_eq!(latest.publications.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_org_makes_room_for_another() {
    let (broker, values) = desks(Config { node_bytes_max: 1_200, ..Config::default() });
    for name in ["acme", "other"] {
        for number in 0..3 {
            publish(&broker, name, number).await;
        }
        let (latest, _) = values.ask(&org(name), vec![wish(name)]).await.unwrap();
        assert_eq!(latest.publications.len(), 3);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(has_desk(&values, "other") && !has_desk(&values, "acme"));
    let (latest, _) = values.ask(&org("acme"), vec![wish("acme")]).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(latest.publications.len(), 3);
}
