//! The floor: the least that any server must do, which is to write the same bytes to the same sockets. Every figure of a gateway stands
//! beside it, taken in the same run by the same swarm.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::Context;

use crate::host::Usage;

/// Orders that may wait.
const ORDERS_MAX: usize = 1_024;

/// How the floor writes several frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writes {
    /// One after another, each to every socket.
    Single,
    /// All in one piece, once to every socket.
    Concatenated,
}

/// A bare server on a thread of its own.
pub struct Floor {
    pub address: SocketAddr,
    orders: Option<mpsc::SyncSender<(u64, Writes)>>,
    pub usage: Usage,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Floor {
    /// Accepts `sockets` connections and then writes `frame` to all of them as often as it is ordered to, on processor `cpu` if one is
    /// named.
    ///
    /// # Errors
    /// When there is no socket or no processor time to be had.
    pub fn start(sockets: usize, frame: Vec<u8>, cpu: Option<usize>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("loopback has no free port")?;
        let address = listener.local_addr()?;
        let (orders, taken) = mpsc::sync_channel(ORDERS_MAX);
        let (tell, told) = mpsc::sync_channel(1);
        let thread = std::thread::spawn(move || {
            let _ = tell.send(Usage::of_this_thread());
            serve(&listener, sockets, &frame, &taken)
        });
        let usage = told.recv().context("the floor's thread ended")??;
        if let Some(cpu) = cpu {
            usage.pin(cpu)?;
        }
        Ok(Self { address, orders: Some(orders), usage, thread: Some(thread) })
    }

    /// Has `count` frames written to every socket.
    pub fn write(&self, count: u64, writes: Writes) {
        if let Some(orders) = &self.orders {
            // When its thread is gone the scenario sees that nothing comes.
            let _ = orders.send((count, writes));
        }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, sockets: usize, frame: &[u8], orders: &mpsc::Receiver<(u64, Writes)>) -> std::io::Result<()> {
    let mut clients: Vec<TcpStream> = Vec::with_capacity(sockets);
    while clients.len() < sockets {
        let (client, _) = listener.accept()?;
        client.set_nodelay(true)?;
        clients.push(client);
    }
    let mut pieces = Vec::new();
    while let Ok((count, writes)) = orders.recv() {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (piece, rounds) = match writes {
            Writes::Single => (frame, count),
            Writes::Concatenated => {
                pieces.clear();
                (0..count).for_each(|_| pieces.extend_from_slice(frame));
                (&pieces[..], 1)
            }
        };
        for _ in 0..rounds {
            for client in &mut clients {
                client.write_all(piece)?;
            }
        }
    }
    Ok(())
}
