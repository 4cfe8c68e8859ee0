//! The floor: the least that any server must do, on a thread of its own and by bare, waiting calls. Every figure of a gateway stands
//! beside it, taken in the same run by the same swarm.

mod fan_out;
mod welcome;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
pub use fan_out::{FanOut, Writes};
pub use welcome::Welcome;

use crate::usage::Usage;

/// How long one read or write of a floor may wait, so that it ends whatever its clients do.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A thread that serves sockets; it ends when dropped.
struct Bare {
    address: SocketAddr,
    usage: Usage,
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Accepts connections until it is to stop.
struct Door {
    listener: TcpListener,
    stops: Arc<AtomicBool>,
}

impl Door {
    /// The next client; `None` when there are to be no more.
    fn next(&self) -> io::Result<Option<TcpStream>> {
        let (client, _) = self.listener.accept()?;
        if self.stops.load(Ordering::Relaxed) {
            return Ok(None);
        }
        client.set_nodelay(true)?;
        client.set_read_timeout(Some(WAIT_MAX))?;
        client.set_write_timeout(Some(WAIT_MAX))?;
        Ok(Some(client))
    }
}

impl Bare {
    /// Has `serve` run on a thread of its own, on processor `cpu` if one is named.
    fn start(cpu: Option<usize>, serve: impl FnOnce(&Door) -> io::Result<()> + Send + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("loopback has no free port")?;
        let address = listener.local_addr()?;
        let stops = Arc::<AtomicBool>::default();
        let door = Door { listener, stops: Arc::clone(&stops) };
        let (tell, told) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let _ = tell.send(Usage::of_this_thread());
            serve(&door)
        });
        let usage = told.recv().context("the floor's thread ended")??;
        if let Some(cpu) = cpu {
            usage.pin(cpu)?;
        }
        Ok(Self { address, usage, stops, thread: Some(thread) })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        // Whoever waits for a client gets this one.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
