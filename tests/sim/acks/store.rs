//! Receipts as the store keeps them: by the words of `broker::receipts`, and step by step as Redis' script does it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use roomcast::broker::ReadError;
use roomcast::broker::receipts::{RECEIPT_EVENT, Receipt, Receipts, Share, Tally};
use roomcast::protocol::event::EventName;
use roomcast::protocol::{NewPublication, OrgId, Position, RoomName};

use crate::broker::SimBroker;
use crate::clock;
use crate::store::{Inner, Store};

pub const DEADLINE_MS: u64 = 5_000;

/// What a store does wrong on purpose: the judge must notice each.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Sabotage {
    /// Receipts that nobody completes by himself are forgotten.
    Unsettled,
    /// A receipt may be told more than once.
    Again,
    /// What nodes report is added up, however often they say it.
    Added,
}

/// Everybody's receipts.
#[derive(Default)]
pub struct Receipting {
    /// By the number in the log, which is never replaced in histories with receipts.
    orgs: BTreeMap<OrgId, BTreeMap<u64, Record>>,
    pub sabotage: Option<Sabotage>,
}

pub struct Record {
    position: Position,
    /// How many nodes were listening when it was published.
    nodes: usize,
    pub due_ms: u64,
    to: Option<Box<str>>,
    pub done_ms: Option<u64>,
    /// By the process that reported; whether it had heard of the publication.
    shares: BTreeMap<(usize, u32), (Tally, bool)>,
}

impl Record {
    pub fn tally(&self) -> Tally {
        let sum = self.shares.values().fold(Tally::default(), |sum, (share, _)| Tally {
            matched: sum.matched + share.matched,
            written: sum.written + share.written,
            acked: sum.acked + share.acked,
            expired: sum.expired + share.expired,
        });
        if self.done_ms.is_some() { sum.given_up() } else { sum }
    }

    fn is_due(&self) -> bool {
        let heard = self.shares.values().filter(|(_, heard)| *heard).count();
        let is_whole = self.tally().outstanding() == 0 && heard > 0 && heard >= self.nodes;
        self.done_ms.is_none() && (is_whole || clock::now_ms() >= self.due_ms)
    }
}

impl Receipting {
    pub fn of(&self, org: &OrgId, position: Position) -> Option<&Record> {
        self.orgs.get(org)?.get(&position.seq)
    }

    pub fn begin(&mut self, new: &NewPublication, position: Position, nodes: usize) {
        let (to, due_ms) = (new.receipt_to.clone(), clock::now_ms() + DEADLINE_MS);
        let record = Record { position, nodes, due_ms, to, done_ms: None, shares: BTreeMap::new() };
        self.orgs.entry(new.room.org().clone()).or_default().insert(position.seq, record);
    }
}

impl Store {
    fn report(&self, org: &OrgId, process: (usize, u32), share: &Share) {
        let mut inner = self.inner.lock();
        let is_added = inner.receipting.sabotage == Some(Sabotage::Added);
        let record = inner.receipting.orgs.get_mut(org).and_then(|receipts| receipts.get_mut(&share.position.seq));
        let Some(record) = record.filter(|record| record.done_ms.is_none()) else { return };
        let (tally, heard) = record.shares.entry(process).or_default();
        *heard |= share.heard;
        *tally = if is_added {
            Tally { acked: tally.acked + share.tally.acked, ..tally.or_later(share.tally) }
        } else {
            tally.or_later(share.tally)
        };
        self.complete(&mut inner, org, share.position);
    }

    /// Completes receipts when that is due, and tells the publisher at the same stroke.
    fn complete(&self, inner: &mut Inner, org: &OrgId, position: Position) {
        let sabotage = inner.receipting.sabotage;
        let Some(record) = inner.receipting.orgs.get_mut(org).and_then(|receipts| receipts.get_mut(&position.seq)) else { return };
        if !record.is_due() {
            return;
        }
        record.done_ms = Some(clock::now_ms());
        let receipt = Receipt { tally: record.tally(), complete: true, deadline_ms: record.due_ms };
        let Some(user) = record.to.clone() else { return };
        let room = RoomName::of_user(org, &user).unwrap();
        let new = NewPublication::new(room, EventName::parse(RECEIPT_EVENT).unwrap(), receipt.data(position));
        for _ in 0..if sabotage == Some(Sabotage::Again) { 2 } else { 1 } {
            self.append(inner, org, Some(&new));
        }
    }
}

#[async_trait]
impl Receipts for SimBroker {
    fn ack_deadline_ms(&self) -> u64 {
        DEADLINE_MS
    }

    async fn report_receipts(&self, org: &OrgId, shares: &[Share]) -> Result<(), ReadError> {
        self.pass().await?;
        // They come in whatever order a node's table has them.
        let mut shares = shares.to_vec();
        shares.sort_by_key(|share| share.position.seq);
        shares.iter().for_each(|share| self.store.report(org, (self.node, self.life), share));
        self.pass().await
    }

    async fn settle_receipts(&self, org: &OrgId) -> Result<(), ReadError> {
        let due: Vec<Position> = {
            let inner = self.store.inner.lock();
            let Some(receipts) = inner.receipting.orgs.get(org) else { return Ok(()) };
            let is_late = |record: &Record| record.done_ms.is_none() && clock::now_ms() >= record.due_ms;
            receipts.values().filter(|record| is_late(record)).map(|record| record.position).collect()
        };
        self.pass().await?;
        {
            let mut inner = self.store.inner.lock();
            if inner.receipting.sabotage != Some(Sabotage::Unsettled) {
                due.into_iter().for_each(|position| self.store.complete(&mut inner, org, position));
            }
        }
        self.pass().await
    }

    async fn receipt(&self, org: &OrgId, position: Position) -> Result<Option<Receipt>, ReadError> {
        self.pass().await?;
        let mut inner = self.store.inner.lock();
        self.store.complete(&mut inner, org, position);
        let record = inner.receipting.of(org, position);
        Ok(record.map(|record| Receipt { tally: record.tally(), complete: record.done_ms.is_some(), deadline_ms: record.due_ms }))
    }
}
