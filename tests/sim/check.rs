//! What must hold at the end of every history.

use std::collections::HashSet;

use roomcast::protocol::{Position, RoomSyntax};

use super::client::{Client, Seen};
use super::store::Log;

/// A stretch of a log, by age, in which a client was told that something may be missing.
struct Admitted {
    after: usize,
    to: usize,
}

/// # Errors
/// The first promise that was broken.
pub fn check(client: &Client, log: &Log, syntax: &RoomSyntax, gaps_allowed: bool) -> Result<(), String> {
    let (mut received, mut on_connection) = (HashSet::new(), HashSet::new());
    let (mut youngest, mut began, mut admitted) = (0, None, Vec::new());
    for seen in &client.seen {
        match seen {
            Seen::Connected { .. } => on_connection.clear(),
            Seen::At(position) => {
                began.get_or_insert(log.age(*position));
            }
            Seen::Gap { from, to, reason } => {
                if !gaps_allowed {
                    return Err(format!("{} was told a gap ({reason}) although nothing was lost", client.name));
                }
                admitted.push(Admitted { after: from.map_or(0, |from| log.age(from)), to: log.age(*to) });
            }
            Seen::Publication { position, room } => {
                if room.split(':').nth(1) != Some(client.org.as_str()) {
                    return Err(format!("{} got {room} of another org", client.name));
                }
                if !on_connection.insert(*position) {
                    return Err(format!("{} got {position} twice on one connection", client.name));
                }
                if received.insert(*position) {
                    let age = log.age(*position);
                    if age <= youngest {
                        return Err(format!("{} got {position} out of order", client.name));
                    }
                    youngest = age;
                }
            }
        }
    }
    nothing_is_silently_lost(client, log, syntax, &received, began, &admitted)
}

fn nothing_is_silently_lost(
    client: &Client,
    log: &Log,
    syntax: &RoomSyntax,
    received: &HashSet<Position>,
    began: Option<usize>,
    admitted: &[Admitted],
) -> Result<(), String> {
    let Some(began) = began else { return Ok(()) };
    for record in &log.records {
        let Some(room) = record.room.as_ref().map(|room| syntax.room(room).unwrap()) else { continue };
        let age = log.age(record.position);
        let entitled = age > began && record.acknowledged && client.patterns.iter().any(|pattern| pattern.matches(&room));
        let covered = || admitted.iter().any(|admitted| admitted.after < age && age <= admitted.to);
        if entitled && !received.contains(&record.position) && !covered() {
            return Err(format!("{} never got {} ({room}), and no gap admits it", client.name, record.position));
        }
    }
    Ok(())
}
