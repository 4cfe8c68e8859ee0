//! The command `history` as clients spell it, and what answers it (docs/history.md).

use bytes::BytesMut;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::protocol::codec::json;
use crate::protocol::filter::Filter;
use crate::protocol::position::Position;
use crate::protocol::publication::Publication;
use crate::protocol::push::{Gap, Manner, Push};

/// Publications in an answer when the command does not say how many.
pub const LIMIT_DEFAULT: usize = 100;

/// Which page of the past to read. It subscribes to nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "HistoryData")]
pub struct History {
    /// A room or pattern, in short or long form: what reaches a subscription on it.
    pub room: String,
    /// Begin after this position; backwards, before it. Without it begin with the oldest, or, backwards, with the newest.
    #[serde(default)]
    pub since: Option<Position>,
    /// Most publications to answer with.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub limit: Option<usize>,
    /// The newest first.
    #[serde(default)]
    pub reverse: bool,
    /// Only what passes.
    #[serde(default)]
    #[schemars(with = "Option<Filter>")]
    pub filter: Option<String>,
}

/// One page of the past.
#[derive(Clone, PartialEq, Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "HistoryPageData")]
pub struct HistoryPage {
    /// In the order that was asked for. There may be fewer than the limit although more follow, because a page looks at so many entries only.
    pub publications: Vec<Shown>,
    /// Admitted losses on the way: what was published after `from` and up to `to` may be missing.
    pub gaps: Vec<Gap>,
    /// Send it as `since` for the next page; `null` while the log has no entry.
    pub next: Option<Position>,
    /// Whether nothing more follows in this direction.
    pub end: bool,
}

/// A publication as sessions get it, encoded.
#[derive(Clone, Debug, Serialize)]
pub struct Shown(Box<RawValue>);

impl Shown {
    /// `None` for data that nobody could read either.
    pub fn of(publication: &Publication) -> Option<Self> {
        let mut out = BytesMut::new();
        json::push(&Push::Publication { publication, manner: Manner::PLAIN }, &mut out);
        // The broker admitted only data that is JSON, so the whole is.
        serde_json::from_slice(&out).ok().map(Self)
    }

    pub fn bytes(&self) -> usize {
        self.0.get().len()
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl JsonSchema for Shown {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Shown".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": "#/$defs/Publication" })
    }
}
