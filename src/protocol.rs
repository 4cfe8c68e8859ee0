//! The language that clients, nodes and backends share: rooms, patterns, positions, commands, replies and pushes.
//!
//! Everything below is pure: no clock, no IO, no runtime. Sessions, the hub, the brokers and every front door speak in these
//! types; nothing here calls any of them.

pub mod code;
pub mod codec;
pub mod command;
pub mod database_change;
pub mod event;
pub mod filter;
pub mod item;
pub mod latest;
pub mod pattern;
pub mod position;
pub mod presence;
pub mod publication;
pub mod push;
pub mod room;
pub mod schema;

pub use code::{Close, CloseCode, Code, Fault};
pub use codec::Wire;
pub use command::{Command, CommandId, Selector};
pub use event::{EventName, EventRules};
pub use filter::{Filter, FilterError};
pub use pattern::Pattern;
pub use position::Position;
pub use publication::{NewPublication, Priority, Publication};
pub use push::{GapReason, Push, Reply};
pub use room::{OrgId, RoomName, RoomSyntax, SessionId};
