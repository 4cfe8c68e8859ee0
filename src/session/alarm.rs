//! One session's timer: set once and left alone while its due time only moves back, because that is what every message does to it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

/// Wakes the task that polls it.
#[derive(Default)]
pub struct Alarm {
    /// Made when first needed; moving a timer costs more than letting it go off too early.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready once `due` has passed; `None` is never due. The latest `due` counts.
    pub fn poll(&mut self, due: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        let Some(due) = due else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if due < sleep.deadline() {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(context).is_ready() {
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_latest_time_that_was_asked_for() {
        let (mut alarm, begun) = (Alarm::default(), Instant::now());
        let after = |ms| Some(begun + Duration::from_millis(ms));
        let waker = std::task::Waker::noop();
        for due in [after(50), after(200), after(100), None] {
            assert!(alarm.poll(due, &mut Context::from_waker(waker)).is_pending());
        }
        poll_fn(|context| alarm.poll(after(100), context)).await;
        assert_eq!(begun.elapsed().as_millis(), 100);
        poll_fn(|context| alarm.poll(after(130), context)).await;
        assert_eq!(begun.elapsed().as_millis(), 130);
    }
}
