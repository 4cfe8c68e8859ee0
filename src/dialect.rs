//! Dialects: what clients of other servers speak, so that they connect unchanged (docs/dialects.md).
//!
//! One small pure file per dialect turns its messages into native commands and native pushes and answers into its messages. Everything
//! else is shared: a dialect's sessions are sessions, its rooms are rooms, and no grant or limit is asked here. The WebSocket door gives
//! each dialect its path, the session reads by it, `transport::websocket::wire` puts what it writes into frames.

pub mod api_v2;
pub mod channels;
pub mod chat;
pub mod command_center;
pub mod config;
mod writing;

use bytes::BytesMut;

use crate::protocol::command::Unreadable;
use crate::protocol::push::{Answer, Push};
use crate::protocol::{Command, Fault};

pub use config::{Config, Guest};

/// One way of speaking. What it reads and writes may depend on nothing but the arguments, for bytes are shared between sessions.
#[derive(Debug)]
pub struct Dialect {
    /// As the configuration lists it.
    pub name: &'static str,
    pub path: &'static str,
    /// Events that may be published wherever the dialect is enabled, besides the configured ones; a final `*` stands for any rest.
    pub events: &'static [&'static str],
    /// Whether its clients may publish any well-formed event.
    pub has_free_events: bool,
    /// What a session is subscribed to by itself, because its client never asks.
    pub follows: Follows,
    /// Whether its clients can authenticate by a message. If not, a connection without a token is a guest's or refused at once.
    pub authenticates_by_message: bool,
    pub read: fn(&[u8]) -> Result<Command, Unreadable>,
    /// Appends the push as one message; nothing where the dialect has no words for it.
    pub push: fn(&Push<'_>, &mut BytesMut),
    /// Appends the answer, given at this time in Unix milliseconds, as one message; nothing where the dialect has no words for it.
    pub answer: fn(&Answer, u64, &mut BytesMut),
    /// Appends what the server says first.
    pub greet: fn(u64, &mut BytesMut),
}

/// Subscriptions that a session gets without asking, as far as it is granted them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Follows {
    Nothing,
    /// All that its grants allow.
    Everything,
    /// What its grants allow of these channels.
    Channels(&'static [&'static str]),
}

/// All dialects; a new one is a file, and a line here.
pub static ALL: [Dialect; 4] = [command_center::DIALECT, api_v2::DIALECT, chat::DIALECT, channels::DIALECT];

impl Dialect {
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|dialect| dialect.name == name)
    }

    /// Its place among all of them.
    pub fn index(&self) -> usize {
        ALL.iter().position(|dialect| dialect.name == self.name).unwrap_or_default()
    }
}

fn says_nothing_first(_now_ms: u64, _out: &mut BytesMut) {}

/// A message that is no command of the dialect.
fn unknown(expected: &'static str) -> Unreadable {
    Fault::new(crate::protocol::Code::InvalidMessage, expected).into()
}

#[cfg(test)]
mod tests;
