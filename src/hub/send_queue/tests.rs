//! What the queue does at its bounds, by example; `model` is thorough.

use super::*;

/// A socket with room for so many bytes.
pub(super) struct Narrow(pub Mutex<usize>);

impl Sink for Narrow {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.0.lock();
        let count = bytes.len().min(*room);
        *room -= count;
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }
}

pub(super) fn at(seq: u64) -> Option<Position> {
    Some(Position { epoch: 1, seq, check: seq })
}

fn queue(room: usize) -> SendQueue<Narrow> {
    SendQueue::new(Limits { bytes_max: 100, replies_bytes_max: 50 }, Narrow(Mutex::new(room)))
}

/// Takes up to `room` of the waiting bytes.
pub(super) fn take(queue: &SendQueue<Narrow>, mut room: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    let outcome = queue.flush(|slices| {
        let before = taken.len();
        for slice in slices {
            let count = slice.len().min(room);
            taken.extend_from_slice(&slice[..count]);
            room -= count;
        }
        if taken.len() == before { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken.len() - before) }
    });
    outcome.unwrap();
    taken
}

#[test]
fn an_empty_queue_writes_straight_through() {
    let queue = queue(10);
    assert_eq!(queue.push_log(&Bytes::from_static(b"0123456789"), at(0)), Pushed::Taken);
    assert!(queue.is_empty());
    assert_eq!(queue.push_log(&Bytes::from_static(b"ab"), at(1)), Pushed::Taken);
    assert_eq!(take(&queue, 9), b"ab");
}

#[test]
fn overflow_drops_publications_but_neither_replies_nor_a_begun_frame() {
    let queue = queue(5);
    assert_eq!(queue.push_log(&Bytes::from(vec![b'a'; 60]), at(0)), Pushed::Taken);
    queue.push_answer(Bytes::from_static(b"reply"));
    assert_eq!(queue.push_log(&Bytes::from(vec![b'b'; 30]), at(1)), Pushed::Taken);
    assert_eq!(queue.push_log(&Bytes::from(vec![b'c'; 30]), at(2)), Pushed::Overflowed(at(1).unwrap()));
    assert!(queue.want_drain());
    assert_eq!(take(&queue, 54), [b'a'; 54]);
    assert!(!queue.take_drained());
    assert_eq!(take(&queue, 99), b"areply");
    assert!(queue.take_drained());
    assert!(!queue.take_drained());
    assert_eq!(queue.bytes(), 0);
}

#[test]
fn an_urgent_one_goes_in_front_of_what_waits_and_stays_when_that_is_dropped() {
    let queue = queue(5);
    queue.push_log(&Bytes::from(vec![b'a'; 30]), at(0));
    queue.push_log(&Bytes::from(vec![b'b'; 30]), at(1));
    assert!(queue.push_urgent(&Bytes::from_static(b"now")));
    assert!(!queue.push_urgent(&Bytes::from(vec![b'x'; 38])), "there is room for 37");
    assert_eq!(queue.push_log(&Bytes::from(vec![b'c'; 60]), at(2)), Pushed::Overflowed(at(1).unwrap()));
    assert!(queue.holds_log(), "the first is begun");
    assert_eq!(take(&queue, 99), [&[b'a'; 25][..], b"now"].concat());
}

#[test]
fn one_message_larger_than_the_bound_still_goes_out() {
    let queue = queue(0);
    assert_eq!(queue.push_log(&Bytes::from(vec![b'a'; 500]), at(0)), Pushed::Taken);
    assert_eq!(queue.push_log(&Bytes::from_static(b"b"), at(1)), Pushed::Overflowed(at(0).unwrap()));
}

#[test]
fn nothing_is_taken_after_a_close() {
    let queue = queue(0);
    queue.close(Close::new(crate::protocol::CloseCode::Drain));
    assert_eq!(queue.push_log(&Bytes::from_static(b"b"), at(1)), Pushed::Closed);
    queue.shut();
    assert!(queue.is_closed());
}
