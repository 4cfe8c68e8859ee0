//! Sessions that nothing is meant for learn where they stand.

use roomcast_loadtest::position::Position;

use crate::support::books::Books;
use crate::support::publishers::pour;
use crate::support::redis::Redis;
use crate::support::world::{World, messages};

#[tokio::test]
async fn a_quiet_session_learns_its_position_and_resumes_without_a_gap() {
    let world = World::on(Redis::start(&[]).await, 2, &[("LIMITS__PING_INTERVAL_MS", "300")]).await;
    let books = Books::default();
    let quiet = world.member("acme", "quiet", 0, &["kpi:acme:quiet"]).await;
    let begun = world.member("acme", "ignorant", 0, &["kpi:acme:quiet"]).await.leaves();
    pour(&world.redis, &books, "acme", "kpi:acme:busy", "busy", (500, 10)).await;
    let newest: u64 = world.redis.cli(&["XLEN", "rc:{acme}:log"]).parse().unwrap();
    quiet
        .until("a position at the end of the log", |events| {
            let positions = messages(events).filter(|message| message.event == "position");
            let mut places = positions.filter_map(|message| message.data["position"].as_str()?.parse::<Position>().ok());
            places.find(|place| place.seq == newest).map(|_| ())
        })
        .await;

    // What the quiet one never needed is thrown away, and it comes back to a node that knows nothing of the org.
    let learnt = quiet.leaves();
    world.redis.cli(&["XTRIM", "rc:{acme}:log", "MAXLEN", "1"]);
    let quiet = world.welcome(learnt, 1).await;
    let ignorant = world.welcome(begun, 1).await;
    let id = quiet.publishes("kpi:acme:quiet", "at last").await;
    assert_eq!(quiet.receives("at last").await.publication_id(), Some(id.as_str()));
    assert_eq!(quiet.count("gap"), 0);
    assert_eq!(quiet.received(), ["at last"]);
    // Without the position that it learnt there would have been one.
    ignorant.receives("at last").await;
    assert_eq!(ignorant.count("gap"), 1);
}
