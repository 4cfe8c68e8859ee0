//! Which orgs have a desk on this node, and what the desks keep: bounded over all of them.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::desk::Ask;
use crate::protocol::OrgId;

/// The desks of a node.
pub struct Books {
    bytes_max: usize,
    desks: Mutex<HashMap<OrgId, Kept>>,
}

/// A desk as the others see it. It goes once no asker has its sender any more.
struct Kept {
    asks: mpsc::Sender<Ask>,
    asked_at: Instant,
    bytes: usize,
}

impl Books {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, desks: Mutex::default() }
    }

    /// The way to the org's desk; `open` opens one where there is none.
    pub fn desk(&self, org: &OrgId, open: impl FnOnce() -> mpsc::Sender<Ask>) -> mpsc::Sender<Ask> {
        let mut desks = self.desks.lock();
        if let Some(kept) = desks.get_mut(org).filter(|kept| !kept.asks.is_closed()) {
            kept.asked_at = Instant::now();
            return kept.asks.clone();
        }
        let asks = open();
        desks.insert(org.clone(), Kept { asks: asks.clone(), asked_at: Instant::now(), bytes: 0 });
        asks
    }

    /// Books what a desk keeps, and closes those that nobody has asked the longest while all of them keep too much. The desk itself stays:
    /// it is bounded by itself.
    pub fn keep(&self, org: &OrgId, bytes: usize) {
        let mut desks = self.desks.lock();
        if let Some(kept) = desks.get_mut(org) {
            kept.bytes = bytes;
        }
        let mut sum: usize = desks.values().map(|kept| kept.bytes).sum();
        while sum > self.bytes_max {
            let others = desks.iter().filter(|(other, kept)| *other != org && kept.bytes > 0);
            let Some(oldest) = others.min_by_key(|(_, kept)| kept.asked_at).map(|(oldest, _)| oldest.clone()) else { return };
            sum -= desks.remove(&oldest).map_or(0, |closed| closed.bytes);
        }
    }

    /// Takes a desk off the list, unless somebody has just asked it.
    pub fn close(&self, org: &OrgId, inbox: &mpsc::Receiver<Ask>) -> bool {
        let mut desks = self.desks.lock();
        let closes = inbox.is_empty();
        if closes {
            desks.remove(org);
        }
        closes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whether the org has a desk; where it has none it gets one, whose other end is handed out.
    fn visit(books: &Books, name: &str) -> Option<mpsc::Receiver<Ask>> {
        let mut opened = None;
        drop(books.desk(&OrgId::parse(name).unwrap(), || {
            let (asks, inbox) = mpsc::channel(1);
            opened = Some(inbox);
            asks
        }));
        opened
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_keep_too_much_those_go_that_nobody_has_asked_the_longest() {
        let books = Books::new(100);
        let mut inboxes = Vec::new();
        for name in ["a", "b", "c"] {
            inboxes.extend(visit(&books, name));
            books.keep(&OrgId::parse(name).unwrap(), 40);
            tokio::time::sleep(Duration::from_millis(1)).await;
            // Somebody asks the first one again and again.
            assert!(visit(&books, "a").is_none());
        }
        assert!(inboxes[1].recv().await.is_none(), "the second one's desk is closed");
        assert!(!inboxes[0].is_closed() && !inboxes[2].is_closed());
        books.keep(&OrgId::parse("c").unwrap(), 1_000);
        assert!(inboxes[0].recv().await.is_none(), "one that keeps too much by itself stays alone");
        assert!(visit(&books, "c").is_none() && visit(&books, "b").is_some());
    }
}
