//! The fan-out scenario: N subscribers of one room, M publications over WebSocket, rates and the ledger's verdict.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::client::{Client, Options};
use crate::journal::{EVENTS_MAX, Event, What};
use crate::ledger::{Fate, Ledger, Verdict};

/// Publishes under way at once.
const UNDER_WAY_MAX: usize = 16;

/// What to run. The token must allow to subscribe to the room and to publish into it.
#[derive(Clone, Debug, clap::Args)]
pub struct Fanout {
    /// Addresses of nodes; subscribers spread over them.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:8080")]
    pub nodes: Vec<SocketAddr>,
    #[arg(long, env = "ROOMCAST_TOKEN", hide_env_values = true)]
    pub token: String,
    /// The room, in short form.
    #[arg(long, default_value = "kpi:demo:load")]
    pub room: String,
    #[arg(long, default_value_t = 50)]
    pub subscribers: usize,
    #[arg(long, default_value_t = 1_000)]
    pub publications: usize,
    /// Publications per second; the server's `limits.commands_per_s` bounds what one publisher may do.
    #[arg(long, default_value_t = 90)]
    pub rate: u32,
    /// Size of the filling of each publication, in bytes.
    #[arg(long, default_value_t = 128)]
    pub bytes: usize,
    /// How long everything may take, in seconds.
    #[arg(long, default_value_t = 60)]
    pub deadline_s: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    pub verdict: Verdict,
    pub publishing: Duration,
    pub delivering: Duration,
}

impl Fanout {
    /// Connects everybody, publishes, waits until all have all or the deadline passes.
    ///
    /// # Errors
    /// When somebody cannot connect, or the numbers exceed what a client records.
    pub async fn run(&self) -> anyhow::Result<Report> {
        if self.nodes.is_empty() || self.publications >= EVENTS_MAX / 2 {
            bail!("name a node, and at most {} publications", EVENTS_MAX / 2);
        }
        let deadline = Duration::from_secs(self.deadline_s);
        let publisher = self.client(0, &[]);
        let room = [self.room.as_str()];
        let subscribers: Vec<Client> = (0..self.subscribers).map(|index| self.client(index, &room)).collect();
        let connecting = async {
            for client in subscribers.iter().chain([&publisher]) {
                client.journal().until(is_authenticated).await?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(deadline, connecting).await.context("not everybody connected in time")??;
        let begun = Instant::now();
        let fates = tokio::time::timeout(deadline, self.publish(&publisher)).await.context("publishing took too long")?;
        let publishing = begun.elapsed();
        let acked = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Acked(_))).count();
        let delivering = async {
            for client in &subscribers {
                client.journal().until(|events| (publications(events) >= acked).then_some(())).await;
            }
        };
        // What is missing then is for the ledger to tell.
        let _ = tokio::time::timeout(deadline, delivering).await;
        Ok(Report { verdict: self.judge(&fates, &subscribers), publishing, delivering: begun.elapsed() })
    }

    fn client(&self, index: usize, rooms: &[&str]) -> Client {
        let mut nodes = self.nodes.clone();
        nodes.rotate_left(index % self.nodes.len());
        Client::start(Options::new(nodes, self.token.clone()).rooms(rooms.iter().copied()))
    }

    /// At the given rate, so that the limit of commands per session is kept.
    async fn publish(&self, publisher: &Client) -> Vec<(String, Fate)> {
        let filling = "x".repeat(self.bytes);
        let begun = tokio::time::Instant::now();
        let each = Duration::from_secs(1) / self.rate.max(1);
        let publishing = (0..self.publications as u32).map(|index| {
            let (mark, filling) = (format!("m{index}"), &filling);
            async move {
                tokio::time::sleep_until(begun + each * index).await;
                let data = json!({ "mark": mark, "filling": filling });
                let outcome = publisher.publish(&self.room, "kpi:update", data).await;
                (mark, outcome.fate())
            }
        });
        stream::iter(publishing).buffered(UNDER_WAY_MAX).collect().await
    }

    fn judge(&self, fates: &[(String, Fate)], subscribers: &[Client]) -> Verdict {
        let mut ledger = Ledger::default();
        for (mark, fate) in fates {
            ledger.published(mark, &self.room, *fate, 0);
        }
        let org = self.room.split(':').nth(1).unwrap_or_default();
        for client in subscribers {
            ledger.book(org, [self.room.as_str()], &client.journal().events(), Instant::now());
        }
        ledger.verdict()
    }
}

fn is_authenticated(events: &[Event]) -> Option<anyhow::Result<()>> {
    events.iter().find_map(|event| match &event.what {
        What::Message { message, .. } if message.event == "authenticated" => Some(Ok(())),
        What::Message { message, .. } if message.event == "error" => Some(Err(anyhow::anyhow!("refused: {}", message.data))),
        What::Ended => Some(Err(anyhow::anyhow!("no node lets the client in"))),
        _ => None,
    })
}

/// Publications that the client had not had before.
fn publications(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(&event.what, What::Message { message, fresh: true } if message.room.is_some())).count()
}
