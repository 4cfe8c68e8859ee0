//! The doors that publications go in by, opened.

use std::net::TcpStream;

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use super::Target;
use crate::swarm::{Door, Publisher, Speech};

/// What publishers use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entrance {
    /// The command `publish` on a session.
    #[default]
    Websocket,
    /// `POST /api/ws/broadcast`.
    Rest,
    /// The function `roomcast_publish` in Redis.
    Fcall,
    /// `XADD` to the ingest stream.
    Ingest,
}

impl Target {
    /// A publisher of `org` by an entrance.
    ///
    /// # Errors
    /// When it is not let in.
    pub fn publisher(&self, org: &str, entrance: Entrance) -> anyhow::Result<Publisher> {
        let node = self.nodes[self.publishers_door()];
        let token = self.tokens.of_publisher(org, "publisher");
        match entrance {
            Entrance::Websocket => {
                let introduction = json!({ "event": "authenticate", "id": 1, "data": { "token": token } }).to_string();
                let (tcp, early) =
                    Door::new(node, false).open(&introduction).with_context(|| format!("{node} did not let the publisher in"))?;
                Ok(Publisher::new(tcp, early, Speech::WebSocket)?)
            }
            Entrance::Rest => {
                let tcp = TcpStream::connect(node).with_context(|| format!("the publisher cannot connect to {node}"))?;
                tcp.set_nodelay(true)?;
                Ok(Publisher::new(tcp, Vec::new(), Speech::Rest { host: node.to_string(), token })?)
            }
            Entrance::Fcall => self.redis_publisher(Speech::Fcall { function: "roomcast_publish".to_owned() }),
            Entrance::Ingest => self.redis_publisher(Speech::Ingest { stream: "rc:ingest".to_owned() }),
        }
    }

    /// A publisher that speaks with the nodes' Redis.
    ///
    /// # Errors
    /// When there is none.
    pub fn redis_publisher(&self, speech: Speech) -> anyhow::Result<Publisher> {
        let address = self.redis_address.context("this needs the nodes' Redis: start one with --redis, or name it by --redis-address")?;
        let tcp = TcpStream::connect(address).with_context(|| format!("no Redis answers at {address}"))?;
        tcp.set_nodelay(true)?;
        Ok(Publisher::new(tcp, Vec::new(), speech)?)
    }
}
