//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692): the handshake, and frames in both directions.
//!
//! [`door`] answers the HTTP request (or, when that came in one piece, the bytes themselves: [`head`]), [`connection`] runs the socket afterwards: it reads a [`Stream`](super::Stream) into a
//! scratch buffer, feeds an [`Assembler`], and writes what [`frame`] and [`wire`] made. All but these two and [`upgrade`] is
//! pure.

pub mod assembler;
pub mod connection;
pub mod deflate;
pub mod door;
pub mod extension;
pub mod frame;
pub mod handshake;
mod head;
pub mod origin;
pub mod upgrade;
pub mod wire;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use assembler::{Assembler, Incoming, Limits};
pub use door::Door;
pub use frame::{Opcode, Violation};
pub use handshake::{Accepted, Refused, Rules, Subprotocol, accept};

/// What WebSocket connections may send, and from where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Longest message in bytes, over all its fragments and after decompression; a longer one closes the connection with 1009.
    pub message_bytes_max: usize,
    /// Bytes that a node holds of an unfinished message from a client that has not authenticated; more close the connection with 1009. A first
    /// command with a token and all the rooms that it may name fits.
    pub unauthenticated_bytes_max: usize,
    /// Most fragments of one message, empty ones included; more close the connection with 1009.
    pub fragments_max: u32,
    /// Whether permessage-deflate is agreed to with clients that offer it.
    pub compression: bool,
    /// Messages of at least this many bytes are compressed for clients that agreed to it.
    pub compression_threshold_bytes: usize,
    /// Path of the native protocol.
    pub path: String,
    /// Path on which every message is sent back, for conformance suites; off when empty. It asks for no credentials, so keep it
    /// off in production.
    pub echo_path: String,
    /// Whether `?token=` is taken as credentials on the native path. Off by default: addresses end up in other people's logs.
    pub query_token: bool,
    /// Cookie that holds the token, for pages that cannot do otherwise; off when empty. Needs `allowed_origins`, because
    /// browsers send cookies along from any page.
    pub token_cookie: String,
    /// Origins whose pages may connect: `https://app.example.com`, `https://*.example.com` for every subdomain, or `*` for any.
    /// Empty: only pages of the very host that the request names. Requests without Origin (no browser sends those) always pass.
    pub allowed_origins: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            message_bytes_max: 1 << 20,
            unauthenticated_bytes_max: 256 << 10,
            fragments_max: 1_024,
            compression: true,
            compression_threshold_bytes: 1_024,
            path: "/ws".to_owned(),
            echo_path: String::new(),
            query_token: false,
            token_cookie: String::new(),
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
