//! The notes that nodes send each other: versioned JSON of bounded size.
//!
//! `{"v":1,"id":"<uuid>","from":"<node>","question":{…}}` or `…"answer":{…}`. A node ignores what it cannot read, so that nodes of
//! different versions can be in one cluster; the asker then counts them as missing.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::connections::Connection;
use crate::api::explain::{Accounts, Who};
use crate::api::extract::Reach;
use crate::api::page::Page;
use crate::api::rooms::Room;
use crate::api::stats::NodeStats;
use crate::protocol::{OrgId, Position, SessionId};
use crate::transport::http_session::errand::{Errand, Outcome};

/// The version that this code speaks; another one is not read.
const VERSION: u32 = 1;
/// Longest note, in bytes. Answers that are longer are cut to a shorter page. The longest request with commands (1 MiB) fits, quoted as it is.
const NOTE_BYTES_MAX: usize = (2 << 20) + (64 << 10);

/// A question or an answer with its envelope.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    v: u32,
    /// Of the question, in its answers too.
    pub id: Uuid,
    /// The node that sends it.
    pub from: String,
    #[serde(flatten)]
    pub content: Content,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    Question(Question),
    Answer(Answer),
}

/// The one org that a question is about, or all of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Option<String>", into = "Option<String>")]
pub(in crate::api) struct Scope(Reach);

impl From<Reach> for Scope {
    fn from(reach: Reach) -> Self {
        Self(reach)
    }
}

impl Scope {
    pub fn org(&self) -> Option<&OrgId> {
        self.0.org()
    }

    /// Whether something of `org` (`None`: of nobody yet) lies within.
    pub fn holds(&self, org: Option<&OrgId>) -> bool {
        self.org().is_none_or(|own| Some(own) == org)
    }
}

impl TryFrom<Option<String>> for Scope {
    type Error = crate::protocol::Fault;

    fn try_from(org: Option<String>) -> Result<Self, Self::Error> {
        Ok(Self(Reach::of_note(org.as_deref().map(OrgId::parse).transpose()?)))
    }
}

impl From<Scope> for Option<String> {
    fn from(scope: Scope) -> Self {
        scope.org().map(|org| org.as_str().to_owned())
    }
}

/// What one node asks all others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum Question {
    Stats {
        org: Scope,
    },
    Connections {
        org: Scope,
        user: Option<String>,
        after: Option<SessionId>,
        limit: usize,
    },
    Connection {
        org: Scope,
        id: SessionId,
    },
    Disconnect {
        org: Scope,
        id: SessionId,
    },
    Rooms {
        org: Scope,
        after: Option<String>,
        limit: usize,
    },
    Explain {
        org: Scope,
        message: Position,
        who: Who,
        limit: usize,
    },
    /// From a client whose session is on the node that is asked.
    Errand(Errand),
}

/// What a node answers, each to the question of the same name.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) enum Answer {
    Stats(Box<NodeStats>),
    Connections(Page<Connection>),
    Connection(Option<Connection>),
    Disconnected(bool),
    Rooms(Page<Room>),
    Explained(Accounts),
    Errand(Outcome),
}

impl Answer {
    /// Gives up half of a page; `false` when there is nothing to give up.
    fn halve(&mut self) -> bool {
        match self {
            Self::Connections(page) => page.halve(),
            Self::Rooms(page) => page.halve(),
            Self::Explained(accounts) => accounts.halve(),
            Self::Stats(_) | Self::Connection(_) | Self::Disconnected(_) | Self::Errand(_) => false,
        }
    }
}

impl Note {
    pub fn new(from: &str, id: Uuid, content: Content) -> Self {
        Self { v: VERSION, id, from: from.to_owned(), content }
    }

    /// The note as bytes, with a shorter page where the whole one does not fit; `None` when nothing helps.
    pub fn encode(mut self) -> Option<Bytes> {
        loop {
            let bytes = serde_json::to_vec(&self).ok()?;
            if bytes.len() <= NOTE_BYTES_MAX {
                return Some(bytes.into());
            }
            let Content::Answer(answer) = &mut self.content else { return None };
            if !answer.halve() {
                return None;
            }
        }
    }

    /// `None` for what is too long, malformed or of another version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > NOTE_BYTES_MAX {
            return None;
        }
        serde_json::from_slice(bytes).ok().filter(|note: &Self| note.v == VERSION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_read_as_they_were_written_and_nothing_else_is() {
        let question = Question::Rooms { org: Reach::of_note(Some(OrgId::parse("acme").unwrap())).into(), after: None, limit: 5 };
        let bytes = Note::new("a", Uuid::nil(), Content::Question(question.clone())).encode().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        assert_eq!(
            text,
            r#"{"v":1,"id":"00000000-0000-0000-0000-000000000000","from":"a","question":{"rooms":{"org":"acme","after":null,"limit":5}}}"#
        );
        let note = Note::decode(&bytes).unwrap();
        assert!(matches!(note.content, Content::Question(read) if read == question));
        for (from, to) in [("\"v\":1", "\"v\":2"), ("acme", "a c"), ("rooms", "doors"), ("}", "")] {
            assert!(Note::decode(text.replace(from, to).as_bytes()).is_none(), "{to}");
        }
        assert!(Note::decode(&vec![b' '; NOTE_BYTES_MAX + 1]).is_none());
    }

    #[test]
    fn the_longest_commands_fit_however_they_are_spelled() {
        let session = serde_json::from_str("\"0123456789abcdef0123456789abcdef\"").unwrap();
        let errand = Errand::Post { session, number: Some(u64::MAX), commands: "\"".repeat(1 << 20) };
        let bytes = Note::new(&"n".repeat(64), Uuid::nil(), Content::Question(Question::Errand(errand.clone()))).encode().unwrap();
        assert!(matches!(Note::decode(&bytes).unwrap().content, Content::Question(Question::Errand(read)) if read == errand));
        let piece = Outcome::Piece { text: "\"".repeat(256 << 10), more: true };
        let bytes = Note::new("a", Uuid::nil(), Content::Answer(Answer::Errand(piece.clone()))).encode().unwrap();
        assert!(matches!(Note::decode(&bytes).unwrap().content, Content::Answer(Answer::Errand(read)) if read == piece));
    }

    #[test]
    fn a_page_that_is_too_long_is_cut_and_says_so() {
        let room = |index: usize| Room {
            room: format!("{index:08}{}", "x".repeat(2_000)),
            kind: "org".into(),
            organization_id: "o".into(),
            sessions: 1,
        };
        let items: Vec<Room> = (0..2_000).map(room).collect();
        let page = Page { items: items.clone(), more: false, total: 2_000 };
        let bytes = Note::new("a", Uuid::nil(), Content::Answer(Answer::Rooms(page))).encode().unwrap();
        let Content::Answer(Answer::Rooms(page)) = Note::decode(&bytes).unwrap().content else { panic!("an answer about rooms") };
        assert!(page.more && page.total == 2_000 && page.items == items[..page.items.len()] && !page.items.is_empty());
    }
}
