//! A connection beside the one that commands share, for calls that would hold up whatever comes behind them there.
//!
//! `link` has one for long answers and one for waiting, and drops both with the shared connection: what was made before that was lost may
//! lead to a server that is no longer the primary.

use std::time::Duration;

use parking_lot::Mutex;
use redis::RedisResult;

use super::connection::Connection;
use super::endpoint::Endpoint;

/// Made when it is first needed.
#[derive(Default)]
pub(super) struct Aside(Mutex<State>);

#[derive(Default)]
struct State {
    /// How often it was dropped.
    generation: u64,
    connection: Option<Connection>,
}

impl Aside {
    pub(super) async fn get(&self, endpoint: &Endpoint, timeout: Duration) -> RedisResult<Connection> {
        let generation = {
            let state = self.0.lock();
            if let Some(connection) = &state.connection {
                return Ok(connection.clone());
            }
            state.generation
        };
        let connection = endpoint.connect(timeout, None).await?;
        let mut state = self.0.lock();
        if state.generation == generation {
            state.connection = Some(connection.clone());
        }
        Ok(connection)
    }

    pub(super) fn forget(&self) {
        let mut state = self.0.lock();
        state.generation += 1;
        state.connection = None;
    }
}
