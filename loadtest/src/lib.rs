//! What it takes to judge a roomcast deployment from outside: a client, a ledger of all that was published and received, and
//! scenarios. It knows the public protocol only; the server's crate is no dependency.

pub mod agent;
pub mod cli;
pub mod client;
pub mod compare;
pub mod coordinator;
pub mod fanout;
pub mod floor;
pub mod host;
pub mod journal;
pub mod ledger;
pub mod order;
pub mod output;
pub mod position;
pub mod progress;
pub mod render;
pub mod report;
pub mod role;
pub mod socket;
pub mod swarm;
pub mod threshold;
mod wire;

pub use client::{Client, Options, Outcome};
pub use journal::{Event, Message, What};
pub use ledger::{Ledger, Verdict};
