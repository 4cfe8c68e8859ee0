//! What watchers are sent, held against what is in the room: a watcher that does what docs/presence.md says has exactly that,
//! however slowly it reads and whenever it comes.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::FutureExt;
use proptest::prelude::*;
use serde_json::Value;

use super::super::replica::tests::{Store, room, session};
use super::*;
use crate::hub::send_queue::{Limits, NoSink, SendQueue};
use crate::protocol::codec::json;

/// Small, so that snapshots and diffs come in several parts and queues overflow.
const MESSAGE_BYTES_MAX: usize = 150;
const QUEUE: Limits = Limits { bytes_max: 700, replies_bytes_max: 1 << 20 };
const WATCHERS: usize = 3;

/// Messages as lines of JSON.
struct Lines;

impl Wire for Lines {
    fn kind(&self) -> usize {
        0
    }

    fn push(&self, push: &Push<'_>, out: &mut BytesMut) {
        json::push(push, out);
        out.extend_from_slice(b"\n");
    }

    fn answer(&self, answer: &Answer, out: &mut BytesMut) {
        json::answer(answer, out);
        out.extend_from_slice(b"\n");
    }

    fn ping(&self, _out: &mut BytesMut) {}
}

/// A client, by the document.
#[derive(Default)]
struct Watcher {
    lane: Option<Lane>,
    members: BTreeMap<String, Value>,
    version: Option<u64>,
    /// Diffs that came while a snapshot was expected.
    early: Option<Vec<Value>>,
    has_missed: bool,
}

impl Watcher {
    fn take(&mut self, message: &Value) {
        let data = &message["data"];
        if message["event"] == "presence:snapshot" {
            self.members.clear();
            self.put(&data["members"]);
            self.version = data["version"].as_u64();
            for diff in self.early.take().unwrap_or_default() {
                self.apply(&diff);
            }
        } else if let Some(early) = &mut self.early {
            early.push(data.clone());
        } else {
            self.apply(data);
        }
    }

    fn apply(&mut self, diff: &Value) {
        let (Some(known), Some(version)) = (self.version, diff["version"].as_u64()) else { return };
        if version <= known {
            return;
        }
        if version > known + 1 {
            self.has_missed = true;
            return;
        }
        self.version = Some(version);
        for user in diff["left"].as_array().unwrap() {
            self.members.remove(user.as_str().unwrap());
        }
        self.put(&diff["joined"]);
        self.put(&diff["updated"]);
    }

    fn put(&mut self, members: &Value) {
        for member in members.as_array().unwrap() {
            self.members.insert(member["user_id"].as_str().unwrap().to_owned(), member.clone());
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put {
        session: u64,
        state: u64,
    },
    Remove(u64),
    Flush,
    /// The watcher's command is carried out before it reads on.
    Watch(usize),
    Reads {
        watcher: usize,
        bytes: usize,
    },
    /// Something of the log needs the room.
    Log(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0u64..12, 0u64..3).prop_map(|(session, state)| Step::Put { session, state }),
        3 => (0u64..12).prop_map(Step::Remove),
        5 => Just(Step::Flush),
        2 => (0..WATCHERS).prop_map(Step::Watch),
        4 => (0..WATCHERS, 0usize..600).prop_map(|(watcher, bytes)| Step::Reads { watcher, bytes }),
        1 => (0..WATCHERS).prop_map(Step::Log),
    ];
    prop::collection::vec(step, 0..80)
}

struct Stage {
    room: Room,
    store: Store,
    members: Shelf<Member>,
    watchers: Vec<Watcher>,
    unread: Vec<Vec<u8>>,
}

impl Stage {
    fn new() -> Self {
        let (mut members, mut room) = (Shelf::default(), Room::new(room(), 0));
        for number in 0..WATCHERS {
            let queue: Arc<SendQueue> = Arc::new(SendQueue::new(QUEUE, NoSink));
            members.insert(Member::new(session(number as u64), queue, Arc::new(Lines)));
        }
        room.take_in(Store::default().roster(), true);
        let watchers = (0..WATCHERS).map(|_| Watcher::default()).collect();
        Self { room, store: Store::default(), members, watchers, unread: vec![Vec::new(); WATCHERS] }
    }

    fn flush(&mut self) {
        self.room.flush(&self.members, MESSAGE_BYTES_MAX).now_or_never().expect("few watchers take one turn");
    }

    fn watch(&mut self, number: usize) {
        let watcher = &mut self.watchers[number];
        watcher.early = Some(Vec::new());
        watcher.has_missed = false;
        let slot = number as Slot;
        self.room.show(slot, &mut watcher.lane, None, self.members.get(slot).unwrap(), MESSAGE_BYTES_MAX);
    }

    /// The client reads so many bytes, and the node is told when nothing waits.
    fn read(&mut self, number: usize, mut bytes: usize) {
        let member = self.members.get(number as Slot).unwrap();
        let unread = &mut self.unread[number];
        let write = |slices: &[IoSlice<'_>]| {
            let before = unread.len();
            for slice in slices {
                let count = slice.len().min(bytes);
                unread.extend_from_slice(&slice[..count]);
                bytes -= count;
            }
            if unread.len() == before { Err(std::io::ErrorKind::WouldBlock.into()) } else { Ok(unread.len() - before) }
        };
        let emptied = member.queue.flush(write).unwrap();
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            if line.starts_with(b"{") {
                assert!(line.len() < 3 * MESSAGE_BYTES_MAX, "{}", String::from_utf8_lossy(&line));
                self.watchers[number].take(&serde_json::from_slice(&line).unwrap());
            }
        }
        if emptied && member.queue.take_drained() && member.queue.take_missed() {
            self.room.remind(number as Slot, member);
        }
    }

    fn expected(&self) -> BTreeMap<String, Value> {
        let members = self.store.members();
        members.values().map(|member| (member.user_id.to_string(), serde_json::to_value(member).unwrap())).collect()
    }
}

proptest! {
    #[test]
    fn whoever_watches_sees_who_is_there_and_notices_what_was_dropped(steps in steps()) {
        let mut stage = Stage::new();
        for step in steps {
            let news = match step {
                Step::Put { session, state } => Some(stage.store.put(session, 0, state)),
                Step::Remove(number) => Some(stage.store.remove(|known, _| *known == session(number))),
                Step::Flush => {
                    stage.flush();
                    None
                }
                Step::Watch(watcher) => {
                    stage.watch(watcher);
                    None
                }
                Step::Reads { watcher, bytes } => {
                    stage.read(watcher, bytes);
                    None
                }
                Step::Log(watcher) => {
                    let bytes = Bytes::from("x".repeat(300) + "\n");
                    stage.members.get(watcher as Slot).unwrap().queue.push_log(&bytes, None);
                    None
                }
            };
            if let Some(news) = news.filter(|news| news.count() > 0) {
                prop_assert!(!stage.room.hear(&news));
            }
        }
        stage.flush();
        for watcher in 0..WATCHERS {
            // Twice: what reminds it of something missed comes when nothing else waits.
            stage.read(watcher, usize::MAX);
            stage.read(watcher, usize::MAX);
            if stage.watchers[watcher].has_missed {
                stage.watch(watcher);
                stage.read(watcher, usize::MAX);
            }
            if stage.watchers[watcher].version.is_some() {
                prop_assert_eq!(&stage.watchers[watcher].members, &stage.expected());
            }
        }
    }
}
