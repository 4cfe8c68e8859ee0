//! Receipts in Redis: what is asked of the functions, and what their answers mean.

use async_trait::async_trait;
use redis::Value;

use super::RedisBroker;
use super::log::{odd_answer, read_error};
use super::scripts::Function;
use crate::broker::ReadError;
use crate::broker::receipts::{Receipt, Receipts, SETTLED_AT_ONCE, Share, Tally};
use crate::protocol::{OrgId, Position};

#[async_trait]
impl Receipts for RedisBroker {
    fn ack_deadline_ms(&self) -> u64 {
        self.config.receipts.deadline_ms
    }

    async fn report_receipts(&self, org: &OrgId, shares: &[Share]) -> Result<(), ReadError> {
        let mut args = vec![self.life.to_string()];
        for Share { position, tally, heard } in shares {
            args.push(position.to_string());
            args.extend([tally.matched, tally.written, tally.acked, tally.expired, u64::from(*heard)].map(|count| count.to_string()));
        }
        let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
        let reported = self.link.call::<u64>(Function::ReportReceipts, &self.keys.base(org), &args).await;
        reported.map(|_| ()).map_err(|error| read_error(&error))
    }

    async fn settle_receipts(&self, org: &OrgId) -> Result<(), ReadError> {
        let base = self.keys.base(org);
        loop {
            let settled: u64 = self.link.call(Function::SettleReceipts, &base, &[]).await.map_err(|error| read_error(&error))?;
            if settled < SETTLED_AT_ONCE as u64 {
                return Ok(());
            }
        }
    }

    async fn receipt(&self, org: &OrgId, position: Position) -> Result<Option<Receipt>, ReadError> {
        let text = position.to_string();
        let answer: Value =
            self.link.call(Function::Receipt, &self.keys.base(org), &[text.as_bytes()]).await.map_err(|error| read_error(&error))?;
        if matches!(answer, Value::Nil | Value::Boolean(false)) {
            return Ok(None);
        }
        let numbers: Vec<String> = redis::from_redis_value(answer).map_err(|_| odd_answer())?;
        let numbers: Vec<u64> = numbers.iter().map(|number| number.parse()).collect::<Result<_, _>>().map_err(|_| odd_answer())?;
        let [matched, written, acked, expired, complete, deadline_ms] = numbers[..] else { return Err(odd_answer()) };
        Ok(Some(Receipt { tally: Tally { matched, written, acked, expired }, complete: complete == 1, deadline_ms }))
    }
}
