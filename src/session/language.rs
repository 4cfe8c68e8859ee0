//! How a session's client is spoken with: which messages it sends, and as what it gets ours.
//!
//! Doors make one for each way of speaking that they know; all sessions that speak alike share it.

use std::sync::Arc;

use super::machine::Rules;
use crate::dialect::{Dialect, Guest};
use crate::protocol::codec::msgpack;
use crate::protocol::command::Unreadable;
use crate::protocol::{Command, EventRules, Wire};

/// Reads one message.
pub type Read = Box<dyn Fn(&[u8]) -> Result<Command, Unreadable> + Send + Sync>;

/// One way of speaking, on one kind of wire.
pub struct Language {
    pub wire: Arc<dyn Wire>,
    pub read: Read,
    /// Whether its messages come in binary frames; others then have no place, and the other way round.
    pub is_binary: bool,
    pub rules: Arc<Rules>,
    /// `None` is the native protocol.
    pub dialect: Option<&'static Dialect>,
    /// Who a client without a token is, if it may come at all.
    pub guest: Option<Arc<Guest>>,
}

impl Language {
    /// The native protocol in JSON.
    pub fn native(wire: Arc<dyn Wire>, rules: &Arc<Rules>) -> Arc<Self> {
        Arc::new(Self { wire, read: Box::new(Command::parse), is_binary: false, rules: Arc::clone(rules), dialect: None, guest: None })
    }

    /// The native protocol in MessagePack, of which no message comes to more than `json_bytes_max` as JSON.
    pub fn native_binary(wire: Arc<dyn Wire>, rules: &Arc<Rules>, json_bytes_max: usize) -> Arc<Self> {
        let read: Read = Box::new(move |bytes| msgpack::command(bytes, json_bytes_max));
        Arc::new(Self { wire, read, is_binary: true, rules: Arc::clone(rules), dialect: None, guest: None })
    }

    pub fn dialect(dialect: &'static Dialect, wire: Arc<dyn Wire>, rules: &Arc<Rules>, guest: Option<Arc<Guest>>) -> Arc<Self> {
        let free = || Arc::new(Rules { syntax: rules.syntax.clone(), events: EventRules::new(["*"]) });
        let rules = if dialect.has_free_events { free() } else { Arc::clone(rules) };
        Arc::new(Self { wire, read: Box::new(dialect.read), is_binary: false, rules, dialect: Some(dialect), guest })
    }
}
