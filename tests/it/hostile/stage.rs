//! The stage of a theme: a gateway, an honest client that must not notice anything, and the judgement at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use super::client::Client;
use super::gateway::{Gateway, token};
use crate::support::eventually;

/// How much later than it was sent the canary's publication may come: generous, because the machine is shared with other
/// tests; a node that hangs on hostile input is late by whole timeouts.
const LATENESS_MAX: Duration = Duration::from_secs(4);
/// And how much later the usual one may come, so that a node that stalls everybody for a while again and again is noticed too.
const USUAL_LATENESS_MAX: Duration = Duration::from_millis(500);
/// How much more memory a node may hold after a theme than before: what the allocator keeps at hand, not what anybody sent.
const GROWTH_BYTES_MAX: u64 = 16 << 20;
/// However short the theme is.
const SONGS_MIN: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

pub struct Stage {
    pub gateway: Gateway,
    before_bytes: u64,
    stop: Arc<AtomicBool>,
    canary: JoinHandle<Canary>,
}

struct Canary {
    /// How long each publication took, in their order.
    took: Vec<Duration>,
}

impl Stage {
    pub async fn start(variables: &[(&str, &str)]) -> Self {
        let gateway = Gateway::start(variables).await;
        let stop = Arc::new(AtomicBool::new(false));
        let listener = Client::session(&gateway, &token("canary", "canaries", None)).await;
        let speaker = Client::session(&gateway, &token("speaker", "canaries", Some(&["publish:kpi:canaries"]))).await;
        let canary = tokio::spawn(sing(listener, speaker, Arc::clone(&stop)));
        let before_bytes = gateway.resident_bytes();
        Self { gateway, before_bytes, stop, canary }
    }

    /// A session of the org `acme` that may subscribe and publish everywhere in it.
    pub async fn session(&self) -> Client {
        Client::session(&self.gateway, &token("mallory", "acme", Some(&["subscribe:*:acme:**", "publish:*:acme:**"]))).await
    }

    /// # Panics
    /// When the canary suffered, the node is not well, or it holds the memory.
    pub async fn end(self) {
        self.end_holding(0).await;
    }

    /// The same where the node may keep buffers of a known size besides.
    ///
    /// # Panics
    /// As [`Stage::end`].
    pub async fn end_holding(mut self, buffers_bytes: u64) {
        self.stop.store(true, Ordering::Release);
        let canary = self.canary.await.expect("the canary lives");
        canary.assert_unharmed();
        self.gateway.assert_well();
        let (gateway, most) = (&self.gateway, self.before_bytes + GROWTH_BYTES_MAX + buffers_bytes);
        eventually("memory is given back", async || (gateway.resident_bytes() <= most).then_some(())).await;
    }
}

impl Canary {
    fn assert_unharmed(mut self) {
        self.took.sort_unstable();
        let (usual, latest) = (self.took[self.took.len() / 2], self.took[self.took.len() - 1]);
        assert!(latest < LATENESS_MAX, "a publication of the canary came after {latest:?}");
        assert!(usual < USUAL_LATENESS_MAX, "half of the canary's publications came after {usual:?} or more");
    }
}

/// Publishes one number after the other and demands each of them back before the next.
async fn sing(mut listener: Client, mut speaker: Client, stop: Arc<AtomicBool>) -> Canary {
    listener.command(&json!({"event": "subscribe", "id": "sub", "data": {"rooms": ["kpi:canaries"]}})).await;
    assert_eq!(listener.answer("sub").await["event"], "subscribed");
    let mut canary = Canary { took: Vec::new() };
    while canary.took.len() < SONGS_MIN || !stop.load(Ordering::Acquire) {
        let (number, began) = (canary.took.len(), Instant::now());
        let publication = json!({"event": "kpi:update", "room": "kpi:canaries", "data": number});
        speaker.command(&json!({"event": "publish", "id": number.to_string(), "data": publication})).await;
        assert_eq!(speaker.answer(&number.to_string()).await["event"], "published");
        let mut message = listener.message().await;
        while message["event"] == "position" {
            message = listener.message().await;
        }
        assert_eq!((&message["event"], &message["data"]), (&json!("kpi:update"), &json!(number)), "nothing is lost or doubled");
        canary.took.push(began.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    canary
}
