//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692): the handshake, and frames in both directions.
//!
//! All but [`upgrade`] is pure. The session's driver reads a [`Stream`](super::Stream) into a scratch buffer, feeds an
//! [`Assembler`], and writes what [`frame`] and [`wire`] made. Nothing here waits, sleeps or reads a clock.

pub mod assembler;
pub mod deflate;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod origin;
pub mod upgrade;
pub mod wire;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use assembler::{Assembler, Incoming, Limits};
pub use frame::{Opcode, Violation};
pub use handshake::{Accepted, Refused, Rules, Subprotocol, accept};

/// What WebSocket connections may send, and from where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest message in bytes, over all its fragments and after decompression; a longer one closes the connection with 1009.
    pub message_bytes_max: usize,
    /// Most fragments of one message, empty ones included; more close the connection with 1009.
    pub fragments_max: u32,
    /// Whether permessage-deflate is agreed to with clients that offer it.
    pub compression: bool,
    /// Messages of at least this many bytes are compressed for clients that agreed to it.
    pub compression_threshold_bytes: usize,
    /// Origins whose pages may connect: `https://app.example.com`, `https://*.example.com` for every subdomain, or `*` for any.
    /// Empty: only pages of the very host that the request names. Requests without Origin (no browser sends those) always pass.
    pub allowed_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            message_bytes_max: 1 << 20,
            fragments_max: 1_024,
            compression: true,
            compression_threshold_bytes: 1_024,
            allowed_origins: Vec::new(),
        }
    }
}

impl Config {
    /// What a connection's [`Assembler`] enforces, once it is known whether compression was agreed to.
    pub fn limits(&self, deflate: bool) -> Limits {
        Limits { message_bytes_max: self.message_bytes_max, fragments_max: self.fragments_max, deflate }
    }
}
