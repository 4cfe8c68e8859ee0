//! How members come, go, come back and change what they want.

use std::io;
use std::time::Instant;

use anyhow::{Context, bail};

use super::judge::Account;
use super::member::{Pending, Stage};
use super::scan::TEXT;
use super::{Invitation, Swarm, TURN};
use crate::socket::client_frame;

impl Swarm {
    /// Lets members in, at most `at_once` at a time; `each_turn` is called meanwhile.
    ///
    /// # Errors
    /// When one is not let in, or not all are within the deadline.
    pub fn admit(
        &mut self,
        at_once: usize,
        deadline: Instant,
        invitations: Vec<Invitation>,
        mut each_turn: impl FnMut(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (first, live, count) = (self.members.len(), self.live, invitations.len());
        let mut invitations = invitations.into_iter();
        loop {
            let done = self.live - live;
            if let Some(why) = self.refusal.take() {
                bail!("a subscriber was not let in after {done} of {count} were: {why}");
            }
            if done == count {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("only {done} of {count} subscribers were let in within the deadline");
            }
            while self.members.len() - first < done + at_once.max(1)
                && let Some(invitation) = invitations.next()
            {
                let address = self.doors[invitation.door].address;
                self.invite(invitation)
                    .with_context(|| format!("subscriber {} of {count} cannot connect to {address}", self.members.len() - first))?;
            }
            self.turn(TURN)?;
            each_turn(self)?;
        }
    }

    /// Ends a member's connection as a lost network does. It stays entitled to what it is entitled to.
    pub fn cut(&mut self, number: usize) {
        let member = &mut self.members[number];
        self.live -= usize::from(member.stage == Stage::Live);
        member.stage = Stage::Gone;
        member.line.close();
    }

    /// Lets a member that was cut come back by any door, where it goes on from.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn bring_back(&mut self, number: usize, door: usize, introduction: String) -> io::Result<()> {
        let apart = self.members[number].account.apart;
        let stream = self.doors[door].connect(number, apart)?;
        let mut account = std::mem::replace(&mut self.members[number].account, Account::new(Vec::new(), false));
        account.returning_us = Some(self.clock.now_us());
        self.seat(number, stream, Stage::Connecting, account)?;
        self.members[number].door = door;
        self.members[number].introduction = Some(introduction.into());
        Ok(())
    }

    /// Ends a member's connection for good: nothing more is held against the server on its behalf.
    pub fn dismiss(&mut self, number: usize) {
        self.cut(number);
        let dues = std::mem::take(&mut self.members[number].account.dues);
        self.judge.register.dismiss(dues.iter().map(|due| due.strand));
    }

    /// Lets a new member take the number of one that was dismissed.
    ///
    /// # Errors
    /// When there is no socket to be had.
    pub fn replace(&mut self, number: usize, invitation: Invitation) -> io::Result<()> {
        let Invitation { door, introduction, strands, apart } = invitation;
        let stream = self.doors[door].connect(number, apart)?;
        self.seat(number, stream, Stage::Connecting, Account::new(Vec::new(), apart))?;
        let member = &mut self.members[number];
        (member.door, member.introduction) = (door, Some(introduction.into()));
        member.ask_for(&strands, &mut self.judge.register);
        Ok(())
    }

    /// Has a member leave what comes in its socket, or read on and make up for what it left.
    pub fn set_deaf(&mut self, number: usize, is_deaf: bool) {
        let now_us = self.clock.now_us();
        let member = &mut self.members[number];
        member.is_deaf = is_deaf;
        if !is_deaf {
            member.account.returning_us = Some(now_us);
            // The poll has told of what waits in the socket, and does not again.
            self.attend(number, true);
        }
    }

    /// Subscribes a member to a pattern, which reaches `strands`; one command at a time. Whether it was sent.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn subscribe(&mut self, number: usize, pattern: &str, strands: &[u32]) -> io::Result<bool> {
        if !self.is_free(number) {
            return Ok(false);
        }
        self.members[number].ask_for(strands, &mut self.judge.register);
        self.command(number, "subscribe", pattern)
    }

    /// Takes a member's subscription to a pattern back, which reaches `strands`. Whether it was sent.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn unsubscribe(&mut self, number: usize, pattern: &str, strands: Vec<u32>) -> io::Result<bool> {
        if !self.is_free(number) {
            return Ok(false);
        }
        self.members[number].pending = Some(Pending::Unsubscribe(strands));
        self.command(number, "unsubscribe", pattern)
    }

    /// Whether a member is to receive a strand, or has just asked for it.
    pub fn is_entitled(&self, number: usize, strand: u32) -> bool {
        self.members[number].account.dues.binary_search_by_key(&strand, |due| due.strand).is_ok()
    }

    /// Whether a member is in and waits for no reply.
    fn is_free(&self, number: usize) -> bool {
        let member = &self.members[number];
        member.stage == Stage::Live && member.pending.is_none()
    }

    fn command(&mut self, number: usize, event: &str, pattern: &str) -> io::Result<bool> {
        let command = format!(r#"{{"event":"{event}","id":2,"data":{{"rooms":["{pattern}"]}}}}"#);
        self.members[number].line.send(&client_frame(TEXT, command.as_bytes()))?;
        Ok(true)
    }
}
