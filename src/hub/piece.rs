//! Pieces of the log for sessions in catch-up: from a run of entries to the bytes of one push.
//!
//! `catch_up` decides from where, and what becomes of a piece that finds no room. Frames are shared by all sessions that are served in
//! the same round.

use std::iter::Peekable;
use std::sync::Arc;

use bytes::Bytes;

use super::conflation::Conflation;
use super::frames::{self, Replays};
use super::member::Member;
use super::trace::What;
use super::verdicts::Verdicts;
use crate::broker::{Body, Entry};
use crate::clock::unix_us;
use crate::protocol::push::{Gap, GapReason, Manner};
use crate::protocol::{Position, Priority, Publication, Push};
use crate::telemetry::metrics::{self, DropReason};

/// Most entries in a piece. The task gives way between pieces.
const ENTRIES_MAX: usize = 128;
/// Most where low priority may give way: the more, the less is sent.
const CONFLATED_MAX: usize = 1_024;

/// What a run of entries comes to for one session.
pub(super) struct Piece {
    /// Where the run ends.
    pub cursor: Position,
    /// `None` when nothing in it concerns the session.
    pub bytes: Option<Bytes>,
    /// What in it asks to be acknowledged.
    pub asking: Vec<Arc<Publication>>,
}

impl Piece {
    /// The next one for a member that has everything up to `before`, of about `room` bytes. `conflate` lets low priority give way where the
    /// member is slow.
    pub(super) fn take<'a, I>(
        member: &mut Member,
        entries: &mut Peekable<I>,
        before: Position,
        room: usize,
        conflate: bool,
        replays: &mut Replays,
    ) -> Self
    where
        I: Iterator<Item = &'a Entry> + Clone,
    {
        let now_us = unix_us();
        let (seam_seq, slow) = member.catch_up().map_or((0, false), |catch_up| (catch_up.seam_seq, catch_up.slow));
        // Set aside, because the frames are added to while they are asked.
        let verdicts = std::mem::take(&mut replays.verdicts);
        let wanted =
            |publication: &Arc<Publication>, position: Position| wanted(member, publication, position, seam_seq, now_us, &verdicts);
        let run = entries.clone().take(CONFLATED_MAX);
        let conflation = if conflate && slow && member.wire.is_native() { Conflation::of(run, room, wanted) } else { None };
        let is_over = |seq: u64, bytes: usize| conflation.as_ref().map_or(bytes >= room, |conflation| seq >= conflation.end.seq);
        let (mut gaps, mut asking) = (false, Vec::new());
        let (mut cursor, mut told_seq, mut parts, mut frames, mut bytes) = (before, None, Vec::new(), Vec::new(), 0);
        let entries_max = if conflation.is_some() { CONFLATED_MAX } else { ENTRIES_MAX };
        let mut looked_at = 0;
        for entry in entries.take(entries_max) {
            looked_at += 1;
            let seq = entry.position.seq;
            let manner = Manner { replayed: seq <= seam_seq, ..manner(conflation.as_ref(), seq) };
            let frame = match &entry.body {
                Body::Publication(_) if conflation.as_ref().is_some_and(|conflation| conflation.leaves_out(seq)) => None,
                Body::Publication(publication) if wanted(publication, entry.position) => {
                    if publication.requires_ack {
                        asking.push(Arc::clone(publication));
                    }
                    Some(replays.frame(member.wire.as_ref(), entry.position, manner, publication))
                }
                Body::Fence(_) | Body::Newer => {
                    let gap = admitted(entry, cursor);
                    metrics::gaps(gap.reason).increment(1);
                    gaps = true;
                    Some(frames::push(member.wire.as_ref(), &Push::Gap(&gap)))
                }
                Body::Publication(_) | Body::Malformed => None,
            };
            cursor = entry.position;
            if let Some(frame) = frame {
                bytes += frame.len();
                told_seq = Some(seq);
                parts.push((entry.position, manner));
                frames.push(frame);
            }
            if is_over(seq, bytes) {
                break;
            }
        }
        replays.verdicts = verdicts;
        replays.looked_at(looked_at);
        metrics::delivered().increment(frames.len() as u64);
        let piece = match conflation {
            Some(conflation) => {
                let notice = conflation.notice(before);
                if let Some(ring) = &replays.notes {
                    ring.note(member.session, before.into(), What::LeftOut { seqs: conflation.left_out() });
                }
                metrics::dropped(DropReason::Conflated).increment(u64::from(notice.left_out));
                frames.insert(0, frames::push(member.wire.as_ref(), &Push::Conflated(&notice)));
                Some(Bytes::from(frames.concat()))
            }
            None if frames.is_empty() => None,
            None => Some(replays.group(member.wire.as_ref(), parts, &frames)),
        };
        member.told_seq = told_seq.unwrap_or(member.told_seq);
        if let Some(catch_up) = member.catch_up() {
            catch_up.told_gap |= gaps;
        }
        Self { cursor, bytes: piece, asking }
    }
}

/// What is missing at an entry that is no publication, for a session that has everything up to `before`.
fn admitted(entry: &Entry, before: Position) -> Gap {
    match &entry.body {
        // Entries may stand between the parting of the histories and the fence, and the session may come from one of them: where the loss
        // began is not known.
        Body::Fence(reason) => Gap { from: None, to: entry.position, reason: *reason },
        _ => Gap { from: Some(before), to: entry.position, reason: GapReason::Unreadable },
    }
}

fn manner(conflation: Option<&Conflation>, seq: u64) -> Manner {
    Manner { conflated: conflation.map_or(0, |conflation| conflation.stands_for(seq)), ..Manner::PLAIN }
}

fn wanted(member: &Member, publication: &Arc<Publication>, position: Position, seam_seq: u64, now_us: u64, verdicts: &Verdicts) -> bool {
    // Few are urgent, and fewer have gone ahead.
    let had = || publication.priority == Priority::Urgent && member.overtaken.contains(position);
    member.wants(publication, position.seq, seam_seq, verdicts) && !publication.expired_at(now_us) && !had()
}
