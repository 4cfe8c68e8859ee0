//! The dialects, spoken by small faithful clients with real gateways on a real Redis: what those clients fail on must never come.

mod api_v2;
mod channels;
mod chat;
mod client;
mod command_center;
mod credentials;

use client::Nature;

use crate::support::redis::Redis;
use crate::support::world::World;

/// All of them, as the shipped examples have them.
const ENABLED: (&str, &str) = ("DIALECTS__ENABLED", "command-center,api-v2,chat,channels");

async fn world(nodes: usize) -> World {
    let drain = [("DRAIN__ANNOUNCE_MS", "200"), ("DRAIN__SPREAD_MS", "200"), ("DRAIN__RETRY_AFTER_MS_MAX", "100")];
    World::on(Redis::start(&[]).await, nodes, &[&[ENABLED][..], &drain].concat()).await
}
