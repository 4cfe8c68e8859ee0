use super::*;
use crate::report::Counts;
use crate::swarm::register::EVENT;

const TEXT: u8 = 0x81;

/// A judge over one strand of each of two orgs, a member of the first, and the publications 0 to 9 of both strands.
fn court() -> (Judge, Account) {
    let mut judge = Judge::new(Register::default());
    for room in ["kpi:acme:sales", "kpi:umbrella:sales"] {
        let strand = judge.register.open(room, 0);
        for _ in 0..10 {
            judge.register.give(strand, 1_000, "0", &mut String::new());
        }
    }
    (judge, Account::new(vec![Due::from(0, 0)], false))
}

fn publication(room: &str, strand: u32, n: u64) -> Vec<u8> {
    publication_at(room, strand, n, n)
}

fn publication_at(room: &str, strand: u32, n: u64, seq: u64) -> Vec<u8> {
    let check = 1_000 + seq;
    let data = format!(r#"{{"s":{strand},"n":{n},"t":1000,"fill":0}}"#);
    format!(r#"{{"event":"{EVENT}","room":"{room}","id":"1-{seq:x}-{check:x}","ts":"now","data":{data}}}"#).into_bytes()
}

fn judged(messages: &[Vec<u8>]) -> (Counts, u64) {
    let (mut judge, mut account) = court();
    for message in messages {
        judge.message(&mut account, TEXT, message, 3_000);
    }
    (judge.tally.counts, account.missing(&judge.register))
}

fn own(numbers: &[u64]) -> Vec<Vec<u8>> {
    numbers.iter().map(|n| publication("kpi:acme:sales", 0, *n)).collect()
}

#[test]
fn what_is_whole_and_in_order_is_clean() {
    let (counts, missing) = judged(&own(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
    assert!(counts.is_clean() && counts.received == 10 && missing == 0, "{counts:?}");
}

#[test]
fn every_kind_of_wrong_is_counted_as_what_it_is() {
    let counts = |numbers: &[u64]| judged(&own(numbers)).0;
    assert_eq!(counts(&[0, 1, 3]).lost, 1);
    assert_eq!(counts(&[0, 1, 1, 2]).behind, 1);
    assert_eq!(counts(&[0, 2, 1, 3]), Counts { received: 4, lost: 1, behind: 1, ..Counts::default() });
    assert_eq!(judged(&own(&[0, 1])).1, 8);
    let foreign = judged(&[publication("kpi:umbrella:sales", 1, 0)]).0;
    assert_eq!((foreign.misrouted, foreign.received), (1, 1));
    // A room that its strand does not have: the publication was delivered under another name.
    assert_eq!(judged(&[publication("kpi:acme:support", 0, 0)]).0.misrouted, 1);
    assert_eq!(judged(&[br#"{"event":"kpi:update","room":"kpi:acme","ts":"now","data":1}"#.to_vec()]).0.misrouted, 1);
}

#[test]
fn dense_numbers_in_the_wrong_order_of_the_log_are_found() {
    let order = [publication_at("kpi:acme:sales", 0, 0, 7), publication_at("kpi:acme:sales", 0, 1, 6)];
    let (mut judge, mut account) = court();
    for message in order {
        judge.message(&mut account, TEXT, &message, 3_000);
    }
    // The lower number is in order only as the newer entry, and it is not.
    assert_eq!((judge.tally.counts.behind, judge.tally.counts.lost), (1, 0));
}

#[test]
fn a_gap_is_counted_and_excuses_what_it_admits() {
    let mut messages = own(&[0, 1]);
    messages.push(br#"{"event":"gap","data":{"from":"1-1-3e9","to":"1-5-0","reason":"trimmed"}}"#.to_vec());
    messages.extend(own(&[6, 7, 8, 9]));
    assert_eq!(judged(&messages), (Counts { received: 6, gaps: 1, ..Counts::default() }, 0));
}

#[test]
fn replies_are_no_publications_and_positions_are_kept() {
    let (mut judge, mut account) = court();
    assert!(!judge.message(&mut account, TEXT, br#"{"event":"authenticated","id":1,"data":{"rooms":["kpi:acme"],"position":null}}"#, 0));
    assert!(judge.message(&mut account, TEXT, br#"{"event":"position","data":{"position":"1-9-400"}}"#, 0));
    assert_eq!(account.last, Some(Position { epoch: 1, seq: 9, check: 0x400 }));
    assert!(judge.tally.counts.is_clean());
}

#[test]
fn times_are_told_by_stage() {
    let (mut judge, mut account) = court();
    judge.message(&mut account, TEXT, &publication("kpi:acme:sales", 0, 0), 3_000);
    let first = |span| judge.tally.time(span).max();
    assert_eq!((first(Span::Delivery), first(Span::FromLog), first(Span::ToLog)), (2_000, 2_000, 1));
}
