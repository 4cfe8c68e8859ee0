//! The router of an org with 100,000 subscriptions: what a publication costs besides its matches, and per match.

use std::hint::black_box;

use roomcast::hub::router::{Router, Slot};
use roomcast::protocol::{Pattern, RoomName};

use crate::support::case::{Case, Subject};
use crate::support::material::{pattern, room};

const SUBSCRIPTIONS: u32 = 100_000;
const CHANNELS: [&str; 5] = ["kpi", "backlog", "attendance", "alerts", "chat"];
const DEPARTMENTS: u32 = 100;
const QUEUES: u32 = 200;
/// Publications in one run: one alone would be lost in the cost of calling.
const PUBLICATIONS: u64 = 100;
/// Subscriptions that come and go in one run.
const COMINGS: u32 = 1_000;

pub const CASES: &[Case] = &[
    Case { name: "router/no_match", unit: "publication", units: PUBLICATIONS, subject: || visiting(nowhere, false, 0) },
    Case { name: "router/11_matches", unit: "publication", units: PUBLICATIONS, subject: || visiting(queue, false, 11) },
    Case { name: "router/511_matches", unit: "publication", units: PUBLICATIONS, subject: || visiting(watched_queue, false, 511) },
    Case { name: "router/cascade_1700", unit: "publication", units: PUBLICATIONS, subject: || visiting(watched_department, true, 1_700) },
    Case { name: "router/come_and_go", unit: "subscription", units: COMINGS as u64, subject: coming_and_going },
];

// The rooms of a run differ, so that what hash maps happen to make of one name does not count a hundred times.

fn nowhere(index: u32) -> String {
    format!("{}:acme:nowhere{index}:nothing", channel(index))
}

/// Somebody has the room itself, and ten the queue in whatever department.
fn queue(index: u32) -> String {
    format!("{}:acme:d{}:q{}", channel(index), index % 10 * 10 + index % 7, index * 2 + 1)
}

/// Five hundred have the whole department besides.
fn watched_queue(index: u32) -> String {
    format!("{}:acme:d{}:q{}", channel(index), index % 10 * 10 + 8, index * 2 + 1)
}

fn watched_department(index: u32) -> String {
    format!("{}:acme:d{}", channel(index), index % 10 * 10 + 8)
}

fn channel(index: u32) -> &'static str {
    CHANNELS[(index / 10 % 5) as usize]
}

/// Nine of ten subscriptions are to a room of their own; the others share patterns: of each channel's queue in whatever
/// department, and of whole departments over all channels.
fn subscribed(index: u32) -> Pattern {
    let channel = CHANNELS[(index % 5) as usize];
    let (department, queue) = (index / 5 % DEPARTMENTS, index / 5 / DEPARTMENTS % QUEUES);
    match (department % 10, queue % 2) {
        (9, 0) => pattern(&format!("*:acme:d{}:**", department - 1)),
        (9, _) => pattern(&format!("{channel}:acme:*:q{queue}")),
        _ => pattern(&format!("{channel}:acme:d{department}:q{queue}")),
    }
}

fn filled() -> Router {
    let mut router = Router::default();
    for index in 0..SUBSCRIPTIONS {
        router.subscribe(&subscribed(index), index);
    }
    router
}

fn visiting(into: fn(u32) -> String, cascade: bool, matches: u64) -> Box<dyn Subject> {
    let router = filled();
    let rooms: Vec<RoomName> = (0..PUBLICATIONS as u32).map(|index| room(&into(index))).collect();
    for room in &rooms {
        assert_eq!(visited(&router, room, cascade), matches, "{room}");
    }
    Box::new(move || {
        for room in &rooms {
            black_box(visited(&router, black_box(room), cascade));
        }
    })
}

/// Stands in for the org's task, which marks each slot.
fn visited(router: &Router, room: &RoomName, cascade: bool) -> u64 {
    let mut count = 0;
    router.visit(room, cascade, &mut |slot: Slot| {
        black_box(slot);
        count += 1;
    });
    count
}

fn coming_and_going() -> Box<dyn Subject> {
    let mut router = filled();
    let patterns: Vec<Pattern> = (0..COMINGS).map(|index| pattern(&format!("kpi:acme:new{}:q{index}", index % 50))).collect();
    Box::new(move || {
        for pattern in &patterns {
            router.subscribe(pattern, SUBSCRIPTIONS);
        }
        for pattern in &patterns {
            router.unsubscribe(pattern, SUBSCRIPTIONS);
        }
    })
}
