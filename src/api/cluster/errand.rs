//! Errands of clients to sessions of other nodes, over the same notes as questions.
//!
//! The doors of sessions over HTTP are given [`carrier`]; nothing else carries.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Answer, Question};
use crate::api::Parts;
use crate::transport::http_session::errand::{Carry, Errand, Failed, Outcome};
use crate::transport::http_session::name::NodeMark;

/// The way of errands from this node to others.
pub fn carrier(parts: Arc<Parts>) -> Carry {
    Box::new(move |node, errand| {
        let parts = Arc::clone(&parts);
        Box::pin(async move { carry(&parts, node, errand).await })
    })
}

async fn carry(parts: &Parts, node: NodeMark, errand: Errand) -> Result<Outcome, Failed> {
    let (others, all_known) = parts.cluster.others(parts).await;
    let Some(to) = others.into_iter().find(|other| NodeMark::of(other) == node) else {
        return Err(if all_known { Failed::NoNode } else { Failed::NoAnswer });
    };
    let within = Duration::from_millis(parts.config.scatter_timeout_ms) + parts.http_sessions.patience(&errand);
    let waiting = parts.cluster.ask(parts, Question::Errand(errand), Some(&to)).await;
    let waiting = waiting.ok().flatten().ok_or(Failed::NoAnswer)?;
    let pick = |answer| match answer {
        Answer::Errand(outcome) => Some(outcome),
        _ => None,
    };
    let mut outcomes = Vec::new();
    waiting.collect(within, BTreeSet::from([to]), pick, |_| true, &mut outcomes).await;
    outcomes.pop().ok_or(Failed::NoAnswer)
}
