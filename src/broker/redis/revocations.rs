//! What has been revoked, in a stream that every node reads.
//!
//! `redis.rs` calls it for the trait. A reader's cursor is the id of the last entry that it has seen, and is read again with the next ones: where
//! it is gone, Redis has lost what was written.

use redis::cmd;
use redis::streams::StreamRangeReply;

use super::keys::Keys;
use super::link::Link;
use super::log::{odd_answer, read_error};
use super::scripts::Function;
use crate::broker::{ReadError, Revocation, RevocationNews, RevocationTarget, RevokedAt};

/// Revocations fetched at once.
const PAGE: usize = 1_000;

pub(super) struct RevocationLog<'a> {
    pub(super) link: &'a Link,
    pub(super) keys: &'a Keys,
    pub(super) entries_max: usize,
    pub(super) age_max_ms: u64,
}

impl RevocationLog<'_> {
    pub(super) async fn append(&self, target: RevocationTarget, at: RevokedAt) -> Result<Revocation, ReadError> {
        let text = serde_json::to_string(&target).map_err(|_| odd_answer())?;
        let (ago_ms, at_ms) = match at {
            RevokedAt::Ago(ago) => (ago.as_millis().to_string(), String::new()),
            RevokedAt::Ms(at_ms) => (String::new(), at_ms.to_string()),
        };
        let (kept, age_ms) = (self.entries_max.to_string(), self.age_max_ms.to_string());
        let args = [&text, &kept, &age_ms, &ago_ms, &at_ms].map(String::as_bytes);
        let at_ms: String = self.link.call(Function::Revoke, &self.keys.revocations(), &args).await.map_err(|error| read_error(&error))?;
        Ok(Revocation { at_ms: at_ms.parse().map_err(|_| odd_answer())?, target })
    }

    pub(super) async fn after(&self, cursor: &str) -> Result<RevocationNews, ReadError> {
        let mut news = RevocationNews { cursor: cursor.to_owned(), ..RevocationNews::default() };
        if stream_id(cursor).is_none() {
            self.read_on("-", &mut news).await?;
            return Ok(news);
        }
        let first = self.range(cursor).await?;
        if first.ids.first().is_some_and(|entry| entry.id == cursor) {
            let full = first.ids.len() == PAGE;
            take(first.ids.into_iter().skip(1), &mut news);
            if full {
                let from = format!("({}", news.cursor);
                self.read_on(&from, &mut news).await?;
            }
            return Ok(news);
        }
        news.cursor.clear();
        self.read_on("-", &mut news).await?;
        news.lost = !self.was_trimmed(cursor, &news);
        Ok(news)
    }

    /// Reads from `from` to the end.
    async fn read_on(&self, from: &str, news: &mut RevocationNews) -> Result<(), ReadError> {
        let mut from = from.to_owned();
        loop {
            let page = self.range(&from).await?;
            let full = page.ids.len() == PAGE;
            take(page.ids.into_iter(), news);
            if !full {
                return Ok(());
            }
            from = format!("({}", news.cursor);
        }
    }

    /// Whether an entry that is gone went because of the bounds: that many others are there, or it is older than the newest by that much.
    fn was_trimmed(&self, cursor: &str, news: &RevocationNews) -> bool {
        let full = news.revocations.len() >= self.entries_max;
        let ages = stream_id(&news.cursor).zip(stream_id(cursor));
        full || ages.is_some_and(|((newest_ms, _), (gone_ms, _))| newest_ms.saturating_sub(gone_ms) >= self.age_max_ms)
    }

    async fn range(&self, from: &str) -> Result<StreamRangeReply, ReadError> {
        let key = self.keys.revocations();
        self.link.query(cmd("XRANGE").arg(&key).arg(from).arg("+").arg("COUNT").arg(PAGE)).await.map_err(|error| read_error(&error))
    }
}

/// Takes entries over; what cannot be read was not written by a node.
fn take(entries: impl Iterator<Item = redis::streams::StreamId>, news: &mut RevocationNews) {
    for entry in entries {
        let read = |name: &str| entry.get::<String>(name);
        let target = read("target").and_then(|target| serde_json::from_str(&target).ok());
        if let (Some(at_ms), Some(target)) = (read("at_ms").and_then(|at| at.parse().ok()), target) {
            news.revocations.push(Revocation { at_ms, target });
        }
        news.cursor = entry.id;
    }
}

/// `ms-seq` as numbers, which compare as Redis does.
fn stream_id(id: &str) -> Option<(u64, u64)> {
    let (ms, seq) = id.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}
