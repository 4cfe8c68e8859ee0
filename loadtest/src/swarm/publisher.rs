//! A publisher beside a swarm: many publications under way on one connection, none of which waits for the answer to the one before.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;

use super::judge::Judge;
use super::line::{Line, Received};
use super::scan::PONG;
use super::speech::{Heard, Speech};
use super::tally::Span;
use crate::socket::client_frame;

/// A connection that publishes.
pub struct Publisher {
    pub(super) line: Line,
    speech: Speech,
    /// When what has no answer yet was due, in the order of the answers.
    under_way: VecDeque<u64>,
}

impl Publisher {
    /// On a connection that is past its beginning.
    ///
    /// # Errors
    /// When the socket cannot be used without waiting.
    pub fn new(tcp: TcpStream, early: Vec<u8>, speech: Speech) -> io::Result<Self> {
        tcp.set_nonblocking(true)?;
        Ok(Self { line: Line::new(mio::net::TcpStream::from_std(tcp), early), speech, under_way: VecDeque::new() })
    }

    /// Hands in one publication; it goes out with the next [`Publisher::pump`].
    pub(super) fn say(&mut self, due_us: u64, room: &str, data: &str) {
        self.speech.say(room, data, self.line.out());
        self.under_way.push_back(due_us);
    }

    /// Publications that have no answer yet.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Writes what waits and reads the answers, as far as neither takes waiting.
    ///
    /// # Errors
    /// When the connection is of no use any more.
    pub(super) fn pump(&mut self, scratch: &mut [u8], judge: &mut Judge, now_us: impl Fn() -> u64) -> io::Result<()> {
        self.line.flush()?;
        loop {
            match self.line.read(scratch) {
                Received::Some(length, more) => {
                    self.line.partial.extend_from_slice(&scratch[..length]);
                    self.hear(judge, now_us())?;
                    if !more {
                        return Ok(());
                    }
                }
                Received::Nothing => return Ok(()),
                Received::Ended => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended a publisher's connection")),
            }
        }
    }

    fn hear(&mut self, judge: &mut Judge, now_us: u64) -> io::Result<()> {
        let Self { line, speech, under_way } = self;
        let (mut used, mut pongs) = (0, Vec::new());
        while let Some((heard, length)) = speech.hear(&line.partial[used..]) {
            match heard {
                Heard::Acked | Heard::Refused(_) => {
                    let due_us = under_way.pop_front().unwrap_or_default();
                    if let Heard::Refused(why) = heard {
                        judge.tally.counts.refused += 1;
                        judge.tally.show("a publication was refused", why);
                    } else {
                        judge.tally.record(Span::Ack, now_us.saturating_sub(due_us));
                    }
                }
                Heard::Ping(payload) => pongs.extend_from_slice(&client_frame(PONG, payload)),
                Heard::Nothing => {}
            }
            used += length;
        }
        line.partial.drain(..used);
        if pongs.is_empty() { Ok(()) } else { line.send(&pongs) }
    }
}
