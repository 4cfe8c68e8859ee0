//! What the broker's failures are in the client's terms; what the broker itself said stays in the log.
//!
//! Sessions and REST answer with these.

use super::{PublishError, ReadError, quota};
use crate::protocol::{Code, Fault};

/// Something of an org (`what`) that could not be read.
pub fn unread(what: &str, error: &ReadError) -> Fault {
    tracing::debug!(%error, what, "something could not be read");
    Fault::new(Code::BrokerUnavailable, format!("the {what} cannot be read at the moment")).retry_after_ms(1_000)
}

/// A failed publish in the client's terms.
pub fn refused(error: &PublishError) -> Fault {
    // A quota is told to the publisher, over and over; that is no news for operators, who have a metric.
    if !matches!(error, PublishError::Exceeded(_)) {
        tracing::warn!(%error, "a publication was not accepted");
    }
    match error {
        PublishError::Unavailable(_) => {
            let text = "the broker cannot be reached, so nothing is known of the publication; retry it with the same idempotency_key";
            Fault::new(Code::BrokerUnavailable, text).retry_after_ms(1_000)
        }
        PublishError::Refused(_) => Fault::new(Code::InternalError, "the broker refused the publication"),
        PublishError::Exceeded(exceeded) => quota::refusal(exceeded),
    }
}
