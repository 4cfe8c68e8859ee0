//! Receipts of the embedded broker: one node reports, and the totals are its counts.

use std::collections::{HashMap, VecDeque};

use async_trait::async_trait;
use bytes::Bytes;

use super::{MemoryBroker, State};
use crate::broker::ReadError;
use crate::broker::receipts::{Config, RECEIPT_EVENT, Receipt, Receipts, Share, Tally};
use crate::clock::{unix_ms, unix_us};
use crate::protocol::{EventName, NewPublication, OrgId, Position, RoomName};

/// The receipts of one org.
#[derive(Default)]
pub(super) struct Kept {
    by_position: HashMap<Position, Record>,
    by_age: VecDeque<Position>,
}

struct Record {
    tally: Tally,
    heard: bool,
    complete: bool,
    deadline_ms: u64,
    to: Option<Box<str>>,
}

impl Kept {
    /// What must be told to its publisher before it can be forgotten: receipts beyond the bound.
    fn begin(&mut self, position: Position, record: Record, config: &Config) -> Option<Position> {
        self.by_position.insert(position, record);
        self.by_age.push_back(position);
        if self.by_age.len() > config.per_org_max.max(1) { self.by_age.pop_front() } else { None }
    }

    fn forget_old(&mut self, config: &Config, now_ms: u64) {
        while let Some(oldest) = self.by_age.front() {
            let over = |record: &Record| now_ms > record.deadline_ms + config.kept_s * 1_000;
            if !self.by_position.get(oldest).is_none_or(over) {
                return;
            }
            self.by_position.remove(oldest);
            self.by_age.pop_front();
        }
    }
}

impl State {
    /// Begins the receipts of a publication that was just logged.
    pub(super) fn await_acks(&mut self, publication: &NewPublication, position: Position, config: &super::Config) {
        let org = publication.room.org();
        let now_ms = unix_ms();
        let record = Record {
            tally: Tally::default(),
            heard: false,
            complete: false,
            deadline_ms: now_ms + config.receipts.deadline_ms,
            to: publication.receipt_to.clone(),
        };
        let kept = self.receipts.entry(org.clone()).or_default();
        kept.forget_old(&config.receipts, now_ms);
        if let Some(oldest) = kept.begin(position, record, &config.receipts) {
            self.settle(org, oldest, u64::MAX, config);
            if let Some(kept) = self.receipts.get_mut(org) {
                kept.by_position.remove(&oldest);
            }
        }
    }

    /// Completes receipts when that is due, once, and tells the publisher.
    fn settle(&mut self, org: &OrgId, position: Position, now_ms: u64, config: &super::Config) -> Option<Receipt> {
        let record = self.receipts.get_mut(org)?.by_position.get_mut(&position)?;
        let late = now_ms >= record.deadline_ms;
        let whole = record.heard && record.tally.outstanding() == 0;
        if !record.complete && (late || whole) {
            record.complete = true;
            record.tally = record.tally.given_up();
            let receipt = Receipt { tally: record.tally, complete: true, deadline_ms: record.deadline_ms };
            if let Some(user) = record.to.take() {
                self.tell(org, &user, receipt.data(position), config);
            }
            return Some(receipt);
        }
        Some(Receipt { tally: record.tally, complete: record.complete, deadline_ms: record.deadline_ms })
    }

    fn tell(&mut self, org: &OrgId, user: &str, data: String, config: &super::Config) {
        // Both were checked when the publication was made.
        let (Ok(room), Ok(event)) = (RoomName::of_user(org, user), EventName::parse(RECEIPT_EVENT)) else { return };
        self.append(&NewPublication::new(room, event, Bytes::from(data)), config, unix_us());
    }
}

#[async_trait]
impl Receipts for MemoryBroker {
    fn ack_deadline_ms(&self) -> u64 {
        self.config.receipts.deadline_ms
    }

    async fn report_receipts(&self, org: &OrgId, shares: &[Share]) -> Result<(), ReadError> {
        let mut state = self.state.lock();
        for share in shares {
            let record = state.receipts.get_mut(org).and_then(|kept| kept.by_position.get_mut(&share.position));
            if let Some(record) = record.filter(|record| !record.complete) {
                record.tally = record.tally.or_later(share.tally);
                record.heard |= share.heard;
                state.settle(org, share.position, unix_ms(), &self.config);
            }
        }
        Ok(())
    }

    async fn settle_receipts(&self, org: &OrgId) -> Result<(), ReadError> {
        let mut state = self.state.lock();
        let now_ms = unix_ms();
        let Some(kept) = state.receipts.get(org) else { return Ok(()) };
        let due = kept.by_position.iter().filter(|(_, record)| !record.complete && now_ms >= record.deadline_ms);
        for position in due.map(|(position, _)| *position).collect::<Vec<_>>() {
            state.settle(org, position, now_ms, &self.config);
        }
        Ok(())
    }

    async fn receipt(&self, org: &OrgId, position: Position) -> Result<Option<Receipt>, ReadError> {
        let mut state = self.state.lock();
        if let Some(kept) = state.receipts.get_mut(org) {
            kept.forget_old(&self.config.receipts, unix_ms());
        }
        Ok(state.settle(org, position, unix_ms(), &self.config))
    }
}
