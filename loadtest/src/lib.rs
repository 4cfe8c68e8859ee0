//! What it takes to judge a roomcast deployment from outside, over its public protocol only; the server's crate is no dependency.
//!
//! Two ways of judging stand side by side. For fault runs there is a `client` as it should be, whose `journal` goes into a `ledger` of
//! every single publication and receipt. For load there are `scenario`s: a `target` is put under load by a `swarm`, driven by `drive` at
//! a `pace`, beside a `floor`, while a `meter` runs along; a `report` comes out. Its check is the ledger's compact form.

pub mod agent;
mod choice;
pub mod cli;
pub mod client;
mod clock;
pub mod compare;
pub mod coordinator;
mod drive;
mod figures;
mod files;
mod filling;
mod floor;
pub mod journal;
pub mod ledger;
mod meter;
mod option;
pub mod order;
pub mod output;
mod pace;
mod phase;
pub mod plan;
pub mod position;
pub mod progress;
pub mod render;
pub mod report;
mod resp;
pub mod role;
pub mod scenario;
mod setting;
pub mod socket;
pub mod stop;
mod swarm;
mod target;
pub mod threshold;
mod town;
mod trial;
mod usage;
mod wire;

pub use client::{Client, Options, Outcome};
pub use journal::{Event, Loss, Message, What};
pub use ledger::{Ledger, Verdict};
