//! Sessions: one connected client each, whatever transport carries it.
//!
//! [`machine`] decides, purely; [`driver`] carries out what it decides, against auth, hub and broker; [`language`] says how the
//! client is spoken with; [`registry`] knows the sessions of this node. Transports own the socket and call the driver; sessions never touch a socket.

pub mod alarm;
pub mod config;
pub mod driver;
pub mod language;
pub mod machine;
pub mod registry;
pub mod revoked;
pub mod revoking;

pub use alarm::Alarms;
pub use config::{Config, Settings};
pub use driver::{Parts, Session};
pub use language::Language;
pub use registry::Registry;
pub use revoking::Revoking;
