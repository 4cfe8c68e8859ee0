//! Ingest entries that write to collections, and those that tell of a database's rows. Pure.
//!
//! `ingest_entry` calls these; docs/publishing.md is the contract.

use serde_json::value::RawValue;

use super::ingest_entry::{Fields, idempotency_key, only, required, text};
use crate::protocol::database_change::{DatabaseChange, RowEvent};
use crate::protocol::item::{ItemKey, ItemValue, NewWrite, Op, collection_room};
use crate::protocol::{Fault, OrgId, RoomSyntax};

/// Reads `room`, `op`, `key`, `value` and `if_version`.
pub(super) fn write(fields: &Fields<'_>, syntax: &RoomSyntax) -> Result<NewWrite, String> {
    only(fields, &["room", "op", "key", "value", "if_version", "idempotency_key"])?;
    let room = required(fields, "room")?;
    // Whoever writes to the stream writes for every org, so the room's own is the right one.
    let room = syntax.room(room).and_then(|named| collection_room(room, syntax, named.org())).map_err(why)?;
    let op = Op::parse(required(fields, "op")?).ok_or("op is insert, update, delete or put")?;
    let key = ItemKey::new(required(fields, "key")?).map_err(why)?;
    let value = match text(fields, "value")? {
        Some(value) => Some(ItemValue::read(value.into()).ok_or("value is one JSON value, nested at most 60 levels deep")?),
        None => None,
    };
    let if_version = match text(fields, "if_version")? {
        Some(version) => Some(version.parse().map_err(|_| "if_version is a version of the item, a whole number")?),
        None => None,
    };
    let write = NewWrite::new(room, op, key, value, if_version).map_err(why)?;
    Ok(write.with_idempotency_key(idempotency_key(fields)?))
}

/// Reads `organization_id`, `table`, `event`, the row in `data` (or `new`, or `old` of a deleted one), and the columns of `primary_key`.
pub(super) fn change(fields: &Fields<'_>, syntax: &RoomSyntax) -> Result<NewWrite, String> {
    only(fields, &["organization_id", "table", "event", "data", "new", "old", "primary_key", "idempotency_key"])?;
    let org = OrgId::parse(required(fields, "organization_id")?).map_err(why)?;
    let event = RowEvent::parse(required(fields, "event")?).ok_or("event is INSERT, UPDATE or DELETE")?;
    let mut row = text(fields, "data")?.or(text(fields, "new")?);
    if event == RowEvent::Delete {
        row = text(fields, "old")?.or(row);
    }
    let row = ItemValue::read(row.ok_or("data is missing")?.into()).ok_or("data is the row, as a JSON object of its columns")?;
    let row = <&RawValue>::from(&row);
    let primary_key: Vec<&str> = text(fields, "primary_key")?.map_or_else(Vec::new, |columns| columns.split(',').collect());
    let change = DatabaseChange { table: required(fields, "table")?, event, row, primary_key: &primary_key };
    Ok(change.write(&org, syntax).map_err(why)?.with_idempotency_key(idempotency_key(fields)?))
}

fn why(fault: Fault) -> String {
    fault.message.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        by: fn(&Fields<'_>, &RoomSyntax) -> Result<NewWrite, String>,
        fields: &[(&'static str, &'static str)],
    ) -> Result<NewWrite, String> {
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        by(&fields, &RoomSyntax::new(4, ["kpi", "sync"]))
    }

    const WRITE: [(&str, &str); 4] = [("room", "sync:acme:tasks"), ("op", "put"), ("key", "a"), ("value", "[1]")];
    const CHANGE: [(&str, &str); 4] =
        [("organization_id", "acme"), ("table", "tasks"), ("event", "UPDATE"), ("data", "{\"id\":17,\"no\":\"x\"}")];

    fn with(entry: &[(&'static str, &'static str)], name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
        entry.iter().copied().filter(|(known, _)| *known != name).chain([(name, value)]).collect()
    }

    #[test]
    fn a_write_is_read_with_all_its_fields() {
        let read = read(write, &with(&with(&WRITE, "if_version", "42"), "idempotency_key", "k")).unwrap();
        assert_eq!((read.room.as_str(), read.op, read.key.as_str(), read.if_version), ("sync:acme:tasks", Op::Put, "a", Some(42)));
        assert_eq!((read.value.unwrap().as_str(), read.idempotency_key.as_deref()), ("[1]", Some("k")));
    }

    #[test]
    fn what_no_collection_can_take_is_told() {
        for (name, value, says) in [
            ("room", "kpi:acme", "channel sync"),
            ("room", "sync:acme:*", "letters"),
            ("op", "upsert", "op is"),
            ("key", "", "1 to 128"),
            ("value", "{", "JSON"),
            ("if_version", "-1", "whole number"),
            ("idempotency_key", "", "idempotency"),
            ("priority", "low", "no such field: priority"),
        ] {
            let refused = read(write, &with(&WRITE, name, value)).unwrap_err();
            assert!(refused.contains(says), "{name}={value}: {refused}");
        }
        assert!(read(write, &WRITE[..3]).unwrap_err().contains("needs a value"));
    }

    #[test]
    fn a_changed_row_is_read_under_each_of_its_names() {
        assert_eq!(read(change, &CHANGE).unwrap().key.as_str(), "17");
        let keyed = read(change, &with(&CHANGE, "primary_key", "no,id")).unwrap();
        assert_eq!((keyed.op, keyed.key.as_str()), (Op::Put, "[\"x\",17]"));
        let old = with(&with(&CHANGE[..3], "event", "DELETE"), "old", "{\"id\":18}");
        assert_eq!((read(change, &old).unwrap().op, read(change, &old).unwrap().key.as_str()), (Op::Delete, "18"));
        for (name, value, says) in
            [("event", "TRUNCATE", "event is"), ("data", "[]", "columns"), ("table", "a b", "segment"), ("organization_id", "*", "segment")]
        {
            let refused = read(change, &with(&CHANGE, name, value)).unwrap_err();
            assert!(refused.contains(says), "{name}={value}: {refused}");
        }
        assert!(read(change, &CHANGE[..3]).unwrap_err().contains("data is missing"));
    }
}
