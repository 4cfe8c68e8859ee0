//! What the tail makes of holes, forks, lost and trimmed logs, by example; `model` is thorough.

use super::*;
use crate::broker::Body;

const EPOCH: u64 = 7;

fn entry(seq: u64, check: u64) -> Entry {
    Entry { position: Position { epoch: EPOCH, seq, check }, body: Body::Malformed }
}

fn log(checks: &[u64]) -> Vec<Entry> {
    (1..).zip(checks).map(|(seq, check)| entry(seq, *check)).collect()
}

fn page(log: &[Entry], from_seq: u64, limit: usize) -> Page {
    let skip = log.iter().take_while(|entry| entry.position.seq < from_seq).count();
    let entries: Vec<Entry> = log[skip..].iter().take(limit).cloned().collect();
    Page { epoch: EPOCH, end: skip + entries.len() == log.len(), entries }
}

fn tail(log: &[Entry]) -> Tail {
    let mut tail = Tail::new(LogState { last: Position { epoch: EPOCH, seq: 0, check: 0 }, first_seq: 1 }, 1 << 20);
    for entry in log {
        assert_eq!(tail.admit(entry), Admission::Next);
    }
    tail
}

/// Reads as the org's task does, until the end; what was delivered and the gaps.
fn repaired(tail: &mut Tail, log: &[Entry], limit: usize) -> (Vec<Entry>, Vec<Gap>) {
    let (mut delivered, mut gaps, mut from_seq) = (Vec::new(), Vec::new(), tail.repair_from_seq());
    for _ in 0..1_000 {
        let page = page(log, from_seq, limit);
        match tail.repair(&page, from_seq) {
            Repair::Compare { from_seq: next } => from_seq = next,
            Repair::Deliver { gap, entries, .. } => {
                gaps.extend(gap);
                delivered.extend(entries);
                if page.end {
                    return (delivered, gaps);
                }
                from_seq = tail.repair_from_seq();
            }
        }
    }
    panic!("the repair does not end");
}

#[test]
fn holes_and_replaced_entries_are_doubtful() {
    let mut tail = tail(&log(&[10, 20, 30]));
    assert_eq!(tail.admit(&entry(2, 20)), Admission::Known);
    assert_eq!(tail.admit(&entry(2, 21)), Admission::Doubtful);
    assert_eq!(tail.admit(&entry(5, 50)), Admission::Doubtful);
    assert_eq!(tail.admit(&entry(4, 29)), Admission::Doubtful);
    assert_eq!(tail.admit(&entry(4, 40)), Admission::Next);
}

#[test]
fn a_hole_is_filled_from_the_log_without_a_gap() {
    let whole = log(&[10, 20, 30, 40, 50]);
    for limit in 2..6 {
        let mut tail = tail(&whole[..2]);
        let (delivered, gaps) = repaired(&mut tail, &whole, limit);
        assert_eq!((delivered.as_slice(), gaps.as_slice()), (&whole[2..], &[][..]));
    }
}

#[test]
fn a_fork_goes_back_to_the_last_common_entry_and_delivers_the_new_history() {
    let old = log(&[10, 20, 30, 40, 50, 60]);
    for parting in 0..6 {
        let mut checks: Vec<u64> = (1..=parting).map(|seq| seq * 10).collect();
        checks.extend([101, 102, 103].map(|late| late + parting));
        let new = log(&checks);
        for limit in 2..10 {
            let mut tail = tail(&old);
            let (delivered, gaps) = repaired(&mut tail, &new, limit);
            let parting = usize::try_from(parting).unwrap();
            assert_eq!(delivered, new[parting..], "parting {parting} limit {limit}");
            assert_eq!(gaps.len(), usize::from(parting == 0));
            assert_eq!(tail.last(), new.last().unwrap().position);
            if parting > 0 {
                // A session that holds a replaced position resumes at the common entry.
                assert_eq!(tail.resume(old[5].position), Resumption::From(old[parting - 1].position));
            }
        }
    }
}

#[test]
fn a_shorter_history_is_rewound_without_delivering_anything() {
    let old = log(&[10, 20, 30, 40]);
    let mut tail = tail(&old);
    assert_eq!(repaired(&mut tail, &old[..2], 3), (vec![], vec![]));
    assert_eq!(tail.last(), old[1].position);
}

#[test]
fn a_lost_log_is_one_gap() {
    let mut tail = tail(&log(&[10, 20]));
    let fresh = Page { epoch: 9, entries: vec![], end: true };
    assert_eq!(tail.repair(&fresh, 2), Repair::Compare { from_seq: 1 });
    let Repair::Deliver { gap: Some(gap), entries, .. } = tail.repair(&fresh, 1) else { panic!("no gap") };
    assert_eq!((gap.reason, gap.to, entries.len()), (GapReason::LogLost, Position { epoch: 9, seq: 0, check: 0 }, 0));
}

#[test]
fn what_was_trimmed_while_the_node_was_away_is_a_gap_with_exact_bounds() {
    let mut tail = tail(&log(&[10, 20]));
    let kept = [entry(6, 60), entry(7, 70)];
    let (delivered, gaps) = repaired(&mut tail, &kept, 10);
    assert_eq!(delivered, kept);
    assert_eq!(gaps, [Gap { from: Some(entry(2, 20).position), to: entry(5, 0).position, reason: GapReason::Trimmed }]);
}

#[test]
fn resumption_trusts_only_what_it_can_prove() {
    let mut tail = tail(&log(&[10, 20, 30, 40]));
    tail.bytes_max = 1;
    assert_eq!(tail.admit(&entry(5, 50)), Admission::Next);
    assert_eq!(tail.first_seq(), 5);
    assert_eq!(tail.resume(entry(5, 50).position), Resumption::From(entry(5, 50).position));
    assert_eq!(tail.resume(entry(5, 51).position), Resumption::Ask);
    assert_eq!(tail.resume(entry(2, 20).position), Resumption::Ask);
    assert_eq!(tail.resume(entry(9, 90).position), Resumption::Ask);
    let since = entry(2, 20).position;
    assert_eq!(tail.resume_by_log(since, Some(entry(2, 20).position)), Resumption::From(since));
    let other = Some(entry(2, 21).position);
    assert!(matches!(tail.resume_by_log(since, other), Resumption::Gap(gap) if gap.reason == GapReason::Fork));
    let Resumption::Gap(gap) = tail.resume_by_log(since, Some(entry(5, 50).position)) else { panic!("no gap") };
    // The place before memory can prove itself: numbers alone would be good in whatever history comes next.
    assert_eq!((gap.to, gap.reason), (entry(4, 40).position, GapReason::Trimmed));
    assert_eq!(tail.resume(entry(4, 41).position), Resumption::Ask);
}
