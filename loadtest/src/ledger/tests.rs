//! The checker is checked: whatever a faulty server could do to a clean run is told.

use proptest::prelude::*;

use super::*;

const COUNT: usize = 10_000;

fn place(seq: u64) -> Position {
    Position { epoch: 7, seq, check: 1_000 + seq }
}

/// What one client received, as numbers of publications.
struct Run {
    ledger: Ledger,
    client: ClientId,
}

impl Run {
    fn new(count: usize) -> Self {
        let mut ledger = Ledger::default();
        let client = ledger.client("acme", ["kpi:acme"]);
        for seq in 1..=count as u64 {
            ledger.published(&format!("m{seq}"), "kpi:acme:sales", Fate::Acked(Some(place(seq))), seq);
        }
        Self { ledger, client }
    }

    fn receive(&mut self, seq: u64) {
        self.receive_as(seq, true, 1);
    }

    fn receive_as(&mut self, seq: u64, fresh: bool, connection: u32) {
        let mark = format!("m{seq}");
        let receipt = Receipt {
            mark: &mark,
            room: "kpi:acme:sales",
            position: Some(place(seq)),
            fresh,
            connection,
            at_us: seq + 5,
            turn: Turn::InTurn,
        };
        self.ledger.received(self.client, receipt);
    }
}

fn verdict_of(receipts: impl IntoIterator<Item = u64>) -> Verdict {
    let mut run = Run::new(COUNT);
    receipts.into_iter().for_each(|seq| run.receive(seq));
    run.ledger.verdict()
}

#[test]
fn a_clean_run_is_clean() {
    let verdict = verdict_of(1..=COUNT as u64);
    assert!(verdict.is_clean());
    assert_eq!((verdict.acked, verdict.receipts, verdict.wire_dup), (10_000, 10_000, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn one_dropped_of_ten_thousand_is_silent(dropped in 1..=COUNT as u64) {
        let verdict = verdict_of((1..=COUNT as u64).filter(|seq| *seq != dropped));
        prop_assert_eq!(verdict, Verdict { silent: 1, ..clean(COUNT as u64 - 1) });
    }

    #[test]
    fn two_swapped_are_a_reorder(first in 1..COUNT) {
        let mut order: Vec<u64> = (1..=COUNT as u64).collect();
        order.swap(first - 1, first);
        prop_assert_eq!(verdict_of(order), Verdict { reorder: 1, ..clean(COUNT as u64) });
    }

    #[test]
    fn one_repeated_is_a_dup(repeated in 1..=COUNT as u64) {
        let verdict = verdict_of((1..=COUNT as u64).flat_map(|seq| if seq == repeated { vec![seq, seq] } else { vec![seq] }));
        prop_assert_eq!((verdict.dup, verdict.twice, verdict.wire_dup, verdict.silent), (1, 1, 1, 0));
    }
}

fn clean(receipts: u64) -> Verdict {
    Verdict { publishes: COUNT as u64, acked: COUNT as u64, clients: 1, receipts, ..Verdict::default() }
}

#[test]
fn a_leak_into_another_org_is_told_even_under_a_wrong_name() {
    for room in ["kpi:acme:sales", "kpi:other:sales"] {
        let mut run = Run::new(3);
        let spy = run.ledger.client("other", ["kpi:other"]);
        run.ledger.received(
            spy,
            Receipt { mark: "m2", room, position: Some(place(2)), fresh: true, connection: 1, at_us: 9, turn: Turn::InTurn },
        );
        assert_eq!(run.ledger.verdict().cross, 1, "{room}");
    }
}

#[test]
fn a_repetition_that_the_client_caught_is_only_on_the_wire() {
    let mut run = Run::new(3);
    [1, 2].into_iter().for_each(|seq| run.receive(seq));
    run.receive_as(2, false, 2);
    run.receive(3);
    let verdict = run.ledger.verdict();
    assert!(verdict.is_clean());
    assert_eq!(verdict.wire_dup, 1);
}

#[test]
fn a_repetition_on_one_connection_is_told_even_when_the_client_caught_it() {
    let mut run = Run::new(2);
    [1, 2].into_iter().for_each(|seq| run.receive(seq));
    run.receive_as(2, false, 1);
    assert_eq!(run.ledger.verdict(), Verdict { publishes: 2, acked: 2, wire_dup: 1, twice: 1, ..clean(3) });
}

#[test]
fn a_gap_excuses_what_lies_inside_it_and_nothing_else() {
    for (from, to, silent) in [(2, 5, 0), (2, 4, 1), (3, 5, 1)] {
        let mut run = Run::new(6);
        [1, 2].into_iter().for_each(|seq| run.receive(seq));
        run.ledger.gap(run.client, Gap { from: Some(place(from)), to: place(to), replaced: false });
        run.receive(6);
        let verdict = run.ledger.verdict();
        assert_eq!((verdict.silent, verdict.reorder), (silent, 0), "{from}..{to}");
    }
}

#[test]
fn a_replaced_history_is_in_order_and_its_losses_need_a_gap() {
    let mut run = Run::new(3);
    (1..=3).for_each(|seq| run.receive(seq));
    let other = Position { check: 9_000, ..place(3) };
    run.ledger.published("n", "kpi:acme", Fate::Acked(Some(other)), 50);
    let offline = run.ledger.client("acme", ["kpi:acme"]);
    for client in [run.client, offline] {
        run.ledger.received(
            client,
            Receipt { mark: "n", room: "kpi:acme", position: Some(other), fresh: true, connection: 1, at_us: 60, turn: Turn::InTurn },
        );
    }
    let verdict = run.ledger.verdict();
    assert_eq!((verdict.reorder, verdict.silent), (0, 3));
    run.ledger.gap(offline, Gap { from: Some(place(0)), to: other, replaced: true });
    assert!(run.ledger.verdict().is_clean());
}

#[test]
fn a_retry_that_is_logged_again_because_its_log_was_lost_is_no_dup() {
    for (again, dup) in [(Position { epoch: 8, ..place(1) }, 0), (place(9), 1)] {
        let mut run = Run::new(1);
        run.receive(1);
        run.ledger.received(
            run.client,
            Receipt { mark: "m1", room: "kpi:acme", position: Some(again), fresh: true, connection: 1, at_us: 50, turn: Turn::InTurn },
        );
        let verdict = run.ledger.verdict();
        assert_eq!((verdict.dup, verdict.twice, verdict.wire_dup), (dup, dup, dup), "{again:?}");
    }
}

#[test]
fn what_nobody_published_is_stray_and_what_was_refused_is_not_due() {
    let mut run = Run::new(0);
    run.ledger.published("refused", "kpi:acme", Fate::Refused, 1);
    run.ledger.published("unknown", "kpi:acme", Fate::Unknown, 1);
    run.ledger.received(
        run.client,
        Receipt { mark: "unknown", room: "kpi:acme", position: Some(place(1)), fresh: true, connection: 1, at_us: 2, turn: Turn::InTurn },
    );
    assert!(run.ledger.verdict().is_clean());
    run.ledger.received(
        run.client,
        Receipt { mark: "ghost", room: "kpi:acme", position: Some(place(2)), fresh: true, connection: 1, at_us: 2, turn: Turn::InTurn },
    );
    assert_eq!(run.ledger.verdict().stray, 1);
}

#[test]
fn being_back_is_the_last_late_receipt() {
    let mut run = Run::new(3);
    let mut receive = |seq: u64, at_us| {
        let mark = format!("m{seq}");
        run.ledger.received(
            run.client,
            Receipt { mark: &mark, room: "kpi:acme", position: Some(place(seq)), fresh: true, connection: 1, at_us, turn: Turn::InTurn },
        );
    };
    receive(1, 4);
    receive(2, 1_502);
    receive(3, 1_600);
    assert_eq!(run.ledger.back_us(500, 100), 1_100);
    assert_eq!(run.ledger.back_us(500, 5_000), 0);
    assert_eq!(run.ledger.delays_us(run.client, &(1..4), |mark| mark != "m3"), [3, 1_500]);
}

#[test]
fn what_overtakes_is_not_out_of_order_and_what_gives_way_is_excused_as_often_as_was_told() {
    let mut run = Run::new(6);
    let mut receive = |seq: u64, turn| {
        let mark = format!("m{seq}");
        let receipt = Receipt { mark: &mark, room: "kpi:acme", position: Some(place(seq)), fresh: true, connection: 1, at_us: seq, turn };
        run.ledger.received(run.client, receipt);
    };
    receive(1, Turn::InTurn);
    receive(6, Turn::Overtook);
    receive(5, Turn::InTurn);
    receive(5, Turn::Redelivered);
    run.ledger.conflated(run.client, Gap { from: Some(place(1)), to: place(5), replaced: false }, 2);
    let verdict = run.ledger.verdict();
    assert_eq!((verdict.reorder, verdict.silent, verdict.wire_dup), (0, 1, 0), "{verdict}");
}
