//! The last publication of each event in each room, for sessions that subscribe with `latest`: read beside the orgs' tasks, which hear nothing of it.
//!
//! An org that somebody asks for has a [`desk`] on this node: one task that keeps an [`index`](Index) of its log, brings it up to date once
//! for all who ask at the same time, and goes when nobody has asked for a while. What a session is told is true at a position; subscribed
//! from that position on, it gets all that follows, as any other session that resumes.

mod books;
mod config;
mod desk;
mod index;
mod reading;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

pub use config::Config;
pub use index::{Index, Taken};

use self::books::Books;
use self::desk::{ASKS_MAX, Ask, Desk};
use super::history::Readers;
use crate::auth::{Grant, HistoryGrant};
use crate::broker::{Broker, PageLimit, ReadError};
use crate::protocol::latest::Latest;
use crate::protocol::{Filter, OrgId, Pattern, Position};

/// What one subscription wants to know of its rooms: a right on their past, and the filter that lets through what its session may see.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Wish {
    grant: HistoryGrant,
    filter: Option<Filter>,
}

impl Wish {
    /// What passes both grants, and the client's own filter, of the rooms that they are for.
    pub fn new(past: HistoryGrant, live: &Grant) -> Self {
        Self { filter: past.filter(live.filter().as_ref()), grant: past }
    }

    pub fn pattern(&self) -> &Pattern {
        self.grant.pattern()
    }

    pub fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }
}

/// How rooms stand, and at which position.
pub type Standing = (Arc<Latest>, Position);

type Outcome = Result<Standing, ReadError>;

/// All desks of a node.
pub struct LatestValues {
    broker: Arc<dyn Broker>,
    config: Config,
    limit: PageLimit,
    readers: Arc<Readers>,
    books: Arc<Books>,
}

impl LatestValues {
    pub(super) fn new(broker: Arc<dyn Broker>, config: Config, limit: PageLimit, readers: Arc<Readers>) -> Self {
        Self { broker, config, limit, readers, books: Arc::new(Books::new(config.node_bytes_max)) }
    }

    /// How the rooms of these wishes, which are of one org, stand now: never older than the question.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read.
    pub async fn ask(&self, org: &OrgId, wishes: Vec<Wish>) -> Outcome {
        let mut wishes = wishes;
        // A desk that nobody has asked for long may be about to go; the next attempt finds another one.
        for _ in 0..3 {
            let (reply, answer) = oneshot::channel();
            let Err(unsent) = self.desk(org).send(Ask { wishes, reply }).await else {
                return answer.await.unwrap_or_else(|_| Err(gone()));
            };
            wishes = unsent.0.wishes;
        }
        Err(gone())
    }

    fn desk(&self, org: &OrgId) -> mpsc::Sender<Ask> {
        self.books.desk(org, || {
            let (asks, inbox) = mpsc::channel(ASKS_MAX);
            let desk = Desk::new(org.clone(), Arc::clone(&self.broker), self.config, self.limit, Arc::clone(&self.readers));
            tokio::spawn(desk.run(inbox, Arc::clone(&self.books)));
            asks
        })
    }
}

fn gone() -> ReadError {
    ReadError::Unavailable("the read was given up".into())
}

#[cfg(test)]
mod tests;
