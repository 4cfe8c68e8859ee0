//! The task of one org: takes in what the broker feeds, checks that nothing is missing, delivers it, and serves the sessions'
//! commands. Everything it owns is touched by this task alone.

mod reading;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::reading::{Pauses, Reading};
use super::acknowledging::{Reporting, Settling};
use super::acks::Acks;
use super::command::OrgCommand;
use super::config::{Config, Limits};
use super::effort::{self, Effort};
use super::fan_out::{BATCH_MAX, Mask, seconds_since};
use super::frames::{Batch, Replays};
use super::member::Member;
use super::presence::Presence;
use super::router::{Router, Slot};
use super::shelf::Shelf;
use super::sieve::Sieve;
use super::standing::{Notes, note};
use super::tail::{Admission, Repair, Tail};
use super::trace::What;
use super::{Orgs, Shared};
use crate::broker::feed::{Feed, FeedReceiver};
use crate::broker::{Broker, OrgEvent, Page};
use crate::clock::unix_us;
use crate::protocol::{OrgId, Position, SessionId};
use crate::telemetry::counters::Counters;
use crate::telemetry::metrics;
use crate::telemetry::metrics::orgs::OrgMeter;

/// Commands handled before the feed gets its turn.
const COMMANDS_AT_ONCE: usize = 256;
/// Doubts closer together than this are one: a lost connection is noticed in several ways, and a fence comes with the last.
const DOUBT_LASTS: Duration = Duration::from_secs(30);

pub(super) struct Org {
    pub(super) name: OrgId,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) counters: Arc<Counters>,
    pub(super) config: Arc<Config>,
    pub(super) limits: Limits,
    pub(super) shared: Shared,
    /// `None` until a session asks for it.
    pub(super) presence: Option<Box<Presence>>,
    /// What becomes of sessions.
    pub(super) notes: Notes,
    /// `None` until the log was opened.
    pub(super) tail: Option<Tail>,
    pub(super) router: Router,
    /// Subscriptions with a filter; `None` while there are none.
    pub(super) sieve: Option<Box<Sieve>>,
    pub(super) members: Shelf<Member>,
    pub(super) by_session: HashMap<SessionId, Slot>,
    /// Subscriptions that count for the org's quota: all but those to its own room and its users'.
    pub(super) counted: usize,
    pub(super) batch: Batch,
    pub(super) replays: Replays,
    /// Per slot, which publications of the batch in hand reach it.
    pub(super) marks: Vec<Mask>,
    pub(super) touched: Vec<Slot>,
    pub(super) effort: Effort,
    /// Which publications of the batch in hand are urgent.
    pub(super) urgent: Mask,
    /// Which of them ask to be acknowledged.
    pub(super) asking: Mask,
    pub(super) acks: Acks,
    /// When the next report of acknowledgements is due.
    pub(super) report_at: Instant,
    pub(super) settling: Settling,
    pub(super) begun: Instant,
    /// Per publication of the batch in hand, how many sessions it reaches.
    pub(super) reached: Vec<u64>,
    /// Members whose next entries are not in memory.
    pub(super) cold: BTreeSet<Slot>,
    /// Where the page of the log that was read last ended.
    swept_seq: u64,
    pauses: Pauses,
    /// Members to serve once the delivery in hand is done: those that fell behind in it, and those that came from a node which
    /// knew more of the log than this one yet does.
    pub(super) again: BTreeSet<Slot>,
    /// Where to read the log from, because something may be missing. The feed waits meanwhile.
    pub(super) repair: Option<u64>,
    /// How far the log was known when the way to it was last in doubt, and since when: what a fence admits to have lost came
    /// after this.
    doubted: Option<(Position, Instant)>,
    /// What the last probe found beyond the tail's end: still missing at the next one, it is lost.
    suspect: Option<Position>,
    /// Probes in a row that found the tail's end, since somebody came with a position beyond it.
    pub(super) agreements: u32,
    failures: u32,
    jitter: SmallRng,
    /// What this org contributes to the gauge of rooms.
    rooms_counted: usize,
    pub(super) meter: OrgMeter,
}

/// What an org's task has to do at some time by itself, besides what calls, commands and the feed bring.
#[derive(Clone, Copy)]
struct Due {
    /// Watchers are to be told, or a call to the store of presence begun.
    presence: Option<Instant>,
    /// Something is to be sent again, or acknowledgements are to be reported.
    acks: Option<Instant>,
    /// Nobody has been here for long enough.
    retire: Option<Instant>,
}

impl Due {
    fn next(self) -> Option<Instant> {
        [self.presence, self.acks, self.retire].into_iter().flatten().min()
    }
}

fn is_due(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| at <= now)
}

impl Org {
    pub(super) fn new(
        name: OrgId,
        config: Arc<Config>,
        limits: Limits,
        broker: Arc<dyn Broker>,
        counters: Arc<Counters>,
        shared: Shared,
        seed: u64,
    ) -> Self {
        let notes = shared.traces.begin(&name, &config);
        let acks = Acks::new(config.acks);
        let settling = Settling::new(Instant::now(), broker.ack_deadline_ms(), &config.acks);
        Self {
            meter: OrgMeter::of(&name),
            name,
            broker,
            counters,
            config,
            limits,
            shared,
            presence: None,
            replays: Replays::new(notes.clone()),
            notes,
            tail: None,
            router: Router::default(),
            sieve: None,
            members: Shelf::default(),
            by_session: HashMap::new(),
            counted: 0,
            batch: Batch::default(),
            marks: Vec::new(),
            touched: Vec::new(),
            effort: Effort::default(),
            urgent: 0,
            asking: 0,
            acks,
            report_at: Instant::now(),
            settling,
            begun: Instant::now(),
            reached: Vec::new(),
            cold: BTreeSet::new(),
            swept_seq: 0,
            pauses: Pauses::new(Instant::now()),
            again: BTreeSet::new(),
            repair: None,
            doubted: None,
            suspect: None,
            agreements: 0,
            failures: 0,
            jitter: SmallRng::seed_from_u64(seed),
            rooms_counted: 0,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<OrgCommand>, feed: (Feed, FeedReceiver), orgs: Arc<Orgs>) {
        let (feed, mut events_in) = feed;
        metrics::orgs().increment(1.0);
        self.broker.join(&self.name, feed.clone()).await;
        let (mut commands, mut events) = (Vec::new(), Vec::new());
        let mut reading: Option<Reading> = None;
        let mut reporting: Option<Reporting> = None;
        let mut idle_since: Option<Instant> = None;
        loop {
            if reading.is_none() {
                reading = self.next_reading();
            }
            // Sessions wait for the first attempt to open the log; while it cannot be opened they are told so.
            let serving = self.tail.is_some() || self.failures > 0;
            let feeding = self.tail.is_some() && self.repair.is_none();
            let (presence_due, presence_calls) = self.begin_presence_calls();
            let is_busy =
                reporting.is_some() || !self.acks.is_reported() || self.presence.as_ref().is_some_and(|presence| presence.is_busy());
            idle_since = if self.members.is_empty() && !is_busy && serving { idle_since.or_else(|| Some(Instant::now())) } else { None };
            let retire = idle_since.map(|since| since + Duration::from_millis(self.config.linger_ms));
            let due = Due { presence: presence_due, acks: self.acks_due(), retire };
            let next_due = due.next();
            tokio::select! {
                biased;
                outcome = async { reading.as_mut().expect("guarded by the condition").await }, if reading.is_some() => {
                    reading = None;
                    self.finish(outcome).await;
                }
                outcome = async { self.presence.as_mut().expect("guarded by the condition").outcome().await }, if presence_calls => {
                    if let Some(presence) = &mut self.presence {
                        presence.finish(outcome, &self.members);
                    }
                }
                () = async { tokio::time::sleep_until(next_due.expect("guarded by the condition")).await }, if next_due.is_some() => {
                    let now = Instant::now();
                    if is_due(due.presence, now)
                        && let Some(presence) = &mut self.presence
                    {
                        presence.attend(&self.members).await;
                    }
                    if is_due(due.acks, now) {
                        self.tend_acks(&mut reporting);
                    }
                    if is_due(due.retire, now) {
                        self.broker.leave(&self.name).await;
                        if Self::retire(&self.name, &inbox, &orgs) {
                            metrics::orgs().decrement(1.0);
                            return;
                        }
                        self.broker.join(&self.name, feed.clone()).await;
                        idle_since = None;
                    }
                }
                _ = inbox.recv_many(&mut commands, COMMANDS_AT_ONCE), if serving => {
                    for command in commands.drain(..) {
                        self.handle(command).await;
                        self.effort.spend(effort::COMMAND).await;
                    }
                    self.serve_again().await;
                    self.replays.clear();
                    self.count_rooms();
                    // However many commands come, the feed has its turn after each round of them.
                    if feeding {
                        events_in.drain(&mut events, BATCH_MAX);
                        self.take_in(&mut events).await;
                    }
                }
                reported = async { reporting.as_mut().expect("guarded by the condition").await }, if reporting.is_some() => {
                    reporting = None;
                    self.reported(reported);
                }
                _ = events_in.recv_many(&mut events, BATCH_MAX), if feeding => self.take_in(&mut events).await,
            }
        }
    }

    /// Presence in the org is asked for.
    pub(super) fn begin_presence(&mut self) {
        self.presence.get_or_insert_with(|| {
            let (config, broker) = (Arc::clone(&self.shared.presence), Arc::clone(&self.broker));
            Box::new(Presence::new(self.name.clone(), config, broker, self.jitter.random()))
        });
    }

    /// Whether calls for presence are under way, and when else it has something to do.
    fn begin_presence_calls(&mut self) -> (Option<Instant>, bool) {
        let Some(presence) = &mut self.presence else { return (None, false) };
        presence.begin_calls();
        (presence.due(), presence.is_calling())
    }

    /// Takes the org off the node's list, unless somebody has just come.
    fn retire(name: &OrgId, inbox: &mpsc::Receiver<OrgCommand>, orgs: &Orgs) -> bool {
        let mut orgs = orgs.lock();
        let retired = inbox.is_empty();
        if retired {
            orgs.remove(name);
        }
        retired
    }

    /// Events from the broker, in the carrier's order.
    async fn take_in(&mut self, events: &mut Vec<OrgEvent>) {
        let Some(tail) = &mut self.tail else { return };
        let before = tail.last();
        let (mut entries, mut ephemeral, mut in_doubt) = (Vec::new(), Vec::new(), false);
        for event in events.drain(..) {
            match event {
                OrgEvent::Entry(entry) if !in_doubt => match tail.admit(&entry) {
                    Admission::Next => entries.push(entry),
                    Admission::Known => {}
                    Admission::Doubtful => in_doubt = true,
                },
                // The repair will find it in the log.
                OrgEvent::Entry(_) => {}
                OrgEvent::Ephemeral(publication) => ephemeral.push(publication),
                OrgEvent::Presence(news) => {
                    if let Some(presence) = &mut self.presence {
                        presence.hear(&news);
                    }
                }
                OrgEvent::Interrupted => {
                    metrics::interruptions().increment(1);
                    in_doubt = true;
                    if let Some(presence) = &mut self.presence {
                        presence.interrupted();
                    }
                }
            }
        }
        if let Some(newest) = entries.last() {
            metrics::lag_seconds().record(seconds_since(newest.position.check, unix_us()));
        }
        if in_doubt {
            self.doubt();
        }
        self.deliver(&entries, before).await;
        self.deliver_ephemeral(&ephemeral).await;
        self.serve_again().await;
        self.replays.clear();
    }

    async fn repair_from(&mut self, page: &Page, from_seq: u64) {
        let Some(tail) = &mut self.tail else { return };
        let known = tail.last();
        match tail.repair(page, from_seq) {
            Repair::Compare { from_seq } => self.repair = Some(from_seq),
            Repair::Deliver { gap, base, entries } => {
                self.repair = if page.end { None } else { Some(tail.repair_from_seq()) };
                let replaced = base.epoch != known.epoch || base.seq < known.seq;
                for member in self.members.values_mut() {
                    if replaced {
                        member.rebase(base.seq);
                    } else {
                        member.doubt_after(base.seq);
                    }
                }
                if let Some(gap) = gap {
                    self.tell_gap(&gap, known);
                    self.expect_unheard();
                }
                self.deliver(&entries, base).await;
                self.serve_again().await;
                self.replays.clear();
            }
        }
    }

    fn count_rooms(&mut self) {
        let rooms = self.router.patterns() + self.sieve.as_ref().map_or(0, |sieve| sieve.patterns());
        metrics::rooms().increment(rooms as f64 - self.rooms_counted as f64);
        self.rooms_counted = rooms;
        self.meter.sessions(self.by_session.len());
    }

    async fn serve_again(&mut self) {
        for slot in std::mem::take(&mut self.again) {
            if let Some(member) = self.members.get(slot)
                && member.has_just_overflowed()
            {
                note(&self.notes, member, self.tail.as_ref(), What::Lagging);
            }
            self.serve(slot).await;
        }
    }

    /// Reads the log when a probe shows what is not known here. What is merely newer may still be on its way, so it is given
    /// until the next probe. A log that is gone is begun anew, and everybody told, without waiting for a publication.
    pub(super) fn compare(&mut self, newest: Option<Position>) {
        if self.tail.is_none() {
            return;
        }
        let Some(newest) = newest else { return self.doubt() };
        self.agree(newest);
        let Some(tail) = &self.tail else { return };
        let lost = self.suspect.take().is_some_and(|suspect| suspect.epoch == tail.last().epoch && suspect.seq > tail.last().seq);
        if lost || tail.differs_from(newest) {
            self.doubt();
        } else if newest.seq > tail.last().seq {
            self.suspect = Some(newest);
        }
    }

    /// Has the log read before anything else is delivered.
    pub(super) fn doubt(&mut self) {
        let Some(tail) = &self.tail else { return };
        self.repair.get_or_insert(tail.repair_from_seq());
        let now = Instant::now();
        if self.doubted.is_none_or(|(_, since)| now.duration_since(since) > DOUBT_LASTS) {
            self.doubted = Some((tail.last(), now));
        }
    }

    /// Where the loss that a fence admits may have begun for sessions that were live all along.
    pub(super) fn doubted_from(&self) -> Option<Position> {
        self.doubted.map(|(position, _)| position)
    }
}
