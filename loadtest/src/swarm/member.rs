//! One subscriber of a swarm: how it comes in, what it says, what comes to it.

use std::io;

use super::door::{Door, head_end};
use super::due::Due;
use super::judge::{Account, Judge};
use super::line::{Line, Received};
use super::register::Register;
use super::reply;
use super::scan::{CLOSE, OPCODE, PING, PONG, TEXT, frame};
use super::tally::Span;
use crate::clock::Clock;
use crate::socket::client_frame;

/// How far a member has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Connecting,
    Upgrading,
    /// The first command is out.
    Introduced,
    Live,
    Gone,
}

/// A command that has no reply yet.
pub(super) enum Pending {
    Subscribe(Vec<u32>),
    Unsubscribe(Vec<u32>),
}

pub(super) struct Member {
    pub line: Line,
    pub stage: Stage,
    pub account: Account,
    /// Which door it comes in by.
    pub door: usize,
    /// Its first command, until that is out.
    pub introduction: Option<Box<str>>,
    pub begun_us: u64,
    /// It leaves what comes in the socket.
    pub is_deaf: bool,
    pub pending: Option<Pending>,
}

/// What members use and share while they are attended to.
pub(super) struct Court<'a> {
    pub judge: &'a mut Judge,
    pub scratch: &'a mut [u8],
    pub doors: &'a [Door],
    pub clock: &'a Clock,
    /// Members that are in.
    pub live: &'a mut usize,
    /// Why the first member that was not let in was not.
    pub refusal: &'a mut Option<String>,
}

impl Member {
    /// Does what can be done without waiting.
    pub fn attend(&mut self, writable: bool, court: &mut Court<'_>) {
        if writable && let Err(error) = self.go_on(court) {
            return self.end(court, &error.to_string());
        }
        while !self.is_deaf && self.stage != Stage::Gone {
            match self.line.read(court.scratch) {
                Received::Nothing => return,
                Received::Ended => return self.end(court, "the connection ended without a close frame"),
                Received::Some(length, more) => {
                    let scratch = std::mem::take(&mut court.scratch);
                    self.take_in(&scratch[..length], court);
                    court.scratch = scratch;
                    if !more {
                        return;
                    }
                }
            }
        }
    }

    fn go_on(&mut self, court: &mut Court<'_>) -> io::Result<()> {
        if self.stage != Stage::Connecting {
            return self.line.flush();
        }
        if self.line.is_connected()? {
            self.stage = Stage::Upgrading;
            self.line.send(court.doors[self.door].handshake.request.as_bytes())?;
        }
        Ok(())
    }

    /// The connection is over though nobody here ended it.
    fn end(&mut self, court: &mut Court<'_>, why: &str) {
        match self.stage {
            Stage::Gone => return,
            Stage::Live => {
                court.judge.tally.counts.closed += 1;
                court.judge.tally.show("a connection was ended", why.as_bytes());
                *court.live -= 1;
            }
            Stage::Connecting => {
                let address = court.doors[self.door].address;
                court.refusal.get_or_insert_with(|| format!("nobody is reached at {address}: {why}"));
            }
            Stage::Upgrading | Stage::Introduced => {
                court.refusal.get_or_insert_with(|| format!("{why}; do the token's grants and the node's limits allow it?"));
            }
        }
        self.stage = Stage::Gone;
    }

    fn take_in(&mut self, bytes: &[u8], court: &mut Court<'_>) {
        court.judge.tally.bytes += bytes.len() as u64;
        let now_us = court.clock.now_us();
        if self.line.partial.is_empty() && self.stage != Stage::Upgrading {
            let used = self.frames(bytes, court, now_us);
            self.line.partial.extend_from_slice(&bytes[used..]);
        } else {
            let mut whole = std::mem::take(&mut self.line.partial);
            whole.extend_from_slice(bytes);
            let head = if self.stage == Stage::Upgrading { self.upgraded(&whole, court) } else { Some(0) };
            if let Some(head) = head {
                let used = head + self.frames(&whole[head..], court, now_us);
                whole.drain(..used);
            }
            self.line.partial = whole;
        }
        if let Some(since_us) = self.account.returning_us
            && self.stage == Stage::Live
            && self.account.missing(&court.judge.register) == 0
        {
            self.account.returning_us = None;
            court.judge.tally.record(Span::Whole, now_us.saturating_sub(since_us));
        }
    }

    /// Introduces itself once the response's head is whole; where the head ends.
    fn upgraded(&mut self, bytes: &[u8], court: &mut Court<'_>) -> Option<usize> {
        let end = head_end(bytes)?;
        let introduction = self.introduction.take().unwrap_or_default();
        let checked = court.doors[self.door].handshake.check(&String::from_utf8_lossy(&bytes[..end]));
        let sent = checked.map_err(|error| error.to_string()).and_then(|()| {
            self.stage = Stage::Introduced;
            self.line.send(&client_frame(TEXT, introduction.as_bytes())).map_err(|error| error.to_string())
        });
        if let Err(why) = sent {
            self.end(court, &why);
        }
        Some(end)
    }

    /// Takes in the frames that are whole; how many bytes they took up.
    fn frames(&mut self, bytes: &[u8], court: &mut Court<'_>, now_us: u64) -> usize {
        let mut used = 0;
        while let Some((payload, length)) = frame(&bytes[used..]) {
            let first = bytes[used];
            used += length;
            match first & OPCODE {
                TEXT if court.judge.message(&mut self.account, first, payload, now_us) => {}
                TEXT => self.reply(payload, court, now_us),
                PING => {
                    if let Err(error) = self.line.send(&client_frame(PONG, payload)) {
                        self.end(court, &error.to_string());
                    }
                }
                CLOSE => self.end(court, &reply::close(payload)),
                _ => {}
            }
        }
        used
    }

    fn reply(&mut self, payload: &[u8], court: &mut Court<'_>, now_us: u64) {
        let is_error = payload.starts_with(br#"{"event":"error""#);
        if self.stage == Stage::Introduced {
            if reply::is_welcome(payload) {
                self.stage = Stage::Live;
                *court.live += 1;
                self.account.last = self.account.last.or_else(|| reply::position(payload));
                court.judge.tally.record(Span::Join, now_us.saturating_sub(self.begun_us));
                self.subscribed(&court.judge.register);
            } else if is_error {
                self.end(court, &String::from_utf8_lossy(payload));
            }
            return;
        }
        if is_error {
            court.judge.tally.counts.refused += 1;
            court.judge.tally.show("a command was refused", payload);
            self.pending = None;
            return;
        }
        let is = |event: &str| payload.get(10..).is_some_and(|rest| rest.starts_with(event.as_bytes()));
        match &self.pending {
            Some(Pending::Subscribe(_)) if is("\"subscribed\"") => self.subscribed(&court.judge.register),
            Some(Pending::Unsubscribe(strands)) if is("\"unsubscribed\"") => {
                self.account.dues.retain(|due| !strands.contains(&due.strand));
                court.judge.register.dismiss(strands.iter().copied());
                self.pending = None;
            }
            _ => {}
        }
    }

    /// Asks for strands from where they stand now. Until the reply nobody can say which number that is: a node may still have to hear of
    /// one that another node has acknowledged already. What the member has had before does not come again, or its position would tell.
    pub fn ask_for(&mut self, strands: &[u32], register: &mut Register) {
        for strand in strands {
            if let Err(place) = self.account.dues.binary_search_by_key(strand, |due| due.strand) {
                self.account.dues.insert(place, Due { strand: *strand, next: 0, slack: u64::MAX });
                register.entitle([*strand]);
            }
        }
        self.pending = Some(Pending::Subscribe(strands.to_vec()));
    }

    /// What was given out until now the new subscription may have missed; what is given out from now on it may not.
    fn subscribed(&mut self, register: &Register) {
        let Some(Pending::Subscribe(strands)) = self.pending.take() else { return };
        for due in self.account.dues.iter_mut().filter(|due| due.slack == u64::MAX && strands.contains(&due.strand)) {
            let given = register.strand(due.strand).map_or(0, |strand| strand.given);
            due.slack = given.saturating_sub(due.next);
        }
    }
}
