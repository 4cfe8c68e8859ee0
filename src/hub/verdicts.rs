//! What filters say of entries that sessions in catch-up come past, over one round of serving them: each distinct filter is asked
//! once per entry, and the entry's data is parsed once, however many sessions go through it.
//!
//! Pure. Filters are told apart by their place in memory: those of subscriptions are one for all that have the same.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::protocol::filter::Document;
use crate::protocol::{Filter, Position, Publication};

/// Verdicts kept in one round.
const VERDICTS_MAX: usize = 100_000;
/// Bytes of data whose parsed form is kept in one round; that takes several times as many.
const DATA_BYTES_MAX: usize = 2 << 20;

#[derive(Default)]
pub struct Verdicts(RefCell<Given>);

#[derive(Default)]
struct Given {
    /// The filter is kept with its verdict, so that no other one takes its place in memory meanwhile.
    verdicts: HashMap<(Position, usize), (Filter, bool)>,
    documents: HashMap<Position, Document>,
    bytes: usize,
}

impl Verdicts {
    /// Whether the entry's publication passes.
    pub fn passes(&self, filter: &Filter, publication: &Arc<Publication>) -> bool {
        self.0.borrow_mut().passes(filter, publication)
    }
}

impl Given {
    fn passes(&mut self, filter: &Filter, publication: &Arc<Publication>) -> bool {
        // Only logged publications are met here; another has no name to be kept by.
        let Some(position) = publication.position else { return filter.passes(&Document::of(publication)) };
        let key = (position, filter.address());
        if let Some((_, passes)) = self.verdicts.get(&key) {
            return *passes;
        }
        if self.verdicts.len() >= VERDICTS_MAX || self.bytes > DATA_BYTES_MAX {
            *self = Self::default();
        }
        let bytes = &mut self.bytes;
        let document = self.documents.entry(position).or_insert_with(|| {
            *bytes += publication.data.len();
            Document::of(publication)
        });
        let passes = filter.passes(document);
        self.verdicts.insert(key, (filter.clone(), passes));
        passes
    }
}
