//! Pages of lists: how much one brings, and where the next begins.

use serde::{Deserialize, Serialize};

use super::config::Config;
use super::problem::Problem;

/// The number of items that a request may have.
///
/// # Errors
/// `INVALID_MESSAGE` for 0 or more than `list_limit_max`.
pub(super) fn limit(asked: Option<usize>, config: &Config) -> Result<usize, Problem> {
    match asked {
        None => Ok(config.list_limit_default),
        Some(limit) if (1..=config.list_limit_max).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::invalid(format!("limit must be from 1 to {}", config.list_limit_max))),
    }
}

/// The first items behind a cursor, in the order of their keys, as one node knows them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Page<T> {
    pub items: Vec<T>,
    /// Whether the node has further items.
    pub more: bool,
    /// How many there are on the node in all, wherever the page begins.
    pub total: u64,
}

/// Something that lists are ordered by, and that may be listed by several nodes at once.
pub(super) trait Listed {
    fn key(&self) -> &str;

    /// Takes in what another node says of the same thing.
    fn absorb(&mut self, other: Self);
}

impl<T: Listed> Page<T> {
    /// Puts the nodes' pages together, with at most `limit` items.
    ///
    /// Behind the last item of a node that has more nothing is known of that node, so the page ends there.
    pub fn merge(pages: Vec<Self>, limit: usize) -> Self {
        let known_to = pages.iter().filter(|page| page.more).filter_map(|page| page.items.last()).map(|last| last.key().to_owned()).min();
        let mut more = pages.iter().any(|page| page.more);
        let total = pages.iter().map(|page| page.total).sum();
        let mut all: Vec<T> = pages.into_iter().flat_map(|page| page.items).collect();
        all.sort_by(|one, other| one.key().cmp(other.key()));
        let mut items: Vec<T> = Vec::new();
        for item in all {
            if known_to.as_deref().is_some_and(|known_to| item.key() > known_to) {
                break;
            }
            if let Some(last) = items.last_mut().filter(|last| last.key() == item.key()) {
                last.absorb(item);
                continue;
            }
            if items.len() == limit {
                more = true;
                break;
            }
            items.push(item);
        }
        Self { items, more, total }
    }

    /// What to send as `cursor` for the next page; `None` on the last one.
    pub fn next_cursor(&self) -> Option<String> {
        self.items.last().filter(|_| self.more).map(|last| last.key().to_owned())
    }

    /// Keeps the first half, so that the page takes less room; `false` when there is nothing to give up.
    pub fn halve(&mut self) -> bool {
        if self.items.len() < 2 {
            return false;
        }
        self.items.truncate(self.items.len() / 2);
        self.more = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Item(String, u64);

    impl Listed for Item {
        fn key(&self) -> &str {
            &self.0
        }

        fn absorb(&mut self, other: Self) {
            self.1 += other.1;
        }
    }

    /// A node's page of at most `limit` items behind `after`.
    fn page(node: &BTreeMap<String, u64>, after: Option<&str>, limit: usize) -> Page<Item> {
        let behind = || node.iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        let items = behind().take(limit).map(|(key, count)| Item(key.clone(), *count)).collect();
        Page { items, more: behind().count() > limit, total: node.len() as u64 }
    }

    proptest! {
        #[test]
        fn paging_over_nodes_brings_everything_once_and_in_order(
            nodes in prop::collection::vec(prop::collection::btree_map("[a-f]{1,2}", 1u64..5, 0..20), 1..4),
            limit in 1usize..6,
            short in 1usize..6,
        ) {
            let mut expected = BTreeMap::new();
            for (key, count) in nodes.iter().flatten() {
                *expected.entry(key.clone()).or_insert(0) += count;
            }
            let (mut seen, mut cursor) = (Vec::new(), None::<String>);
            loop {
                // The first node cuts its pages shorter, as one with large items does.
                let pages = nodes.iter().enumerate().map(|(index, node)| page(node, cursor.as_deref(), if index == 0 { short.min(limit) } else { limit }));
                let merged = Page::merge(pages.collect(), limit);
                prop_assert!(merged.items.len() <= limit);
                cursor = merged.next_cursor();
                seen.extend(merged.items);
                if cursor.is_none() { break; }
            }
            prop_assert_eq!(seen, expected.into_iter().map(|(key, count)| Item(key, count)).collect::<Vec<_>>());
        }
    }
}
