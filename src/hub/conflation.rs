//! Conflation: of what a slow session still has to get, low priority keeps only the latest of each room and event.
//!
//! Pure. `piece` asks this about a run of entries before it makes frames of them. Nothing is left out silently: the session is told
//! first how many and from where to where, and each publication that stayed says how many it stands for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::broker::{Body, Entry};
use crate::protocol::push::Conflated;
use crate::protocol::{Position, Priority, Publication};

/// What a frame is reckoned to hold besides room, event and data, in bytes.
const ENVELOPE_BYTES: usize = 128;

/// What is left out of a run of entries in favour of what.
#[derive(Debug)]
pub struct Conflation {
    /// Where the run ends.
    pub end: Position,
    left_out: HashSet<u64>,
    stands_for: HashMap<u64, u32>,
}

impl Conflation {
    /// Looks at entries for as long as what remains of them comes to less than `room` bytes. `None` when nothing is to be left out.
    pub fn of<'a>(
        entries: impl Iterator<Item = &'a Entry>,
        room: usize,
        wanted: impl Fn(&Arc<Publication>, Position) -> bool,
    ) -> Option<Self> {
        let mut latest: HashMap<(&str, &str), (u64, usize)> = HashMap::new();
        let (mut left_out, mut stands_for, mut end, mut bytes) = (HashSet::new(), HashMap::new(), None, 0);
        for entry in entries {
            end = Some(entry.position);
            let Body::Publication(publication) = &entry.body else { continue };
            if !wanted(publication, entry.position) {
                continue;
            }
            let cost = publication.data.len() + publication.room.as_str().len() + publication.event.as_str().len() + ENVELOPE_BYTES;
            bytes += cost;
            if gives_way(publication) {
                let key = (publication.room.as_str(), publication.event.as_str());
                let seq = entry.position.seq;
                if let Some((earlier, its_cost)) = latest.insert(key, (seq, cost)) {
                    bytes -= its_cost;
                    left_out.insert(earlier);
                    let stood_for = stands_for.remove(&earlier).unwrap_or(0);
                    stands_for.insert(seq, stood_for + 1);
                }
            }
            if bytes >= room {
                break;
            }
        }
        let end = end.filter(|_| !left_out.is_empty())?;
        Some(Self { end, left_out, stands_for })
    }

    /// The numbers of what is left out.
    pub fn left_out(&self) -> Box<[u64]> {
        self.left_out.iter().copied().collect()
    }

    pub fn leaves_out(&self, seq: u64) -> bool {
        self.left_out.contains(&seq)
    }

    /// How many others the publication with this number stands for.
    pub fn stands_for(&self, seq: u64) -> u32 {
        self.stands_for.get(&seq).copied().unwrap_or(0)
    }

    /// What the session, which has everything up to `from`, is told first.
    pub fn notice(&self, from: Position) -> Conflated {
        Conflated { from, to: self.end, left_out: u32::try_from(self.left_out.len()).unwrap_or(u32::MAX) }
    }
}

/// Somebody waits for the acknowledgement of those that ask for one.
fn gives_way(publication: &Publication) -> bool {
    publication.priority == Priority::Low && !publication.requires_ack
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{EventName, NewPublication, RoomSyntax};

    /// Room, event, priority, whether it asks to be acknowledged, whether the session wants it.
    type Kind = (u8, u8, Priority, bool, bool);

    fn kinds() -> impl Strategy<Value = Vec<Kind>> {
        let priority = prop_oneof![3 => Just(Priority::Low), 1 => Just(Priority::Medium), 1 => Just(Priority::Urgent)];
        prop::collection::vec((0u8..3, 0u8..2, priority, prop::bool::weighted(0.1), prop::bool::weighted(0.8)), 0..60)
    }

    fn entries(kinds: &[Kind]) -> Vec<Entry> {
        let syntax = RoomSyntax::new(4, ["kpi"]);
        let make = |(seq, (room, event, priority, requires_ack, _)): (u64, &Kind)| {
            let room = syntax.room(&format!("kpi:acme:r{room}")).unwrap();
            let mut new = NewPublication::new(room, EventName::parse(&format!("e{event}")).unwrap(), "1");
            (new.priority, new.requires_ack) = (*priority, *requires_ack);
            let position = Position { epoch: 1, seq, check: seq };
            Entry { position, body: Body::Publication(Arc::new(new.placed(Some(position), seq))) }
        };
        (1..).zip(kinds).map(make).collect()
    }

    proptest! {
        #[test]
        fn it_leaves_out_what_a_later_one_of_the_same_kind_replaces_and_nothing_else(kinds in kinds()) {
            let entries = entries(&kinds);
            let wanted = |position: Position| kinds[position.seq as usize - 1].4;
            let conflation = Conflation::of(entries.iter(), usize::MAX, |_, position| wanted(position));
            let gives_way = |(_, _, priority, requires_ack, wanted): &Kind| *priority == Priority::Low && !requires_ack && *wanted;
            let mut by_kind: BTreeMap<(u8, u8), Vec<u64>> = BTreeMap::new();
            for (seq, kind) in (1..).zip(&kinds).filter(|(_, kind)| gives_way(kind)) {
                by_kind.entry((kind.0, kind.1)).or_default().push(seq);
            }
            let expected: Vec<(u64, u32)> = by_kind.values().filter(|seqs| seqs.len() > 1).map(|seqs| (seqs[seqs.len() - 1], seqs.len() as u32 - 1)).collect();
            let left_out: u32 = expected.iter().map(|(_, count)| count).sum();
            let Some(conflation) = conflation else {
                prop_assert_eq!(left_out, 0);
                return Ok(());
            };
            let from = Position { epoch: 1, seq: 0, check: 0 };
            prop_assert_eq!(conflation.notice(from), Conflated { from, to: entries[entries.len() - 1].position, left_out });
            for seq in 1..=entries.len() as u64 {
                let stands_for = expected.iter().find(|(latest, _)| *latest == seq).map_or(0, |(_, count)| *count);
                prop_assert_eq!(conflation.stands_for(seq), stands_for);
                let replaced = by_kind.values().any(|seqs| seqs.contains(&seq) && seqs.last() != Some(&seq));
                prop_assert_eq!(conflation.leaves_out(seq), replaced, "{}", seq);
            }
        }

        #[test]
        fn what_remains_of_a_run_fits_but_for_the_last(kinds in kinds(), room in 1usize..3_000) {
            let entries = entries(&kinds);
            let Some(conflation) = Conflation::of(entries.iter(), room, |_, _| true) else { return Ok(()) };
            let run = entries.iter().take_while(|entry| entry.position.seq <= conflation.end.seq);
            let remaining = run.filter(|entry| !conflation.leaves_out(entry.position.seq)).count();
            prop_assert!((remaining - 1) * ENVELOPE_BYTES < room, "{} remain", remaining);
        }
    }
}
