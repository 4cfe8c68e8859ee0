//! What a client subscribes to, and whom a publication reaches by the words of the documents.

use std::fmt;

use roomcast::protocol::command;
use roomcast::protocol::{Filter, NewPublication, Pattern, RoomName};

/// A subscription: a pattern, and perhaps one of [`FILTERS`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Wanted {
    pub pattern: Pattern,
    pub filter: Option<&'static str>,
}

/// Publications carry their kind as a header, or none.
pub const FILTERS: [&str; 3] = ["headers.kind = 'a'", "not headers.kind = 'a'", "headers.kind in ('a', 'b')"];

/// What the publication with this number carries.
pub fn headers(number: u64) -> Option<Box<str>> {
    [Some(r#"{"kind":"a"}"#), Some(r#"{"kind":"b"}"#), None][(number % 3) as usize].map(Into::into)
}

impl Wanted {
    /// As a session names it.
    pub fn named(&self) -> command::Wanted {
        command::Wanted { pattern: self.pattern.clone(), filter: self.filter() }
    }

    pub fn filter(&self) -> Option<Filter> {
        self.filter.map(|text| Filter::parse(text).unwrap())
    }

    /// The rule of docs/protocol.md, word for word: the room itself, those above it, patterns; with cascade those below it too, and
    /// from the org's own room everyone. And of those only what passes the filter.
    pub fn is_reached_by(&self, publication: &NewPublication) -> bool {
        let room: &RoomName = &publication.room;
        let below = publication.cascade && (room.channel() == "org" || self.pattern.matches_at_or_below(room));
        (self.pattern.matches(room) || below) && self.passes(publication)
    }

    fn passes(&self, publication: &NewPublication) -> bool {
        let kind = publication.headers.as_deref().map(|headers| if headers.contains("\"a\"") { 'a' } else { 'b' });
        match self.filter {
            None => true,
            Some("headers.kind = 'a'") => kind == Some('a'),
            Some("not headers.kind = 'a'") => kind != Some('a'),
            Some("headers.kind in ('a', 'b')") => kind.is_some(),
            Some(other) => panic!("nothing is known of {other}"),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.pattern)?;
        self.filter.map_or(Ok(()), |filter| write!(f, " where {filter}"))
    }
}
