//! SIGINT and SIGTERM end a run as an error would, so that the gateways which it has started end with it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

static STOPS: AtomicBool = AtomicBool::new(false);

/// A signal came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the run was interrupted")]
pub struct Interrupted;

/// Listens for signals from now on, on a thread of its own. For the binary: whoever runs scenarios in a process of theirs has their own way.
///
/// # Errors
/// When signals cannot be listened for.
pub fn on_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _within = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        STOPS.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// # Errors
/// [`Interrupted`] once a signal has come.
pub(crate) fn check() -> Result<(), Interrupted> {
    if STOPS.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}
