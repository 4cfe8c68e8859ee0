//! A table whose places stay where they are: it grows by pieces, so that a large org neither copies its sessions nor keeps room for as many
//! again, as a table that doubles does.
//!
//! Pure. The org's task owns one for its members; places are numbered from 0, and free ones are used again.

/// Places in one piece.
const PIECE: usize = 64;

#[derive(Debug)]
pub struct Shelf<T> {
    pieces: Vec<Box<[Option<T>; PIECE]>>,
    /// Free places below `fresh`.
    free: Vec<u32>,
    /// No place from here on was ever used.
    fresh: u32,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), free: Vec::new(), fresh: 0 }
    }
}

impl<T> Shelf<T> {
    /// Puts `value` into a free place; its number, or `None` when every number is taken.
    pub fn insert(&mut self, value: T) -> Option<u32> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let place = self.fresh;
                self.fresh = place.checked_add(1)?;
                place
            }
        };
        let (piece, within) = parts(place);
        if piece == self.pieces.len() {
            self.pieces.push(Box::new([const { None }; PIECE]));
        }
        self.pieces[piece][within] = Some(value);
        Some(place)
    }

    pub fn remove(&mut self, place: u32) -> Option<T> {
        let (piece, within) = parts(place);
        let value = self.pieces.get_mut(piece)?[within].take()?;
        self.free.push(place);
        if self.is_empty() {
            *self = Self::default();
        }
        Some(value)
    }

    pub fn get(&self, place: u32) -> Option<&T> {
        let (piece, within) = parts(place);
        self.pieces.get(piece)?[within].as_ref()
    }

    pub fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let (piece, within) = parts(place);
        self.pieces.get_mut(piece)?[within].as_mut()
    }

    pub fn is_empty(&self) -> bool {
        self.free.len() == self.fresh as usize
    }

    /// One more than the highest number that was ever in use.
    pub fn end(&self) -> usize {
        self.fresh as usize
    }

    /// All values with their places, in the order of these.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let places = self.pieces.iter().flat_map(|piece| piece.iter());
        (0..).zip(places).filter_map(|(place, value)| Some((place, value.as_ref()?)))
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pieces.iter_mut().flat_map(|piece| piece.iter_mut()).flatten()
    }
}

fn parts(place: u32) -> (usize, usize) {
    (place as usize / PIECE, place as usize % PIECE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(steps in prop::collection::vec((any::<bool>(), 0u32..200), 0..600)) {
            let (mut shelf, mut map) = (Shelf::default(), BTreeMap::new());
            for (number, (inserts, place)) in steps.into_iter().enumerate() {
                if inserts {
                    let place = shelf.insert(number).unwrap();
                    prop_assert!(map.insert(place, number).is_none(), "{place} was taken");
                    prop_assert!((place as usize) < shelf.end());
                } else {
                    prop_assert_eq!(shelf.remove(place), map.remove(&place));
                }
                prop_assert_eq!(shelf.get(place), map.get(&place));
                prop_assert_eq!(shelf.get_mut(place), map.get_mut(&place));
                prop_assert_eq!(shelf.is_empty(), map.is_empty());
            }
            prop_assert!(shelf.iter().map(|(place, value)| (place, *value)).eq(map.iter().map(|(place, value)| (*place, *value))));
            prop_assert!(shelf.values_mut().eq(map.values_mut()));
        }
    }
}
