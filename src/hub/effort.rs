//! How much an org's task does before other tasks get their turn, so that no org's replays hold up another's live delivery.
//!
//! The task tells what it did; it is counted, not timed, so that the same commands take the same course. Live fan-out has its own measure,
//! by sessions.

/// Units after which the others have their turn: about a hundred microseconds.
const SHARE: usize = 256;

/// To carry out one command, replays aside.
pub(super) const COMMAND: usize = 64;
/// To look at one entry of the log for one session.
pub(super) const LOOK: usize = 1;
/// To make a frame of one.
pub(super) const FRAME: usize = 8;

/// What was done since the others had their turn.
#[derive(Default)]
pub(super) struct Effort(usize);

impl Effort {
    pub(super) async fn spend(&mut self, units: usize) {
        self.0 += units;
        if self.0 >= SHARE {
            self.0 = 0;
            // Other processes too: a thread that never sleeps keeps its processor for up to three milliseconds, for which a store or a
            // node beside it waits.
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn others_have_their_turn_after_each_share() {
        let mut effort = Effort::default();
        for _ in 0..2 {
            for _ in 1..SHARE / COMMAND {
                assert!(futures_util::poll!(std::pin::pin!(effort.spend(COMMAND))).is_ready());
            }
            let mut last = std::pin::pin!(effort.spend(COMMAND));
            assert!(futures_util::poll!(last.as_mut()).is_pending());
            last.await;
        }
    }
}
