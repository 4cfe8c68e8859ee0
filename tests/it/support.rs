//! What tests start and wait with.

pub mod balancer;
pub mod books;
pub mod clock;
pub mod gateway;
pub mod http;
pub mod proxy;
pub mod publishers;
pub mod redis;
pub mod world;

use std::time::Duration;

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks again and again until `answer` is something.
///
/// # Panics
/// When the deadline passes.
pub async fn eventually<T>(what: &str, answer: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, what, answer).await
}

/// The same, with a deadline of one's own.
///
/// # Panics
/// When the deadline passes.
pub async fn within<T>(deadline: Duration, what: &str, mut answer: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = answer().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(deadline, asking).await.unwrap_or_else(|_| panic!("{what}: not within {deadline:?}"))
}
