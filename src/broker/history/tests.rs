use bytes::Bytes;

use super::*;
use crate::broker::memory::{Config, MemoryBroker};
use crate::broker::{AckLevel, Body};
use crate::protocol::{EventName, NewPublication, RoomSyntax};

async fn logged(count: usize, entries_max: usize, bytes: usize) -> (MemoryBroker, OrgId, Vec<Position>) {
    let broker = MemoryBroker::new(Config { entries_max, ..Config::default() });
    let room = RoomSyntax::new(4, ["kpi"]).room("kpi:acme").unwrap();
    let mut positions = Vec::new();
    for _ in 0..count {
        let data = Bytes::from(format!("\"{}\"", "x".repeat(bytes)));
        let new = NewPublication::new(room.clone(), EventName::parse("kpi:update").unwrap(), data);
        positions.extend(broker.publish(&new, AckLevel::Primary).await.unwrap().position);
    }
    (broker, OrgId::parse("acme").unwrap(), positions)
}

/// Walks to the end by pages of `entries_max`; all positions, and all that was said to be lost.
async fn all(broker: &MemoryBroker, org: &OrgId, reverse: bool, entries_max: usize) -> (Vec<Position>, Vec<Gap>) {
    let (mut seen, mut lost, mut since) = (Vec::new(), Vec::new(), None);
    loop {
        let mut visit = |before: Option<Position>, entry: &Entry| {
            assert!(matches!(entry.body, Body::Publication(_)));
            assert_eq!(before, seen.last().copied());
            seen.push(entry.position);
            Visit::On
        };
        let walked = walk(broker, org, Walk { since, reverse, entries_max }, &mut visit).await.unwrap();
        lost.extend(walked.lost);
        since = walked.next;
        if walked.end {
            return (seen, lost);
        }
    }
}

#[tokio::test]
async fn both_directions_see_everything_once() {
    for count in [0, 1, 2, 63, 64, 65, 300, 700] {
        let (broker, org, mut positions) = logged(count, 10_000, 10).await;
        for entries_max in [1, 7, 64, 1_000] {
            let (seen, lost) = all(&broker, &org, false, entries_max).await;
            assert_eq!((&seen, lost.len()), (&positions, 0), "{count} by {entries_max}");
        }
        positions.reverse();
        for entries_max in [1, 7, 64, 1_000] {
            let (seen, lost) = all(&broker, &org, true, entries_max).await;
            assert_eq!((&seen, lost.len()), (&positions, 0), "{count} backwards by {entries_max}");
        }
    }
}

#[tokio::test]
async fn large_entries_are_walked_by_short_stretches() {
    let (broker, org, mut positions) = logged(20, 1_000, 300_000).await;
    positions.reverse();
    assert_eq!(all(&broker, &org, true, 100).await.0, positions);
}

#[tokio::test]
async fn backwards_says_where_the_log_begins() {
    let (broker, org, positions) = logged(10, 4, 10).await;
    let (seen, lost) = all(&broker, &org, true, 3).await;
    assert_eq!(seen.len(), 4);
    let to = Position { seq: 6, check: 0, ..positions[5] };
    assert_eq!(lost, [Gap { from: None, to, reason: GapReason::Trimmed }]);
}

#[tokio::test]
async fn a_walk_ends_where_its_visitor_has_enough() {
    let (broker, org, positions) = logged(10, 100, 10).await;
    for (reverse, expected) in [(false, positions[2]), (true, positions[7])] {
        let mut count = 0;
        let visit = |_: Option<Position>, _: &Entry| {
            count += 1;
            if count == 3 { Visit::Enough } else { Visit::On }
        };
        let walked = walk(&broker, &org, Walk { since: None, reverse, entries_max: 100 }, visit).await.unwrap();
        assert_eq!(walked, Walked { lost: None, next: Some(expected), end: false });
    }
}

#[tokio::test]
async fn backwards_from_a_place_of_another_history_there_is_nothing() {
    let (broker, org, positions) = logged(5, 100, 10).await;
    let last = positions[4];
    for (since, reason) in [
        (Position { epoch: 1, ..last }, GapReason::LogLost),
        (Position { seq: 9, ..last }, GapReason::Fork),
        (Position { check: last.check + 1, ..last }, GapReason::Fork),
    ] {
        let visit = |_: Option<Position>, entry: &Entry| panic!("{:?} was shown", entry.position);
        let walked = walk(&broker, &org, Walk { since: Some(since), reverse: true, entries_max: 10 }, visit).await.unwrap();
        assert_eq!(walked, Walked { lost: Some(Gap { from: None, to: since, reason }), next: Some(since), end: true });
    }
}
