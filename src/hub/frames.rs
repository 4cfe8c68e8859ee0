//! Encoded publications, made once per wire and shared by every session that gets the same.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use foldhash::fast::FixedState;

use super::effort;
use super::fan_out::Mask;
use super::standing::Notes;
use super::verdicts::Verdicts;
use crate::protocol::codec::WIRES_MAX;
use crate::protocol::push::Manner;
use crate::protocol::{Position, Publication, Push, Wire};

/// The encodings of one batch of live publications.
#[derive(Default)]
pub struct Batch {
    frames: Vec<[Option<Bytes>; WIRES_MAX]>,
    groups: HashMap<(Mask, usize), Bytes>,
    /// What was asked for last; no publication at all stands for nothing.
    recent: ((Mask, usize), Bytes),
    /// Encodings of those that overtake, by their places in the batch.
    overtaking: HashMap<(usize, usize), Bytes>,
}

impl Batch {
    /// Starts over for `count` publications.
    pub fn reset(&mut self, count: usize) {
        self.frames.clear();
        self.frames.resize_with(count, Default::default);
        self.groups.clear();
        self.overtaking.clear();
        self.recent = Default::default();
    }

    /// The publications whose bits are set in `mask`, one after another, as bytes for `wire`.
    pub fn group(&mut self, mask: Mask, wire: &dyn Wire, publications: &[Arc<Publication>]) -> &Bytes {
        let key = (mask, wire.kind());
        if self.recent.0 != key {
            let bytes = match self.groups.get(&key) {
                Some(bytes) => bytes.clone(),
                None => {
                    let bytes = self.concatenate(mask, wire, publications);
                    self.groups.insert(key, bytes.clone());
                    bytes
                }
            };
            self.recent = (key, bytes);
        }
        &self.recent.1
    }

    fn concatenate(&mut self, mask: Mask, wire: &dyn Wire, publications: &[Arc<Publication>]) -> Bytes {
        if mask.is_power_of_two() {
            return self.frame(mask.trailing_zeros() as usize, wire, publications);
        }
        let mut all = BytesMut::new();
        let mut left = mask;
        while left != 0 {
            all.extend_from_slice(&self.frame(left.trailing_zeros() as usize, wire, publications));
            left &= left - 1;
        }
        all.freeze()
    }

    fn frame(&mut self, index: usize, wire: &dyn Wire, publications: &[Arc<Publication>]) -> Bytes {
        self.frames[index][wire.kind()].get_or_insert_with(|| encode(wire, &publications[index], Manner::PLAIN)).clone()
    }

    /// One publication for a session that gets it ahead of others.
    pub fn overtaking(&mut self, index: usize, wire: &dyn Wire, publications: &[Arc<Publication>]) -> &Bytes {
        let frame = self.overtaking.entry((index, wire.kind()));
        frame.or_insert_with(|| encode(wire, &publications[index], Manner::OVERTOOK))
    }
}

/// Encodings that sessions in catch-up share, and verdicts of their filters, over one round of serving them. Kept by whole positions: a number alone may stand
/// for another entry once the history was replaced. Nobody outside chooses them, so they need no hash that withstands being chosen.
#[derive(Default)]
pub struct Replays {
    frames: HashMap<(Position, usize, Manner), Bytes, FixedState>,
    groups: HashMap<(usize, Parts), Bytes, FixedState>,
    bytes: usize,
    /// What was done since it was last asked, in units of [`effort`].
    effort: usize,
    pub verdicts: Verdicts,
    /// Where it is noted what is left out of a replay.
    pub(super) notes: Notes,
}

/// What a piece is made of.
type Parts = Vec<(Position, Manner)>;

/// How many bytes of encodings are kept between sessions of one round.
const REPLAY_BYTES_MAX: usize = 8 << 20;

impl Replays {
    pub fn frame(&mut self, wire: &dyn Wire, position: Position, manner: Manner, publication: &Publication) -> Bytes {
        self.shrink();
        let (bytes, effort) = (&mut self.bytes, &mut self.effort);
        let frame = self.frames.entry((position, wire.kind(), manner)).or_insert_with(|| {
            let frame = encode(wire, publication, manner);
            *bytes += frame.len();
            *effort += effort::FRAME;
            frame
        });
        frame.clone()
    }

    /// The frames as one piece; sessions that miss the same publications share it.
    pub fn group(&mut self, wire: &dyn Wire, parts: Parts, frames: &[Bytes]) -> Bytes {
        if let [only] = frames {
            return only.clone();
        }
        let bytes = &mut self.bytes;
        let group = self.groups.entry((wire.kind(), parts)).or_insert_with(|| {
            let whole = Bytes::from(frames.concat());
            *bytes += whole.len();
            whole
        });
        group.clone()
    }

    pub(super) fn new(notes: Notes) -> Self {
        Self { notes, ..Self::default() }
    }

    pub fn clear(&mut self) {
        *self = Self { effort: self.effort, ..Self::new(self.notes.take()) };
    }

    pub(super) fn looked_at(&mut self, entries: usize) {
        self.effort += entries * effort::LOOK;
    }

    pub(super) fn take_effort(&mut self) -> usize {
        std::mem::take(&mut self.effort)
    }

    fn shrink(&mut self) {
        if self.bytes > REPLAY_BYTES_MAX {
            self.clear();
        }
    }
}

pub fn encode(wire: &dyn Wire, publication: &Publication, manner: Manner) -> Bytes {
    push(wire, &Push::Publication { publication, manner })
}

pub fn push(wire: &dyn Wire, push: &Push<'_>) -> Bytes {
    let mut out = BytesMut::new();
    wire.push(push, &mut out);
    out.freeze()
}
