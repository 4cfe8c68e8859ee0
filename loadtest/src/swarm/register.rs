//! What has been given out to publish, and into which rooms: every member is held against it. Pure.
//!
//! A *strand* is what one publisher publishes into one room, numbered from 0 without holes. Every publication carries its strand, its
//! number and the time at which it was due, so one look tells whether it is in its room, whose it is and whether one is missing.

use std::fmt::Write;

use crate::ledger::reach;

/// The event of every publication.
pub const EVENT: &str = "kpi:update";

/// One publisher's publications into one room.
pub struct Strand {
    pub room: String,
    /// Who publishes it, as an index of the swarm's publishers.
    pub publisher: usize,
    /// How every publication of it begins, up to its id.
    pub(super) head: Vec<u8>,
    /// Numbers below this have been given out.
    pub given: u64,
    /// Numbers below this have been received by somebody.
    pub(super) seen: u64,
    /// Members that are entitled to it.
    pub audience: u64,
}

/// All strands of a run.
#[derive(Default)]
pub struct Register {
    strands: Vec<Strand>,
    /// What all members together should have received by now.
    pub owed: u64,
    pub given: u64,
}

impl Register {
    /// Opens a strand, and says by which number it is known.
    pub fn open(&mut self, room: &str, publisher: usize) -> u32 {
        let head = format!(r#"{{"event":"{EVENT}","room":"{room}","#).into_bytes();
        self.strands.push(Strand { room: room.to_owned(), publisher, head, given: 0, seen: 0, audience: 0 });
        u32::try_from(self.strands.len() - 1).unwrap_or(u32::MAX)
    }

    pub fn strand(&self, strand: u32) -> Option<&Strand> {
        self.strands.get(strand as usize)
    }

    pub(super) fn strand_mut(&mut self, strand: u32) -> Option<&mut Strand> {
        self.strands.get_mut(strand as usize)
    }

    /// The strands that a subscription to `patterns` gets, of the orgs that the patterns name; in rising order.
    pub fn reached_by<S: AsRef<str>>(&self, patterns: &[S]) -> Vec<u32> {
        let reached = |strand: &Strand| patterns.iter().any(|pattern| reach::reaches(pattern.as_ref(), &strand.room));
        (0..).zip(&self.strands).filter(|(_, strand)| reached(strand)).map(|(number, _)| number).collect()
    }

    /// Writes the data of the strand's next publication to `out`, due at `due_us` and filled with `filling`.
    ///
    /// # Panics
    /// When there is no such strand.
    pub fn give(&mut self, strand: u32, due_us: u64, filling: &str, out: &mut String) {
        let known = &mut self.strands[strand as usize];
        let n = known.given;
        known.given += 1;
        self.given += 1;
        self.owed += known.audience;
        let _ = write!(out, r#"{{"s":{strand},"n":{n},"t":{due_us},"fill":{filling}}}"#);
    }

    /// Says that somebody else publishes `count` of a strand, all told; it may be said again when more is known.
    pub fn expect(&mut self, strand: u32, count: u64) {
        if let Some(known) = self.strands.get_mut(strand as usize) {
            self.owed = self.owed - known.given * known.audience + count * known.audience;
            known.given = count;
        }
    }

    pub(super) fn entitle(&mut self, strands: impl IntoIterator<Item = u32>) {
        for strand in strands {
            if let Some(known) = self.strand_mut(strand) {
                known.audience += 1;
            }
        }
    }

    pub(super) fn dismiss(&mut self, strands: impl IntoIterator<Item = u32>) {
        for strand in strands {
            if let Some(known) = self.strand_mut(strand) {
                known.audience -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_within_a_strand_and_everybody_is_owed_them() {
        let mut register = Register::default();
        let (sales, support) = (register.open("kpi:acme:sales", 0), register.open("kpi:acme:support", 0));
        register.entitle([sales, sales, support]);
        let mut out = String::new();
        for strand in [sales, support, sales] {
            out.clear();
            register.give(strand, 7, "0", &mut out);
        }
        assert_eq!(out, r#"{"s":0,"n":1,"t":7,"fill":0}"#);
        assert_eq!((register.given, register.owed), (3, 5));
    }

    #[test]
    fn what_somebody_else_publishes_is_owed_and_was_not_given_here() {
        let mut register = Register::default();
        let sales = register.open("kpi:acme:sales", 0);
        register.entitle([sales, sales]);
        register.expect(sales, 10);
        assert_eq!(register.owed, 20);
        register.expect(sales, 3);
        assert_eq!((register.owed, register.given, register.strand(sales).unwrap().given), (6, 0, 3));
    }

    #[test]
    fn a_pattern_reaches_the_strands_of_its_rooms() {
        let mut register = Register::default();
        for room in ["kpi:acme:sales", "kpi:acme:support", "kpi:umbrella:sales"] {
            register.open(room, 0);
        }
        assert_eq!(register.reached_by(&["kpi:acme"]), [0, 1]);
        assert_eq!(register.reached_by(&["*:acme:support", "kpi:umbrella:sales"]), [1, 2]);
    }
}
