//! ● Which messages a client that polls has, and which it may ask for again.
//!
//! A cursor is the number of the last answer with messages that came to the client. Asking with it says that this answer came; the one
//! before it means that it did not, and brings the same bytes again. So nothing is lost with an answer, and nothing comes twice.

use bytes::Bytes;

#[derive(Debug, Default)]
pub struct Kept {
    /// Of the last answer; 0 before the first one.
    number: u64,
    /// The last answer, until it is known to have come.
    answer: Option<Bytes>,
}

/// What is due to a poll.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// The last answer once more.
    Again(Bytes),
    /// What comes next.
    Next,
    /// There is nothing that such a cursor could go on with.
    Unknown,
}

impl Kept {
    pub fn ask(&mut self, cursor: u64) -> Asked {
        if cursor == self.number {
            self.answer = None;
            return Asked::Next;
        }
        match &self.answer {
            Some(answer) if cursor.checked_add(1) == Some(self.number) => Asked::Again(answer.clone()),
            _ => Asked::Unknown,
        }
    }

    /// Makes the next answer, with its cursor.
    pub fn hand_out(&mut self, make: impl FnOnce(u64) -> Bytes) -> Bytes {
        self.number += 1;
        let answer = make(self.number);
        self.answer = Some(answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// The client polls with its cursor, and the answer comes or does not.
        Poll { comes: bool },
        /// A poll that went astray earlier comes late.
        Straggler { back: u64 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let poll = any::<bool>().prop_map(|comes| Step::Poll { comes });
        prop::collection::vec(prop_oneof![4 => poll, 1 => (1u64..4).prop_map(|back| Step::Straggler { back })], 0..60)
    }

    proptest! {
        #[test]
        fn whatever_gets_lost_the_client_gets_everything_once_and_in_order(steps in steps()) {
            let (mut kept, mut made, mut cursor, mut got) = (Kept::default(), 0u64, 0u64, Vec::new());
            for step in steps {
                match step {
                    Step::Poll { comes } => {
                        let answer = match kept.ask(cursor) {
                            Asked::Again(answer) => answer,
                            Asked::Next => kept.hand_out(|number| {
                                made += 1;
                                Bytes::from(format!("{number} {made}"))
                            }),
                            Asked::Unknown => panic!("a client's own cursor is known"),
                        };
                        if comes {
                            let text = String::from_utf8(answer.to_vec()).unwrap();
                            let (number, message) = text.split_once(' ').unwrap();
                            cursor = number.parse().unwrap();
                            got.push(message.parse::<u64>().unwrap());
                        }
                    }
                    Step::Straggler { back } => {
                        // It takes nothing away: what it says came had come.
                        if let Some(old) = cursor.checked_sub(back) {
                            prop_assert!(!matches!(kept.ask(old), Asked::Next));
                        }
                    }
                }
            }
            prop_assert_eq!(&got, &(1..=got.len() as u64).collect::<Vec<_>>());
            prop_assert!(made <= got.len() as u64 + 1, "one answer is under way at most");
        }
    }
}
