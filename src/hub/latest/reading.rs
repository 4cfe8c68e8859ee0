//! How a desk brings its index up to date: from where it stands to where the log ended when somebody asked.

use super::desk::Desk;
use super::index::Taken;
use crate::broker::ReadError;
use crate::telemetry::metrics;

/// How often a log is read anew that is replaced, or trimmed past the reader, while it is read.
const ATTEMPTS_MAX: usize = 3;

impl Desk {
    /// Afterwards the index is the log as it stood when this was called, or newer. A failure leaves it where it had come to.
    pub(super) async fn look(&mut self) -> Result<(), ReadError> {
        for _ in 0..ATTEMPTS_MAX {
            // Opening puts a fence where the history was replaced, so that what follows is read from one that stays.
            let state = self.broker.open(&self.org).await?;
            let Some(mut from_seq) = self.index.compare(state) else { return Ok(()) };
            if self.index.at().is_none() {
                metrics::latest_builds().increment(1);
            }
            loop {
                let page = {
                    let _turn = self.readers.turn().await;
                    self.broker.read(&self.org, from_seq, self.limit).await?
                };
                metrics::latest_reads().increment(1);
                match self.index.take(&page, from_seq) {
                    Taken::More(next_seq) => from_seq = next_seq,
                    Taken::All => return Ok(()),
                    Taken::Torn => break,
                }
            }
        }
        Err(ReadError::Unavailable("the log was replaced over and over while it was read".into()))
    }
}
