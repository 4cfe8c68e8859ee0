//! Cuts what watchers are told into messages of bounded size. Pure.
//!
//! A snapshot that does not fit is told by a shorter one and by diffs in which the rest joins, so that every message keeps to the
//! bound and all but the first are the same for every watcher.

use std::sync::Arc;

use crate::protocol::presence::{Diff, Member, UserId};

/// Members in a reply to a watcher, in bytes: each reply is encoded for its command alone, so it is kept short.
const HEAD_BYTES_MAX: usize = 4 << 10;

/// A snapshot's own members, and the diffs that bring the others.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    pub head: Vec<Arc<Member>>,
    pub parts: Vec<Diff>,
}

/// Cuts the members of a snapshot into messages of `bytes_max`.
pub fn cut<'a>(members: impl Iterator<Item = &'a Arc<Member>>, bytes_max: usize) -> Cut {
    let (mut head, mut rest, mut bytes) = (Vec::new(), Diff::default(), 0);
    for member in members {
        bytes += member.cost_bytes();
        if rest.joined.is_empty() && (head.is_empty() || bytes <= HEAD_BYTES_MAX.min(bytes_max)) {
            head.push(Arc::clone(member));
        } else {
            rest.joined.push(Arc::clone(member));
        }
    }
    Cut { head, parts: split(rest, bytes_max) }
}

/// Splits a diff into diffs of `bytes_max`, at least one change in each; none for an empty one. Whoever left is told first.
pub fn split(diff: Diff, bytes_max: usize) -> Vec<Diff> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Diff::default(), 0);
    let mut room_for = |cost: usize, part: &mut Diff| {
        if !part.is_empty() && bytes + cost > bytes_max {
            parts.push(std::mem::take(part));
            bytes = 0;
        }
        bytes += cost;
    };
    for user in diff.left {
        room_for(cost_of(&user), &mut part);
        part.left.push(user);
    }
    for member in diff.joined {
        room_for(member.cost_bytes(), &mut part);
        part.joined.push(member);
    }
    for member in diff.updated {
        room_for(member.cost_bytes(), &mut part);
        part.updated.push(member);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

fn cost_of(user: &UserId) -> usize {
    user.as_str().len() + 3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::presence::{State, Status};

    fn member(number: usize, filling: usize) -> Arc<Member> {
        let state = State::stored(&format!("\"{}\"", "x".repeat(filling))).unwrap();
        Arc::new(Member { user_id: UserId::parse(&format!("user{number}")).unwrap(), status: Status::Away, state })
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_everything_fits(fillings in prop::collection::vec(0usize..900, 0..120), bytes_max in 1_200usize..40_000) {
            let members: Vec<_> = fillings.iter().enumerate().map(|(number, filling)| member(number, *filling)).collect();
            let Cut { head, parts } = cut(members.iter(), bytes_max);
            let all: Vec<_> = head.iter().chain(parts.iter().flat_map(|part| &part.joined)).cloned().collect();
            prop_assert_eq!(&all, &members);
            prop_assert!(parts.is_empty() || !head.is_empty());
            prop_assert!(serde_json::to_string(&head).unwrap().len() <= bytes_max.min(HEAD_BYTES_MAX) + 2);
            for part in parts {
                prop_assert!(!part.is_empty() && serde_json::to_string(&part.joined).unwrap().len() <= bytes_max + 2);
            }
            let (joined, updated) = (members.clone(), members.clone());
            let left: Vec<_> = members.iter().map(|member| member.user_id.clone()).collect();
            let whole = Diff { joined, updated, left };
            let mut again = Diff::default();
            for part in split(whole.clone(), bytes_max) {
                prop_assert!(serde_json::to_string(&part).unwrap().len() <= bytes_max + 40);
                again.joined.extend(part.joined);
                again.updated.extend(part.updated);
                again.left.extend(part.left);
            }
            prop_assert_eq!(again, whole);
        }
    }
}
