//! The counts that capacity is planned by (`roomcast-loadtest plan`, docs/scale.md), held against the hubs: many nodes, orgs and sessions over a
//! store that does as it is asked and counts what that was.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use roomcast::auth::{GrantList, Principal};
use roomcast::broker::{AckLevel, Broker};
use roomcast::hub::latest::Wish;
use roomcast::hub::send_queue::Limits;
use roomcast::hub::{self, Config, Hub, OrgLink, SendQueue, Sink};
use roomcast::protocol::codec::Wire;
use roomcast::protocol::push::{Answer, Reply};
use roomcast::protocol::{EventName, NewPublication, OrgId, RoomSyntax, SessionId};
use roomcast::telemetry::counters::Counters;
use roomcast_loadtest::plan::model::{Operations, Placement, Shape};

use super::broker::SimBroker;
use super::lines::Lines;
use super::store::{Calls, Store};

/// Simulated time in which operations are counted, and before it, in which sessions come and logs are opened.
const COUNTED_S: u64 = 80;
const SETTLED: Duration = Duration::from_secs(5);

/// A socket that takes everything.
struct Taker;

impl Sink for Taker {
    fn try_write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }
}

/// What was counted, and the pairs of an org and a node that there were.
struct Counted {
    calls: Calls,
    pairs: usize,
    delivered: u64,
}

struct Town {
    shape: Shape,
    store: Arc<Store>,
    hubs: Vec<Arc<Hub>>,
    counters: Arc<Counters>,
    /// Kept, because a session without its link is gone.
    links: Vec<OrgLink>,
    pairs: BTreeSet<(usize, usize)>,
}

impl Town {
    async fn settle(shape: Shape, seed: u64) -> Self {
        let nodes = shape.nodes as usize;
        let (store, counters) = (Store::calm(nodes), Arc::<Counters>::default());
        let limits = hub::Limits { subscriptions_max: 16, room_members_max: 1_000_000 };
        let hubs = (0..nodes).map(|node| {
            let broker = Arc::new(SimBroker { store: Arc::clone(&store), node, life: 0 });
            Arc::new(Hub::new(Config::default(), limits, broker, Arc::clone(&counters), node as u64))
        });
        let hubs: Vec<_> = hubs.collect();
        let mut town = Self { shape, store, hubs, counters, links: Vec::new(), pairs: BTreeSet::new() };
        let mut rng = SmallRng::seed_from_u64(seed);
        for org in 0..shape.orgs as usize {
            for session in 0..shape.sessions as usize {
                let node = match shape.placement {
                    Placement::Anywhere => rng.random_range(0..nodes),
                    Placement::Together { per_node } => (org + session / per_node as usize) % nodes,
                };
                town.enter(org, session, node).await;
            }
        }
        for hub in &town.hubs {
            let hub = Arc::clone(hub);
            tokio::spawn(async move { hub.probe().await });
        }
        tokio::time::sleep(SETTLED).await;
        town
    }

    async fn enter(&mut self, org: usize, session: usize, node: usize) {
        let name = org_name(org);
        let id = SessionId(uuid::Uuid::from_u128((org as u128) << 64 | session as u128));
        let queue: Arc<SendQueue> = Arc::new(SendQueue::new(Limits { bytes_max: 1 << 20, replies_bytes_max: 1 << 20 }, Taker));
        let wire: Arc<dyn Wire> = Arc::new(Lines);
        let link = self.hubs[node].attach(&name, id, &queue, &wire).await.unwrap();
        // Those whom publications reach have the room, the others another one.
        let wanted = (session as f64) < self.shape.sessions * self.shape.reach;
        let pattern = syntax().pattern(&format!("{}:{name}", if wanted { "kpi" } else { "chat" })).unwrap();
        let grant = Principal::new("someone", &name, 1 << 40).unwrap().grant_subscribe(pattern.clone()).unwrap();
        let answer = Answer::new(None, Reply::Subscribed { rooms: vec![pattern], position: None, latest: None });
        link.subscribe(vec![grant], None, answer).await.unwrap();
        self.links.push(link);
        self.pairs.insert((org, node));
    }

    fn delivered(&self) -> u64 {
        self.counters.read(0).messages
    }

    async fn count(&self) -> Counted {
        let publisher = SimBroker { store: Arc::clone(&self.store), node: 0, life: 0 };
        let (before, delivered) = (self.store.calls(), self.delivered());
        for second in 0..COUNTED_S {
            let due = ((second + 1) as f64 * self.shape.rate) as u64 - (second as f64 * self.shape.rate) as u64;
            for org in 0..self.shape.orgs as usize {
                let room = syntax().room(&format!("kpi:{}", org_name(org))).unwrap();
                for _ in 0..due {
                    let new = NewPublication::new(room.clone(), EventName::parse("kpi:update").unwrap(), "1");
                    publisher.publish(&new, AckLevel::Primary).await.unwrap();
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let calls = self.store.calls().since(before);
        Counted { calls, pairs: self.pairs.len(), delivered: self.delivered() - delivered }
    }
}

fn syntax() -> RoomSyntax {
    RoomSyntax::new(4, ["kpi", "chat"])
}

fn org_name(org: usize) -> OrgId {
    OrgId::parse(&format!("org{org}")).unwrap()
}

fn counted(shape: Shape) -> Counted {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async { Town::settle(shape, 7).await.count().await })
}

fn is_near(counted: f64, planned: f64, percent: f64, what: &str, shape: &Shape) {
    let off = (counted - planned).abs();
    assert!(off <= planned * percent / 100.0 + 1e-9, "{what}: {counted} counted, {planned} planned for {shape:?}");
}

#[test]
fn what_is_planned_is_what_hubs_do() {
    let some =
        Shape { nodes: 8.0, orgs: 40.0, sessions: 10.0, rate: 2.0, reach: 0.5, churn: 0.0, placement: Placement::Anywhere, topics: 1.0 };
    let shapes = [
        some,
        Shape { nodes: 30.0, orgs: 100.0, sessions: 3.0, reach: 1.0, ..some },
        Shape { nodes: 3.0, orgs: 2.0, sessions: 300.0, rate: 5.0, reach: 0.1, ..some },
        Shape { placement: Placement::Together { per_node: 4.0 }, ..some },
        Shape { rate: 1.0 / 16.0, ..some },
    ];
    for shape in shapes {
        let Counted { calls, pairs, delivered } = counted(shape);
        let planned: Operations = shape.operations();
        let per_s = |count: u64| count as f64 / COUNTED_S as f64;
        // Where sessions happen to be is chance; all that follows from it is not.
        is_near(pairs as f64, planned.pairs, 4.0, "pairs", &shape);
        let pairs_off = pairs as f64 / planned.pairs;
        assert_eq!(per_s(calls.publishes), planned.publications);
        is_near(per_s(calls.events), planned.events * pairs_off, 0.001, "events", &shape);
        is_near(per_s(calls.probes), planned.probes * pairs_off, 20.0, "probes", &shape);
        is_near(per_s(delivered), planned.deliveries, 0.001, "deliveries", &shape);
        assert_eq!((calls.reads, calls.opens), (0, 0), "nothing is read while nothing is lost, in {shape:?}");
    }
}

/// Subscribes as a dashboard does that opens.
async fn opens(hub: &Hub, number: u128, name: &OrgId) -> OrgLink {
    let queue: Arc<SendQueue> = Arc::new(SendQueue::new(Limits { bytes_max: 1 << 20, replies_bytes_max: 1 << 20 }, Taker));
    let wire: Arc<dyn Wire> = Arc::new(Lines);
    let link = hub.attach(name, SessionId(uuid::Uuid::from_u128(number)), &queue, &wire).await.unwrap();
    let grants = GrantList::read(None, &[format!("history:*:{name}:**")], name, &syntax()).unwrap();
    let principal = Principal::new("someone", name, 1 << 40).unwrap().with_grants(grants);
    let pattern = syntax().pattern(&format!("kpi:{name}")).unwrap();
    let grant = principal.grant_subscribe(pattern.clone()).unwrap();
    let wish = Wish::new(principal.grant_history(pattern.clone()).unwrap(), &grant);
    let (latest, at) = hub.latest().ask(name, vec![wish]).await.unwrap();
    assert_eq!((latest.publications.len(), latest.complete), (20, true));
    let answer = Answer::new(None, Reply::Subscribed { rooms: vec![pattern], position: None, latest: Some(latest) });
    link.subscribe(vec![grant], Some(at), answer).await.unwrap();
    link
}

#[test]
fn ten_thousand_dashboards_that_open_cost_one_reading_of_the_log_and_some_looks_at_its_end() {
    const OPENING: Duration = Duration::from_secs(3);
    const LOGGED: u64 = 5_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let calls = runtime.block_on(async {
        let (store, name) = (Store::calm(1), org_name(0));
        let broker = Arc::new(SimBroker { store: Arc::clone(&store), node: 0, life: 0 });
        let publisher = SimBroker { store: Arc::clone(&store), node: 0, life: 0 };
        let limits = hub::Limits { subscriptions_max: 16, room_members_max: 1_000_000 };
        let hub = Arc::new(Hub::new(Config::default(), limits, broker, Arc::default(), 1));
        let publish = async |number: u64| {
            let room = syntax().room(&format!("kpi:{name}:r{}", number % 20)).unwrap();
            let new = NewPublication::new(room, EventName::parse("kpi:update").unwrap(), number.to_string());
            publisher.publish(&new, AckLevel::Primary).await.unwrap();
        };
        for number in 0..LOGGED {
            publish(number).await;
        }
        let before = store.calls();
        let opening: Vec<_> = (0..10_000_u32)
            .map(|number| {
                let (hub, name) = (Arc::clone(&hub), name.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(OPENING * number / 10_000).await;
                    opens(&hub, u128::from(number) + 1, &name).await
                })
            })
            .collect();
        for number in 0..300 {
            publish(number).await;
            tokio::time::sleep(OPENING / 300).await;
        }
        let mut links = Vec::new();
        for opened in opening {
            links.push(opened.await.unwrap());
        }
        store.calls().since(before)
    });
    // Twenty looks a second, of which each reads what is new, and all pages at first; the org's own task reads some of it too.
    let pages = LOGGED.div_ceil(Config::default().page_entries_max as u64);
    assert!(calls.opens <= 70 && calls.reads <= 80 + pages, "{} looks and {} reads", calls.opens, calls.reads);
}
