//! Walks through an org's past, page by page: what REST and the command `history` share.
//!
//! It reads the broker only, bounded in entries and bytes, and leaves to its callers what they show of it.

use super::{Broker, Entry, LogState, PageLimit, ReadError};
use crate::protocol::push::Gap;
use crate::protocol::{GapReason, OrgId, Position};

/// Bytes of one read.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Entries of the first read backwards; most who ask for the newest ask for few.
const FIRST_WINDOW: usize = 64;
/// Entries of any later one.
const WINDOW_MAX: usize = 256;

/// Where to walk, and how far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Walk {
    /// Forward from behind this position or from the oldest entry on; backwards from in front of it or from the newest one on.
    pub since: Option<Position>,
    pub reverse: bool,
    /// Most entries to look at; at least one.
    pub entries_max: usize,
}

/// Where a walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Walked {
    /// What the log no longer holds, at the side on which the walk began or, backwards, behind its end.
    pub lost: Option<Gap>,
    /// Where the next walk goes on.
    pub next: Option<Position>,
    /// Whether there is nothing more in this direction.
    pub end: bool,
}

/// Whether the walk goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visit {
    On,
    Enough,
}

/// Shows entries one after another, each with the place before it in the walk.
///
/// # Errors
/// [`ReadError`] when the broker cannot be read.
pub async fn walk(
    broker: &dyn Broker,
    org: &OrgId,
    walk: Walk,
    mut visit: impl FnMut(Option<Position>, &Entry) -> Visit + Send,
) -> Result<Walked, ReadError> {
    let state = broker.open(org).await?;
    if walk.reverse { backwards(broker, org, walk, state, &mut visit).await } else { forward(broker, org, walk, state, &mut visit).await }
}

async fn forward(
    broker: &dyn Broker,
    org: &OrgId,
    Walk { since, entries_max, .. }: Walk,
    state: LogState,
    visit: &mut (impl FnMut(Option<Position>, &Entry) -> Visit + Send),
) -> Result<Walked, ReadError> {
    let start = Start::of(since, state);
    // One entry more, because the first one may be `since` itself, read again to see whether it is still the same.
    let page = broker.read(org, start.from_seq, PageLimit { entries: entries_max + 1, bytes: PAGE_BYTES_MAX }).await?;
    let (lost, known) = start.compare(page.entries.first());
    let entries = &page.entries[usize::from(known)..];
    let mut walked = Walked { lost: None, next: since, end: page.end };
    if let Some(reason) = lost {
        let to = entries.first().map_or(state.last, |first| before(first.position));
        walked = Walked { lost: Some(Gap { from: since, to, reason }), next: Some(to), ..walked };
    }
    for (index, entry) in entries.iter().enumerate() {
        let visited = visit(walked.next, entry);
        walked.next = Some(entry.position);
        if visited == Visit::Enough || index + 1 == entries_max {
            walked.end = page.end && index + 1 == entries.len();
            break;
        }
    }
    Ok(walked)
}

async fn backwards(
    broker: &dyn Broker,
    org: &OrgId,
    Walk { since, entries_max, .. }: Walk,
    state: LogState,
    visit: &mut (impl FnMut(Option<Position>, &Entry) -> Visit + Send),
) -> Result<Walked, ReadError> {
    let over = |reason: GapReason, to: Position| Walked { lost: Some(Gap { from: None, to, reason }), next: Some(to), end: true };
    let mut upper = state.last.seq;
    if let Some(since) = since {
        if let Some(reason) = stranger(broker, org, since, state).await? {
            return Ok(over(reason, since));
        }
        upper = since.seq.saturating_sub(1);
    }
    let (mut next, mut left, mut window) = (since, entries_max as u64, FIRST_WINDOW as u64);
    while left > 0 && upper >= state.first_seq {
        let from = (upper + 1).saturating_sub(window.min(left)).max(state.first_seq);
        let limit = PageLimit { entries: usize::try_from(upper + 1 - from).unwrap_or(WINDOW_MAX), bytes: PAGE_BYTES_MAX };
        let page = broker.read(org, from, limit).await?;
        if page.epoch != state.last.epoch {
            return Ok(over(GapReason::LogLost, next.unwrap_or(state.last)));
        }
        let reaches = page.entries.last().is_some_and(|newest| newest.position.seq >= upper);
        if !reaches && from == upper {
            // It was trimmed away since the log was opened, and so was all before it.
            upper = 0;
            break;
        }
        if !reaches {
            // The bytes of the page did not suffice, so a shorter stretch must do.
            window = (upper + 1 - from) / 2;
            continue;
        }
        for entry in page.entries.iter().rev() {
            let visited = visit(next, entry);
            next = Some(entry.position);
            (left, upper) = (left - 1, entry.position.seq - 1);
            if visited == Visit::Enough {
                left = 0;
                break;
            }
        }
        if left > 0 && upper + 1 > from {
            upper = 0;
        }
        window = (window * 2).min(WINDOW_MAX as u64);
    }
    let end = upper < state.first_seq;
    let oldest = next.filter(|oldest| end && oldest.seq > 1);
    let lost = oldest.map(|oldest| Gap { from: None, to: before(oldest), reason: GapReason::Trimmed });
    Ok(Walked { lost, next, end })
}

/// Why a position is no place in the present log, if it is none: what came before it is not known then.
async fn stranger(broker: &dyn Broker, org: &OrgId, since: Position, state: LogState) -> Result<Option<GapReason>, ReadError> {
    if since.epoch != state.last.epoch {
        return Ok(Some(GapReason::LogLost));
    }
    if since.seq > state.last.seq {
        return Ok(Some(GapReason::Fork));
    }
    if since.seq < state.first_seq || since.check == 0 {
        return Ok(None);
    }
    let page = broker.read(org, since.seq, PageLimit { entries: 1, bytes: PAGE_BYTES_MAX }).await?;
    let other = page.entries.first().is_some_and(|entry| entry.position.seq == since.seq && entry.position != since);
    Ok(other.then_some(GapReason::Fork))
}

/// Where reading begins.
#[derive(Clone, Copy)]
struct Start {
    from_seq: u64,
    /// The position that the first entry must have, if it is the one of `since`.
    since: Option<Position>,
    gap: Option<GapReason>,
}

impl Start {
    fn of(since: Option<Position>, state: LogState) -> Self {
        let oldest = |gap| Self { from_seq: state.first_seq, since, gap };
        match since {
            None => oldest(None),
            Some(since) if since.epoch != state.last.epoch => oldest(Some(GapReason::LogLost)),
            // A number that the log has not reached yet was given by another history.
            Some(since) if since.seq > state.last.seq => oldest(Some(GapReason::Fork)),
            Some(since) if since.seq + 1 < state.first_seq => oldest(Some(GapReason::Trimmed)),
            Some(since) => Self { from_seq: since.seq, since: Some(since), gap: None },
        }
    }

    /// What was lost before the first entry, and whether that entry is the one of `since` itself, which is known already.
    fn compare(self, first: Option<&Entry>) -> (Option<GapReason>, bool) {
        let (Some(since), Some(first), None) = (self.since, first.map(|first| first.position), self.gap) else {
            return (self.gap, false);
        };
        match first {
            same if same == since => (None, true),
            other if other.epoch != since.epoch => (Some(GapReason::LogLost), false),
            other if other.seq == since.seq => (Some(GapReason::Fork), false),
            // The log was trimmed since it was opened.
            other if other.seq > since.seq + 1 => (Some(GapReason::Trimmed), false),
            _ => (None, false),
        }
    }
}

/// The place just before an entry, as far as it can be named: its own check value is not known.
fn before(position: Position) -> Position {
    Position { seq: position.seq.saturating_sub(1), check: 0, ..position }
}

#[cfg(test)]
mod tests;
