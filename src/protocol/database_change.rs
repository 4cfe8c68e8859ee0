//! Changes of database tables as triggers and relays tell them, and the writes to collections that they mean. Pure.
//!
//! REST and the ingest stream read them. The table `tasks` of `acme` is kept in the collection `sync:acme:tasks`, and the row's
//! primary key names the item (docs/collections.md, "From a database").

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::code::{Code, Fault};
use super::item::{CHANNEL, ItemKey, ItemValue, NewWrite, Op, collection_room};
use super::room::{OrgId, RoomSyntax, invalid};

/// Most columns of a primary key.
pub const KEY_COLUMNS_MAX: usize = 16;
/// The primary key of tables about which nothing else is said.
const KEY_COLUMN: &str = "id";

/// What happened to the row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum RowEvent {
    Insert,
    Update,
    Delete,
}

impl RowEvent {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "INSERT" => Some(Self::Insert),
            "UPDATE" => Some(Self::Update),
            "DELETE" => Some(Self::Delete),
            _ => None,
        }
    }

    /// The database has decided already what stands in the row, so nothing of what the collection holds speaks against it: an item
    /// that was there before its insert, or is missing at its update, is put right.
    fn op(self) -> Op {
        match self {
            Self::Insert | Self::Update => Op::Put,
            Self::Delete => Op::Delete,
        }
    }
}

/// One row of one table, changed.
#[derive(Debug)]
pub struct DatabaseChange<'a> {
    pub table: &'a str,
    pub event: RowEvent,
    /// The row as a JSON object: as it is now, or, deleted, as it was.
    pub row: &'a RawValue,
    /// The columns of the primary key; `id` when there are none.
    pub primary_key: &'a [&'a str],
}

impl DatabaseChange<'_> {
    /// # Errors
    /// `INVALID_ROOM` when no room can have the table's name, `INVALID_MESSAGE` when the row tells no key.
    pub fn write(&self, org: &OrgId, syntax: &RoomSyntax) -> Result<NewWrite, Fault> {
        if self.table.contains(':') {
            return Err(invalid(self.table, "the name of a table is one segment of its collection's room, without colons"));
        }
        let room = collection_room(&format!("{CHANNEL}:{org}:{}", self.table), syntax, org)?;
        let key = self.key()?;
        let op = self.event.op();
        let value = if op == Op::Delete { None } else { Some(ItemValue::new(self.row.to_owned())?) };
        NewWrite::new(room, op, key, value, None)
    }

    /// One column's value as text; several as a JSON list, so that no two rows share a key.
    fn key(&self) -> Result<ItemKey, Fault> {
        let row: HashMap<String, &RawValue> =
            serde_json::from_str(self.row.get()).map_err(|_| Fault::new(Code::InvalidMessage, "the row is a JSON object of columns"))?;
        let columns = if self.primary_key.is_empty() { &[KEY_COLUMN][..] } else { self.primary_key };
        if columns.len() > KEY_COLUMNS_MAX {
            return Err(Fault::new(Code::InvalidMessage, format!("a primary key has at most {KEY_COLUMNS_MAX} columns")));
        }
        let mut values = Vec::with_capacity(columns.len());
        for column in columns {
            let value = row.get(*column).map(|value| value.get());
            match value.filter(|value| {
                value.starts_with(|first: char| first == '"' || first == '-' || first == 't' || first == 'f' || first.is_ascii_digit())
            }) {
                Some(value) => values.push(value),
                None => {
                    let shown: String = column.chars().take(64).collect();
                    let why = format!("the row's column {shown:?} is part of its key, and holds no text, number or boolean");
                    return Err(Fault::new(Code::InvalidMessage, why));
                }
            }
        }
        match values[..] {
            [text] if text.starts_with('"') => {
                let text: String = serde_json::from_str(text).map_err(|_| Fault::new(Code::InvalidMessage, "the row's key is no text"))?;
                ItemKey::new(text)
            }
            [plain] => ItemKey::new(plain),
            _ => ItemKey::new(format!("[{}]", values.join(","))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write_by(table: &str, event: RowEvent, row: &str, primary_key: &[&str]) -> Result<NewWrite, Fault> {
        let row = RawValue::from_string(row.into()).unwrap();
        let change = DatabaseChange { table, event, row: &row, primary_key };
        change.write(&OrgId::parse("acme").unwrap(), &RoomSyntax::new(4, ["sync"]))
    }

    #[test]
    fn a_row_becomes_the_item_of_its_primary_key() {
        let row = r#"{"id": 17, "title": "Call back"}"#;
        let put = write_by("tasks", RowEvent::Insert, row, &[]).unwrap();
        assert_eq!((put.room.as_str(), put.op, put.key.as_str()), ("sync:acme:tasks", Op::Put, "17"));
        assert_eq!(put.value.unwrap().as_str(), row);
        assert_eq!(write_by("tasks", RowEvent::Update, row, &["title"]).unwrap().key.as_str(), "Call back");
        let gone = write_by("public.tasks", RowEvent::Delete, row, &[]).unwrap();
        assert_eq!((gone.room.as_str(), gone.op, gone.value), ("sync:acme:public.tasks", Op::Delete, None));
        let composite = write_by("tasks", RowEvent::Update, row, &["title", "id"]).unwrap();
        assert_eq!(composite.key.as_str(), r#"["Call back",17]"#);
    }

    #[test]
    fn a_row_without_a_key_or_a_table_without_a_room_is_refused() {
        for row in [r#"{"title":"x"}"#, r#"{"id":null}"#, r#"{"id":{"a":1}}"#, r#"{"id":[1]}"#, r#"{"id":""}"#, "[1]", "17", "null"] {
            assert_eq!(write_by("tasks", RowEvent::Delete, row, &[]).unwrap_err().code, Code::InvalidMessage, "{row}");
        }
        for table in ["", "a b", "a:b", "*", "org", "tasks:**"] {
            assert_eq!(write_by(table, RowEvent::Update, r#"{"id":1}"#, &[]).unwrap_err().code, Code::InvalidRoom, "{table:?}");
        }
        let wide = vec!["id"; KEY_COLUMNS_MAX + 1];
        assert!(write_by("tasks", RowEvent::Update, r#"{"id":1}"#, &wide).is_err());
    }

    proptest! {
        /// Rows of one table share a key only where all columns of the key are the same.
        #[test]
        fn no_two_rows_share_a_composite_key(a in ".{0,6}", b in ".{0,6}", c in ".{0,6}", d in ".{0,6}") {
            let key = |one: &str, two: &str| {
                let row = serde_json::json!({ "a": one, "b": two }).to_string();
                write_by("tasks", RowEvent::Update, &row, &["a", "b"]).unwrap().key
            };
            prop_assert_eq!(key(&a, &b) == key(&c, &d), (a, b) == (c, d));
        }
    }
}
