//! Five hundred readers stop for half a minute while 10 MiB/s go out.

use std::time::Duration;

use roomcast_loadtest::Options;

use super::finding::{Finding, p99_us};
use super::scale::scale;
use super::town::{NODES, PHASE_MAX, settings};
use crate::support::books::Books;
use crate::support::gateway::Token;
use crate::support::publishers::fcall;
use crate::support::redis::Redis;
use crate::support::within;
use crate::support::world::{Person, World};

const ROOM: &str = "kpi:acme:sales";
/// What one publication is filled with. Long runs send 10 MiB/s to their readers in such pieces.
const FILLING_BYTES: usize = 8 << 10;
/// What sockets hold of a client that does not read, so that not everything vanishes in them.
const RECEIVE_BUFFER_BYTES: u32 = 8 << 10;
/// What may wait for one session: `hub.queue_bytes_max` and one batch that was let in while it was empty.
const QUEUE_BYTES: u64 = (256 + 128) << 10;
/// What a node's memory may differ by besides: the tail, pages of the log in hand, the allocator's reserves.
const SLACK_BYTES: u64 = 24 << 20;
const OTHERS_MAX_PERCENT: u64 = 120;

struct Crowd {
    world: World,
    books: Books,
    people: Vec<Person>,
    published: usize,
}

impl Crowd {
    /// The first `slow` of them will stop; all read the same room, spread over the nodes.
    async fn gathers(slow: usize, others: usize) -> Self {
        let world = World::on(Redis::start(&[]).await, NODES, &settings(&[("LIMITS__STALE_AFTER_MS", "120000")])).await;
        let mut people = Vec::new();
        for number in 0..slow + others {
            let mut addresses = world.addresses();
            addresses.rotate_left(number % NODES);
            let mut options = Options::new(addresses, Token::of("acme", &format!("user{number}")).mint());
            options.receive_buffer_bytes = (number < slow).then_some(RECEIVE_BUFFER_BYTES);
            people.push(Person::meet("acme", &["kpi:acme"], options).await);
        }
        Self { world, books: Books::default(), people, published: 0 }
    }

    /// Publishes `count` at an even pace; the answer is when, in the books' time.
    async fn hears(&mut self, count: usize, pause: Duration) -> std::ops::Range<u64> {
        let begun_us = self.books.now_us();
        let mut ticks = tokio::time::interval(pause);
        for _ in 0..count {
            ticks.tick().await;
            let mark = format!("fcall-{}", self.published);
            let sent_us = self.books.now_us();
            let position = fcall(&self.world.redis, "acme", ROOM, &mark, FILLING_BYTES).await;
            self.books.note_sent(&mark, ROOM, roomcast_loadtest::ledger::Fate::Acked(position.parse().ok()), sent_us);
            self.published += 1;
        }
        begun_us..self.books.now_us()
    }

    fn resident_bytes(&self) -> Vec<u64> {
        self.world.nodes.iter().map(crate::support::gateway::Gateway::resident_bytes).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_stop_cost_bounded_queues_and_resume_whole() {
    // 500 readers and 100 others get 10 MiB/s when each gets two publications a second of this size.
    let (slow, others, count, pause_ms) = if scale().long { (500, 100, 75, 400) } else { (30, 15, 75, 40) };
    let mut crowd = Crowd::gathers(slow, others).await;
    let calm = crowd.hears(count, Duration::from_millis(pause_ms)).await;
    let warm = crowd.books.audit(&crowd.people, PHASE_MAX).await.ledger.verdict();
    assert!(warm.is_clean(), "{warm}");
    let before = crowd.resident_bytes();
    crowd.people[..slow].iter().for_each(|person| person.client.stop_reading());
    let stopped = crowd.hears(count, Duration::from_millis(pause_ms)).await;
    let others_have_it = crowd.books.audit(&crowd.people[slow..], PHASE_MAX).await.ledger.verdict();
    assert!(others_have_it.is_clean(), "{others_have_it}");
    let grown = crowd.resident_bytes().iter().zip(&before).map(|(now, before)| now.saturating_sub(*before)).max().unwrap_or_default();
    let waiting = crowd.books.ledger(&crowd.people[..slow]).verdict().silent;
    crowd.people[..slow].iter().for_each(|person| person.client.read_again());
    let again_us = crowd.books.now_us();
    let everyone = || crowd.people.iter();
    within(PHASE_MAX, "everyone has read everything", async || everyone().all(|person| person.received().len() == 2 * count).then_some(()))
        .await;

    let audit = crowd.books.audit(&crowd.people, PHASE_MAX).await;
    let read_on = |person: &Person| crowd.people[slow..].iter().any(|other| std::ptr::eq(other, person));
    let (calm_us, stopped_us) = (p99_us(&audit, &calm, read_on), p99_us(&audit, &stopped, read_on));
    let mut finding =
        Finding::new(if scale().long { "500 readers stopped for 30 s at 10 MiB/s" } else { "30 readers stopped" }, scale(), audit);
    finding.no_gaps();
    finding.no_connection_lost(&crowd.people);
    finding.holds("publications that waited for them", waiting.to_string(), "some", waiting > 0);
    let most = (slow as u64).div_ceil(NODES as u64) * QUEUE_BYTES + SLACK_BYTES;
    finding.at_most("a node's memory grew by", grown >> 20, most >> 20, " MiB");
    finding.back_within_ms(again_us, 10_000);
    if scale().long {
        let asked = format!("≤ {OTHERS_MAX_PERCENT} % of {calm_us} µs");
        finding.holds("others' p99", format!("{stopped_us} µs"), asked, stopped_us * 100 <= calm_us * OTHERS_MAX_PERCENT);
    }
    finding.record();
}
