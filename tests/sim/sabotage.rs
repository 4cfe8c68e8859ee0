//! Stores that break a promise on purpose: what checks the histories must notice each of them.

use std::sync::Arc;

use rand::Rng;
use rand::rngs::SmallRng;
use roomcast::broker::{Body, Entry, Page};
use roomcast::protocol::Publication;

/// What is wrong with some pages of the log.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Sabotage {
    /// An entry is missing.
    Lost,
    /// Two entries stand in each other's place.
    Swapped,
    /// An entry holds what another entry says.
    Mixed,
    /// An entry holds a publication of another org.
    Crossed,
}

impl Sabotage {
    /// Spoils a page now and then; `others` are entries of other orgs.
    pub fn spoil<'a>(self, page: &mut Page, others: impl Iterator<Item = &'a Entry>, rng: &mut SmallRng) {
        // The first entry proves that histories agree, and the last one where the page ends.
        if page.entries.len() < 4 || rng.random_bool(0.5) {
            return;
        }
        match self {
            Self::Lost => drop(page.entries.remove(1)),
            Self::Swapped => page.entries.swap(1, 2),
            Self::Mixed => {
                let other = page.entries[2].clone();
                replace(&mut page.entries[1], &other);
            }
            Self::Crossed => {
                if let Some(other) = others.last() {
                    replace(&mut page.entries[1], other);
                }
            }
        }
    }
}

/// Has the entry say what another says, under its own position.
fn replace(entry: &mut Entry, other: &Entry) {
    if let Body::Publication(publication) = &other.body {
        let mut publication = Publication::clone(publication);
        publication.position = Some(entry.position);
        entry.body = Body::Publication(Arc::new(publication));
    }
}
