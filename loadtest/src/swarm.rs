//! Many subscribers, and publishers beside them, on one thread: plain sockets and one poll, so that the tool costs less than what it
//! measures.
//!
//! Scenarios let members in, publish and give the swarm turns; it judges what arrives (`judge` says against what). It trusts the
//! server's framing, as `socket` does. Nothing per delivery allocates.

mod door;
mod due;
mod flux;
mod inflater;
mod judge;
mod line;
mod member;
mod publisher;
mod publishing;
mod register;
mod reply;
mod scan;
mod speech;
mod tally;

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

pub use door::Door;
use due::Due;
use judge::Account;
pub use judge::Judge;
use line::Line;
use member::{Court, Member, Stage};
pub use publisher::Publisher;
pub use register::{EVENT, Register};
pub use speech::Speech;
pub use tally::{Span, Tally};

use crate::clock::Clock;
use crate::position::Position;

/// How much is read from a socket at once.
const SCRATCH_BYTES: usize = 256 << 10;
/// The longest that the tool waits in one turn, so that it looks at the clock.
const TURN: Duration = Duration::from_millis(1);
/// Publishers' tokens begin here, members' at 0.
const PUBLISHERS: usize = usize::MAX / 2;

/// How a member comes in.
pub struct Invitation {
    /// Which of the doors.
    pub door: usize,
    /// The first command; its reply must be no error.
    pub introduction: String,
    /// The strands that it is to receive, in rising order.
    pub strands: Vec<u32>,
    /// Its times are told apart from the others', and its receive buffer is small: it is one that will read slowly.
    pub apart: bool,
}

/// Subscribers, known by numbers from 0, and publishers.
pub struct Swarm {
    poll: Poll,
    events: Events,
    doors: Vec<Door>,
    members: Vec<Member>,
    publishers: Vec<Publisher>,
    pub judge: Judge,
    pub clock: Clock,
    scratch: Box<[u8]>,
    data: String,
    /// Members that are in.
    pub live: usize,
    refusal: Option<String>,
}

impl Swarm {
    /// Without members yet, who will come in by `doors` and receive strands of `register`, at times by `clock`.
    ///
    /// # Errors
    /// When the operating system has no poll to give.
    pub fn new(doors: Vec<Door>, register: Register, clock: Clock) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            doors,
            members: Vec::new(),
            publishers: Vec::new(),
            judge: Judge::new(register),
            clock,
            scratch: vec![0; SCRATCH_BYTES].into(),
            data: String::new(),
            live: 0,
            refusal: None,
        })
    }

    /// How many members have come, whatever became of them.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Begins to let a member in.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn invite(&mut self, invitation: Invitation) -> io::Result<usize> {
        let number = self.members.len();
        let Invitation { door, introduction, strands, apart } = invitation;
        let stream = self.doors[door].connect(number, apart)?;
        self.judge.register.entitle(strands.iter().copied());
        let given = |strand: u32| self.judge.register.strand(strand).map_or(0, |strand| strand.given);
        let account = Account::new(strands.iter().map(|strand| Due::from(*strand, given(*strand))).collect(), apart);
        self.seat(number, stream, Stage::Connecting, account)?;
        self.members[number].door = door;
        self.members[number].introduction = Some(introduction.into());
        Ok(number)
    }

    /// Takes in a connection that needs no introduction, and is to receive `strands`.
    ///
    /// # Errors
    /// When it cannot be polled.
    pub fn adopt(&mut self, tcp: TcpStream, strands: &[u32]) -> io::Result<usize> {
        tcp.set_nonblocking(true)?;
        self.judge.register.entitle(strands.iter().copied());
        let account = Account::new(strands.iter().map(|strand| Due::from(*strand, 0)).collect(), false);
        let number = self.members.len();
        self.live += 1;
        self.seat(number, mio::net::TcpStream::from_std(tcp), Stage::Live, account)?;
        Ok(number)
    }

    fn seat(&mut self, number: usize, stream: mio::net::TcpStream, stage: Stage, account: Account) -> io::Result<()> {
        let begun_us = self.clock.now_us();
        let mut line = Line::new(stream, Vec::new());
        line.register(self.poll.registry(), Token(number))?;
        let member = Member { line, stage, account, door: 0, introduction: None, begun_us, is_deaf: false, pending: None };
        if number < self.members.len() {
            self.members[number] = member;
        } else {
            self.members.push(member);
        }
        Ok(())
    }

    /// Why somebody was not let in, once it happened.
    pub fn take_refusal(&mut self) -> Option<String> {
        self.refusal.take()
    }

    /// Where a member stands in its log.
    pub fn position(&self, number: usize) -> Option<Position> {
        self.members[number].account.last
    }

    /// Which door a member came in by.
    pub fn door(&self, number: usize) -> usize {
        self.members[number].door
    }

    pub fn is_live(&self, number: usize) -> bool {
        self.members[number].stage == Stage::Live
    }

    /// Waits for at most `timeout` and takes in what has come.
    ///
    /// # Errors
    /// When a publisher's connection is lost, or the poll fails.
    pub fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        for index in 0..self.publishers.len() {
            self.publishers[index].line.flush()?;
        }
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let Token(token) = event.token();
            if token < PUBLISHERS {
                self.attend(token, event.is_writable());
            } else {
                let clock = self.clock;
                self.publishers[token - PUBLISHERS].pump(&mut self.scratch, &mut self.judge, || clock.now_us())?;
            }
        }
        self.events = events;
        Ok(())
    }

    fn attend(&mut self, number: usize, writable: bool) {
        let Self { judge, scratch, doors, clock, live, refusal, .. } = self;
        let Some(member) = self.members.get_mut(number) else { return };
        member.attend(writable, &mut Court { judge, scratch, doors, clock, live, refusal });
    }

    /// How many publications members are still to receive.
    pub fn missing(&self) -> u64 {
        self.members.iter().map(|member| member.account.missing(&self.judge.register)).sum()
    }

    /// Waits until nobody misses anything and every publication is answered, and books as lost or refused what is not by the deadline;
    /// `each_turn` is called meanwhile.
    ///
    /// # Errors
    /// What [`Swarm::turn`] and `each_turn` report.
    pub fn settle(&mut self, deadline: Instant, mut each_turn: impl FnMut(&mut Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        while (self.unanswered() > 0 || self.missing() > 0) && Instant::now() < deadline {
            self.turn(TURN)?;
            each_turn(self)?;
        }
        let (missing, unanswered) = (self.missing(), self.unanswered() as u64);
        let tally = &mut self.judge.tally;
        if missing > 0 {
            tally.counts.lost += missing;
            tally.show(&format!("{missing} deliveries were still missing at the deadline"), &[]);
        }
        if unanswered > 0 {
            tally.counts.refused += unanswered;
            tally.show(&format!("{unanswered} publications were not answered by the deadline"), &[]);
        }
        Ok(())
    }

    /// Publications that members have received so far.
    pub fn received(&self) -> u64 {
        self.members.iter().map(|member| member.account.received).sum()
    }

    /// Publications that came in by each door.
    pub fn received_by_door(&self) -> Vec<u64> {
        let mut received = vec![0; self.doors.len().max(1)];
        self.members.iter().for_each(|member| received[member.door] += member.account.received);
        received
    }

    /// Members that are in, by door.
    pub fn live_by_door(&self) -> Vec<u64> {
        let mut live = vec![0; self.doors.len().max(1)];
        self.members.iter().for_each(|member| live[member.door] += u64::from(member.stage == Stage::Live));
        live
    }
}
