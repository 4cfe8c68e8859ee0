//! How a session's client is spoken with: which messages it sends, and as what it gets ours.
//!
//! Doors make one for each way of speaking that they know; all sessions that speak alike share it.

use std::sync::Arc;

use super::machine::Rules;
use crate::dialect::{Dialect, Guest};
use crate::protocol::command::Unreadable;
use crate::protocol::{Command, EventRules, Wire};

/// One way of speaking, on one kind of wire.
pub struct Language {
    pub wire: Arc<dyn Wire>,
    pub read: fn(&[u8]) -> Result<Command, Unreadable>,
    pub rules: Arc<Rules>,
    /// `None` is the native protocol.
    pub dialect: Option<&'static Dialect>,
    /// Who a client without a token is, if it may come at all.
    pub guest: Option<Arc<Guest>>,
}

impl Language {
    /// The native protocol in JSON.
    pub fn native(wire: Arc<dyn Wire>, rules: &Arc<Rules>) -> Arc<Self> {
        Arc::new(Self { wire, read: Command::parse, rules: Arc::clone(rules), dialect: None, guest: None })
    }

    pub fn dialect(dialect: &'static Dialect, wire: Arc<dyn Wire>, rules: &Arc<Rules>, guest: Option<Arc<Guest>>) -> Arc<Self> {
        let free = || Arc::new(Rules { syntax: rules.syntax.clone(), events: EventRules::new(["*"]) });
        let rules = if dialect.has_free_events { free() } else { Arc::clone(rules) };
        Arc::new(Self { wire, read: dialect.read, rules, dialect: Some(dialect), guest })
    }
}
