//! Nodes of several versions on one Redis: whose functions stand there.

use roomcast::broker::{AckLevel, Broker};
use roomcast::protocol::NewPublication;
use roomcast::protocol::publication::Content;

use super::{broker_on, publish};
use crate::broker_contract::{node, publication, ready};
use crate::support::eventually;
use crate::support::redis::Redis;

/// Loads the functions that stand there as another version would have them.
pub fn reload(server: &Redis, changes: &[(&str, &str)]) {
    let listing = server.cli(&["--json", "FUNCTION", "LIST", "LIBRARYNAME", "roomcast", "WITHCODE"]);
    let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
    let mut code = listing[0]["library_code"].as_str().unwrap().to_owned();
    for (from, to) in changes {
        assert!(code.contains(from), "{from}");
        code = code.replace(from, to);
    }
    assert_eq!(server.cli(&["FUNCTION", "LOAD", "REPLACE", &code]), "roomcast");
}

fn version(server: &Redis) -> u32 {
    let answer = server.cli(&["FCALL", "roomcast_version", "1", "rc:nodes"]);
    answer.lines().next().unwrap().parse().unwrap()
}

/// As a node of the next version registers, for so long.
fn register_next(server: &Redis, lease_ms: &str) {
    let info = r#"{"id":"next","address":"127.0.0.1:1","version":"9","started_at_ms":1,"sessions":0,"functions":2}"#;
    server.cli(&["FCALL", "roomcast_register", "1", "rc:nodes", "next", lease_ms, info]);
}

#[tokio::test]
async fn functions_of_a_later_version_stay_for_as_long_as_its_nodes_run() {
    let server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    register_next(&server, "60000");
    reload(&server, &[("local VERSION = 1\n", "local VERSION = 2\n")]);

    broker.renew(&node("n1")).await.unwrap();
    let late = broker_on(&server).await;
    late.renew(&node("n2")).await.unwrap();
    assert_eq!(version(&server), 2, "neither a renewal nor a node that comes late takes them away");
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    eventually("both are connected again", async || {
        late.renew(&node("n2")).await.ok()?;
        broker.renew(&node("n1")).await.ok()
    })
    .await;
    assert_eq!(version(&server), 2);
    assert_eq!(broker.nodes().await.unwrap().len(), 3, "nodes of all versions know each other");
    publish(&broker, "kpi:acme", "1").await;

    // The update is taken back: its last node goes.
    register_next(&server, "0");
    broker.renew(&node("n1")).await.unwrap();
    assert_eq!(version(&server), 1);
}

#[tokio::test]
async fn functions_of_an_earlier_version_are_replaced_before_they_fail_anybody() {
    let server = Redis::start(&[]).await;
    let broker = broker_on(&server).await;
    ready(&*broker).await;
    let earlier = [("local VERSION = 1\n", "local VERSION = 0\n"), ("  bytes = flag('bytes'),\n", "")];
    reload(&server, &earlier);
    let bytes = NewPublication { content: Content::Bytes, ..publication("kpi:acme", "\u{1}") };
    broker.publish(&bytes, AckLevel::Primary).await.unwrap();
    assert_eq!(version(&server), 1, "loaded by what asked for more than they know");

    reload(&server, &earlier);
    broker.renew(&node("n1")).await.unwrap();
    assert_eq!(version(&server), 1, "loaded by a renewal");
    // Those that know of no version at all are older still.
    reload(&server, &[("redis.register_function('roomcast_version', version)\n", "")]);
    broker.renew(&node("n1")).await.unwrap();
    assert_eq!(version(&server), 1);
}
