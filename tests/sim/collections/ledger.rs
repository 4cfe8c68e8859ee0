//! What writers were told, held against the log, in which every change stands once and in the order in which it was decided.

use std::collections::BTreeMap;

use roomcast::broker::collections::Written;
use roomcast::protocol::item::{Conflict, NewWrite, Op};
use roomcast::protocol::{Position, RoomName};
use serde_json::Value;

use crate::log::Log;

pub enum Outcome {
    Written(Written),
    Conflict(Conflict),
}

#[derive(Default)]
pub struct Ledger(Vec<(NewWrite, Outcome)>);

/// One change as the log tells it, and the version that stood there before.
struct Logged {
    change: Value,
    version: u64,
    before: Option<u64>,
    position: Position,
}

impl Ledger {
    pub fn note(&mut self, write: NewWrite, outcome: Outcome) {
        self.0.push((write, outcome));
    }

    /// # Errors
    /// The first write of which its writer was told something else than became of it.
    pub fn judge<'a>(&self, logs: impl Iterator<Item = &'a Log>) -> Result<(), String> {
        let logged: Vec<Logged> = logs.flat_map(logged).collect();
        for (write, outcome) in &self.0 {
            let value: Option<Value> = write.value.as_ref().map(|value| serde_json::from_str(value.as_str()).unwrap());
            // Each value is written by one write.
            let by_value: Vec<&Logged> =
                logged.iter().filter(|logged| value.is_some() && logged.change.get("value") == value.as_ref()).collect();
            if by_value.len() > 1 {
                return Err(format!("{write:?} was carried out {} times", by_value.len()));
            }
            let sound = match outcome {
                Outcome::Conflict(conflict) => by_value.is_empty() && is_in_the_way(conflict, write),
                // To delete what is not there changes nothing.
                Outcome::Written(Written { position: None, .. }) => write.op == Op::Delete && write.if_version.is_none(),
                Outcome::Written(written) => {
                    let change = logged.iter().find(|logged| Some(logged.position) == written.position);
                    change.is_some_and(|change| is_what_was_wanted(change, write, value.as_ref(), written.version))
                }
            };
            if !sound {
                return Err(format!("{write:?} was not decided by what stood there"));
            }
        }
        Ok(())
    }
}

fn logged(log: &Log) -> Vec<Logged> {
    let mut stands: BTreeMap<(RoomName, String), u64> = BTreeMap::new();
    let publications = log.records.iter().filter_map(|record| Some((record.position, record.publication.as_ref()?)));
    let read = |(position, publication): (Position, &roomcast::protocol::NewPublication)| {
        let change: Value = serde_json::from_slice(&publication.data).unwrap();
        let (place, version) =
            ((publication.room.clone(), change["key"].as_str().unwrap().to_owned()), change["version"].as_u64().unwrap());
        let before = if change.get("value").is_some() { stands.insert(place, version) } else { stands.remove(&place) };
        Logged { change, version, before, position }
    };
    publications.map(read).collect()
}

fn is_in_the_way(conflict: &Conflict, write: &NewWrite) -> bool {
    let current = conflict.current.as_ref().map(|item| item.version);
    let by_version = write.if_version.is_some() && write.if_version != current;
    by_version || (write.op == Op::Insert && current.is_some()) || (write.op == Op::Update && current.is_none())
}

fn is_what_was_wanted(logged: &Logged, write: &NewWrite, value: Option<&Value>, version: u64) -> bool {
    let by_op = match write.op {
        Op::Insert => logged.before.is_none(),
        Op::Update => logged.before.is_some(),
        Op::Delete | Op::Put => true,
    };
    let by_version = write.if_version.is_none() || write.if_version == logged.before;
    by_op && by_version && logged.version == version && logged.change.get("value") == value && logged.change["key"] == write.key.as_str()
}
