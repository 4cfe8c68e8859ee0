//! A rolling update: SIGTERM for one node after another, under load.

use std::time::{Duration, Instant};

use roomcast_loadtest::{Event, What};

use super::town::{NODES, Town};
use crate::support::redis::Redis;
use crate::support::world::Person;

/// Half the defaults, which are made for load balancers.
const DRAIN: [(&str, &str); 4] =
    [("DRAIN__ANNOUNCE_MS", "500"), ("DRAIN__SPREAD_MS", "3000"), ("DRAIN__RETRY_AFTER_MS_MAX", "1000"), ("DRAIN__DEADLINE_MS", "12000")];
const DEADLINE_MS: u64 = 12_000;

/// Connections that ended without a close frame.
fn torn(person: &Person) -> usize {
    let events = person.events();
    let opened = events.iter().filter_map(|event| matches!(event.what, What::Opened(_)).then_some(event.connection));
    let end = |connection: u32| {
        let of_it = |event: &&Event| event.connection == connection && matches!(event.what, What::Closed { .. } | What::Lost(_));
        events.iter().find(of_it)
    };
    opened.filter(|connection| end(*connection).is_some_and(|event| matches!(event.what, What::Lost(_)))).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_tears_no_connection_and_loses_nothing() {
    let mut town = Town::on(Redis::start(&[]).await, &DRAIN).await;
    let (mut slowest, begun_us) = (Duration::ZERO, town.books.now_us());
    for node in 0..NODES {
        let asked = Instant::now();
        town.world.nodes[node].terminate();
        assert!(town.world.nodes[node].exit().await.success());
        slowest = slowest.max(asked.elapsed());
        town.world.nodes[node].restart().await;
        town.acknowledges(town.scale.phase / NODES).await;
    }
    town.goes_on().await;

    let mut finding = town.ends("rolling SIGTERM of all nodes").await;
    finding.no_gaps();
    finding.exactly("connections torn without a close frame", town.people.iter().map(torn).sum::<usize>() as u64, 0);
    let moved = town.people.iter().filter(|person| person.connections() > 1).count();
    finding.exactly("clients moved", moved as u64, town.people.len() as u64);
    finding.at_most("exit", slowest.as_millis() as u64, DEADLINE_MS, " ms");
    // A client waits at most for its hint and for one attempt at a node that is down.
    finding.back_within_ms(begun_us, NODES as u64 * (DEADLINE_MS + 10_000));
    finding.record();
}
