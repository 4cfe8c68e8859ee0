//! How publications leave a swarm.

use std::io;

use mio::Token;

use super::{PUBLISHERS, Publisher, Span, Swarm};

/// What may wait to go out by one publisher, in bytes.
const WAITING_BYTES_MAX: usize = 8 << 20;

impl Swarm {
    /// Takes a publisher in; its index.
    ///
    /// # Errors
    /// When it cannot be polled.
    pub fn add_publisher(&mut self, mut publisher: Publisher) -> io::Result<usize> {
        let token = Token(PUBLISHERS + self.publishers.len());
        publisher.line.register(self.poll.registry(), token)?;
        self.publishers.push(publisher);
        Ok(self.publishers.len() - 1)
    }

    /// Publishes the next number of a strand, due at `due_us` and filled with the JSON value `filling`.
    pub fn publish(&mut self, strand: u32, due_us: u64, filling: &str) {
        self.data.clear();
        self.judge.register.give(strand, due_us, filling, &mut self.data);
        let Some(known) = self.judge.register.strand(strand) else { return };
        self.publishers[known.publisher].say(due_us, &known.room, &self.data);
        self.judge.tally.record(Span::Late, self.clock.now_us().saturating_sub(due_us));
    }

    /// Publications that have no answer yet.
    pub fn unanswered(&self) -> usize {
        self.publishers.iter().map(Publisher::under_way).sum()
    }

    /// So much waits to go out that nothing should be added.
    pub fn is_clogged(&self) -> bool {
        self.publishers.iter().any(|publisher| publisher.line.waiting_bytes() > WAITING_BYTES_MAX)
    }
}
