//! The queue against a naive model: a plain list of what waits, and the bytes that must have come out.

use proptest::prelude::*;

use super::tests::{Narrow, at, take};
use super::*;

const LIMITS: Limits = Limits { bytes_max: 100, replies_bytes_max: 1_000 };

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many bytes of a publication that has its place in the log.
    Logged(usize),
    Ephemeral(usize),
    Aside(usize),
    Reply(usize),
    Answer(usize),
    Urgent(usize),
    /// The client reads so many bytes: what waits first, then what the socket takes at once.
    Read(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1usize..60).prop_map(Step::Logged),
        2 => (1usize..60).prop_map(Step::Ephemeral),
        2 => (1usize..30).prop_map(Step::Reply),
        1 => (1usize..30).prop_map(Step::Answer),
        3 => (1usize..60).prop_map(Step::Urgent),
        2 => (1usize..60).prop_map(Step::Aside),
        4 => (1usize..150).prop_map(Step::Read),
    ];
    prop::collection::vec(step, 0..80)
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum What {
    Reply,
    Answer,
    Urgent,
    /// With the number before it.
    Logged(u64),
    Ephemeral,
    Aside,
}

impl What {
    fn before(self) -> Option<Position> {
        if let Self::Logged(before) = self { at(before) } else { None }
    }

    fn is_dropped(self) -> bool {
        matches!(self, Self::Logged(_) | Self::Ephemeral | Self::Aside)
    }

    fn byte(self) -> u8 {
        match self {
            Self::Reply => b'r',
            Self::Answer => b'a',
            Self::Urgent => b'u',
            Self::Logged(_) => b'l',
            Self::Ephemeral => b'e',
            Self::Aside => b's',
        }
    }
}

#[derive(Debug)]
struct Waiting {
    what: What,
    bytes: usize,
    written: usize,
}

/// Everything by counting: what came out is told by what no longer waits.
#[derive(Default)]
struct Model {
    waiting: Vec<Waiting>,
    socket_room: usize,
    missed: bool,
}

impl Model {
    fn bytes_of(&self, counts: impl Fn(What) -> bool) -> usize {
        self.waiting.iter().filter(|item| counts(item.what)).map(|item| item.bytes).sum()
    }

    fn publication_bytes(&self) -> usize {
        self.bytes_of(|what| what.is_dropped() || what == What::Urgent)
    }

    fn push(&mut self, what: What, bytes: usize) -> Pushed {
        let written = if self.waiting.is_empty() { self.socket_room.min(bytes) } else { 0 };
        self.socket_room -= written;
        if written == bytes {
            return Pushed::Taken;
        }
        let waiting = self.publication_bytes();
        let overflows = what.is_dropped() && written == 0 && waiting > 0 && waiting + bytes > LIMITS.bytes_max;
        if !overflows {
            self.waiting.push(Waiting { what, bytes, written });
            return Pushed::Taken;
        }
        if what == What::Aside {
            self.missed = true;
            return Pushed::Taken;
        }
        let (dropped, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|item| item.what.is_dropped() && item.written == 0);
        self.waiting = kept;
        self.missed |= dropped.iter().any(|item| item.what == What::Aside);
        let first = dropped.iter().map(|item| item.what).chain([what]).find_map(What::before);
        first.map_or(Pushed::Taken, Pushed::Overflowed)
    }

    /// Before the first that it may overtake: behind everything that is begun, answers, and urgent ones.
    fn push_urgent(&mut self, bytes: usize) -> bool {
        let waiting = self.publication_bytes();
        if waiting > 0 && waiting + bytes > LIMITS.bytes_max {
            return false;
        }
        let written = if self.waiting.is_empty() { self.socket_room.min(bytes) } else { 0 };
        self.socket_room -= written;
        if written < bytes {
            let mut place = self.waiting.len();
            while place > 0 && self.waiting[place - 1].written == 0 && !matches!(self.waiting[place - 1].what, What::Answer | What::Urgent)
            {
                place -= 1;
            }
            self.waiting.insert(place, Waiting { what: What::Urgent, bytes, written });
        }
        true
    }

    fn read(&mut self, mut room: usize) {
        while let Some(first) = self.waiting.first_mut() {
            let count = (first.bytes - first.written).min(room);
            first.written += count;
            room -= count;
            if first.written < first.bytes {
                return;
            }
            self.waiting.remove(0);
        }
        self.socket_room += room;
    }
}

proptest! {
    #[test]
    fn it_keeps_drops_and_writes_what_the_naive_model_does(steps in steps()) {
        let queue = SendQueue::new(LIMITS, Narrow(Mutex::new(0)));
        let (mut model, mut logged) = (Model::default(), 0);
        for step in steps {
            match step {
                Step::Logged(bytes) => {
                    prop_assert_eq!(queue.push_log(&Bytes::from(vec![b'l'; bytes]), at(logged)), model.push(What::Logged(logged), bytes));
                    logged += 1;
                }
                Step::Ephemeral(bytes) => {
                    prop_assert_eq!(queue.push_log(&Bytes::from(vec![b'e'; bytes]), None), model.push(What::Ephemeral, bytes));
                }
                Step::Aside(bytes) => {
                    queue.push_aside(&Bytes::from(vec![b's'; bytes]));
                    model.push(What::Aside, bytes);
                }
                Step::Reply(bytes) => {
                    queue.hold_reply(Bytes::from(vec![b'r'; bytes]));
                    model.waiting.push(Waiting { what: What::Reply, bytes, written: 0 });
                }
                Step::Answer(bytes) => {
                    queue.push_answer(Bytes::from(vec![b'a'; bytes]));
                    model.push(What::Answer, bytes);
                }
                Step::Urgent(bytes) => {
                    prop_assert_eq!(queue.push_urgent(&Bytes::from(vec![b'u'; bytes])), model.push_urgent(bytes));
                }
                Step::Read(room) => {
                    let out = expected(&model.waiting, room);
                    prop_assert_eq!(take(&queue, room), out.clone());
                    model.read(room);
                    *queue.sink().0.lock() += room - out.len();
                }
            }
            let notice = model.missed && model.waiting.is_empty();
            prop_assert_eq!(queue.take_drained(), notice, "whoever missed something is told once nothing waits");
            prop_assert_eq!(queue.take_missed(), notice);
            model.missed &= !notice;
            let waiting: usize = model.waiting.iter().map(|item| item.bytes).sum();
            prop_assert_eq!((queue.bytes(), queue.holds_log()), (waiting, model.bytes_of(What::is_dropped) > 0));
            prop_assert_eq!(queue.is_empty(), model.waiting.is_empty());
            // One push may be larger than the bound, and one that is partly written stays whatever comes.
            prop_assert!(model.publication_bytes() <= LIMITS.bytes_max + 60);
        }
    }
}

/// The next bytes of what waits.
fn expected(waiting: &[Waiting], room: usize) -> Vec<u8> {
    let bytes = waiting.iter().flat_map(|item| std::iter::repeat_n(item.what.byte(), item.bytes - item.written));
    bytes.take(room).collect()
}
