//! The store of presence: which sessions are in a room, kept for the whole cluster, and the news of what changes there.
//!
//! The hub writes what its sessions want, several changes at once, and keeps a copy of the rooms that its sessions watch: it reads
//! a room once and then follows the news, whose numbers are dense, so that a lost one is seen. A stay lives as long as its
//! owner's lease, of which each node has one per org, so that members who sit still cost nothing. The text forms below stand in
//! Redis and on an org's bus, where anybody may have written: whoever reads them judges everything.
//!
//! ```text
//! stay = owner " " user " " status " " state                     ; owner: 16 hex digits, state: JSON without line ends
//! news = *( session " " told " " stay LF / session LF )          ; the latter: it is gone
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::ReadError;
use super::envelope::hex;
use crate::protocol::presence::{Member, State, Status, UserId};
use crate::protocol::{OrgId, RoomName, SessionId};

/// Whoever keeps stays alive: one org's task on one node, until it has to doubt what the store holds and takes another name. A
/// name whose lease has run out is never used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Owner(pub u64);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Owner {
    pub fn parse(text: &str) -> Option<Self> {
        hex(text).filter(|_| text.len() == 16).map(Self)
    }
}

/// One session in one room.
#[derive(Clone, PartialEq, Debug)]
pub struct Stay {
    /// The room's number when it was told: the greatest among a user's sessions counts.
    pub told: u64,
    pub owner: Owner,
    pub member: Arc<Member>,
}

/// What is to become of one session in one room.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    pub room: RoomName,
    pub session: SessionId,
    /// `None`: it leaves.
    pub to: Option<Arc<Member>>,
    /// It was let in before, so that a full room is no reason to refuse it.
    pub is_admitted: bool,
}

/// What became of a [`Change`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Done,
    /// The room has its full number of sessions.
    Full,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChangeError {
    /// The owner's lease has run out: its stays may be gone. Take another name and tell all of them again.
    #[error("the lease has run out")]
    Lapsed,
    #[error(transparent)]
    Unavailable(#[from] ReadError),
}

/// How a store is to keep stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keeping {
    pub owner: Owner,
    /// Whether the owner has told the store anything before, so that its lease must be running.
    pub is_known: bool,
    pub lease_ms: u64,
    /// Sessions in one room over the whole cluster.
    pub stays_max: usize,
}

/// A room as it stands in the store.
#[derive(Clone, PartialEq, Debug)]
pub struct Roster {
    /// The number of the last change that is in it.
    pub seq: u64,
    pub stays: Vec<(SessionId, Stay)>,
    /// Owners whose leases run; stays of others are about to be swept.
    pub owners: BTreeSet<Owner>,
}

/// What a renewal brings to light.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Names the store's data: another one after a restart or a failover, when anything may be lost or back.
    pub history: Box<str>,
    /// Whether the owner's lease was running.
    pub is_held: bool,
    /// Owners whose leases run.
    pub owners: BTreeSet<Owner>,
    /// The number of each room's last change, `None` where the store has nothing of it.
    pub seqs: Vec<Option<u64>>,
}

/// Changes in a room that are numbered `before + 1` and on, as they came over the bus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    pub room: RoomName,
    pub before: u64,
    /// In the text form; read only where the room is watched.
    pub lines: Bytes,
}

impl News {
    /// How many changes there are, readable or not.
    pub fn count(&self) -> u64 {
        memchr::memchr_iter(b'\n', &self.lines).count() as u64
    }

    /// The changes in their order: each session's stay from now on. `None` when anything of it is malformed.
    pub fn read(&self) -> Option<Vec<(SessionId, Option<Stay>)>> {
        let text = std::str::from_utf8(&self.lines).ok()?;
        // One that was cut off would be one that is not counted.
        text.strip_suffix('\n')?.split('\n').map(read_line).collect()
    }
}

fn read_line(line: &str) -> Option<(SessionId, Option<Stay>)> {
    match line.split_once(' ') {
        None => Some((line.parse().ok()?, None)),
        Some((session, stay)) => Some((session.parse().ok()?, Some(read_stay(stay)?))),
    }
}

/// Adds a line to `lines`; a stay in the text form with its number, or that the session is gone.
pub fn write_line(session: SessionId, stay: Option<&Stay>, lines: &mut String) {
    use fmt::Write;
    let written = match stay {
        Some(stay) => writeln!(lines, "{session} {} {}", stay.told, stay_text(stay.owner, &stay.member)),
        None => writeln!(lines, "{session}"),
    };
    written.expect("writing into memory cannot fail");
}

/// A stay in the text form, without its number.
pub fn stay_text(owner: Owner, member: &Member) -> String {
    format!("{owner} {} {} {}", member.user_id, member.status.as_str(), member.state.as_json())
}

/// Reads `told stay`.
pub fn read_stay(text: &str) -> Option<Stay> {
    let mut words = text.splitn(5, ' ');
    let told = words.next()?.parse().ok()?;
    let owner = Owner::parse(words.next()?)?;
    let user_id = UserId::parse(words.next()?).ok()?;
    let status = Status::parse(words.next()?)?;
    let state = State::stored(words.next()?)?;
    Some(Stay { told, owner, member: Arc::new(Member { user_id, status, state }) })
}

/// Where presence is kept. Every call is bounded in time by the implementation; none panics on what it reads.
#[async_trait]
pub trait PresenceStore: Send + Sync {
    /// Carries the changes out in their order, each room's at one stroke with its news, and gives the owner a lease. What is
    /// as wanted already makes no news. The answer has a verdict for each.
    async fn change_presence(&self, org: &OrgId, changes: &[Change], keeping: Keeping) -> Result<Vec<Verdict>, ChangeError>;

    /// A room as it stands; of a room that nobody is in, too. Its numbers go on from there as long as somebody asks after it.
    async fn presence(&self, room: &RoomName) -> Result<Roster, ReadError>;

    /// Renews the owner's lease if it runs, and keeps the rooms from being forgotten. Without an owner it only looks.
    async fn keep_presence(&self, org: &OrgId, owner: Option<Owner>, lease_ms: u64, rooms: &[RoomName]) -> Result<Kept, ReadError>;

    /// Takes out of the room every stay whose owner's lease has run out, with news, unless the store's data are others by now
    /// than those of `history`.
    async fn sweep_presence(&self, room: &RoomName, history: &str) -> Result<(), ReadError>;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::RoomSyntax;

    fn news(lines: impl Into<Bytes>) -> News {
        News { room: RoomSyntax::new(4, ["chat"]).room("chat:acme").unwrap(), before: 6, lines: lines.into() }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            told: u64, owner: u64, session: u128,
            user in "[A-Za-z0-9_.@-]{4,64}",
            state in prop_oneof![Just("null"), Just("{\"a\":\"b c\"}"), Just("\"\\n é\"")],
        ) {
            let member = Member { user_id: UserId::parse(&user).unwrap(), status: Status::Busy, state: State::stored(state).unwrap() };
            let stay = Stay { told, owner: Owner(owner), member: Arc::new(member) };
            let session = SessionId(uuid::Uuid::from_u128(session));
            let mut lines = String::new();
            write_line(session, Some(&stay), &mut lines);
            write_line(session, None, &mut lines);
            let news = news(lines);
            prop_assert_eq!(news.count(), 2);
            prop_assert_eq!(news.read().unwrap(), [(session, Some(stay)), (session, None)]);
        }

        #[test]
        fn any_bytes_are_judged_without_panic(lines in prop::collection::vec(any::<u8>(), 0..128), line in "[0-9a-f]{0,33} [0-9 ]{0,4}[a-z ]{0,20}[{}\" ]{0,4}\n?") {
            let _ = (news(lines).read(), news(line).read());
        }
    }

    #[test]
    fn what_would_break_a_frame_is_malformed() {
        let session = "019aa594b58070008000000000000001";
        let line = |rest: &str| news(format!("{session} {rest}\n")).read();
        assert!(line("7 00000000000000aa alice online {}").is_some());
        for bad in [
            "7 00000000000000aa alice online",
            "7 00000000000000aa alice online {}}",
            "7 00000000000000aa alice online \"\\ud83d\"",
            "7 00000000000000aa al:ice online null",
            "7 00000000000000aa alice here null",
            "7 aa alice online null",
            "-7 00000000000000aa alice online null",
        ] {
            assert_eq!(line(bad), None, "{bad}");
        }
    }
}
