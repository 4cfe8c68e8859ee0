//! The floor of fan-out: the same frames to the same number of sockets, one after the other.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::{Bare, Door};
use crate::drive::Carrier;
use crate::swarm::{EVENT, Swarm};

/// Orders that may wait.
const ORDERS_MAX: usize = 1_024;

/// How the floor writes several frames that are due at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writes {
    /// One after another, each to every socket.
    Single,
    /// All that wait in one piece, once to every socket.
    Concatenated,
}

/// What is to be written to every socket of a strand.
#[derive(Default)]
struct Order {
    /// One after the other: the strand, and what to write.
    pieces: Vec<(usize, Vec<u8>)>,
    /// What waits behind it may be written with it.
    may_grow: bool,
}

impl Order {
    /// Puts a frame behind what its strand is to get already, in one piece if it may be.
    fn add(&mut self, strand: usize, frame: Vec<u8>) {
        match self.pieces.iter_mut().find(|(known, _)| self.may_grow && *known == strand) {
            Some((_, piece)) => piece.extend_from_slice(&frame),
            None => self.pieces.push((strand, frame)),
        }
    }
}

/// A bare server of publications, as a carrier of them.
pub struct FanOut {
    // Closed before the thread is waited for.
    orders: Option<SyncSender<Order>>,
    bare: Bare,
    writes: Writes,
    filling: String,
    /// By strand.
    rooms: Vec<String>,
    pending: Order,
}

impl FanOut {
    /// For sockets that are to receive these strands each, and publications into these rooms with this filling, on processor `cpu` if one
    /// is named.
    ///
    /// # Errors
    /// When there is no socket or no thread to be had.
    pub fn start(wanted: &[Vec<u32>], rooms: Vec<String>, filling: &str, cpu: Option<usize>) -> anyhow::Result<Self> {
        let mut audiences = vec![Vec::new(); rooms.len()];
        for (socket, strands) in wanted.iter().enumerate() {
            strands.iter().for_each(|strand| audiences[*strand as usize].push(socket));
        }
        let (orders, taken) = sync_channel(ORDERS_MAX);
        let sockets = wanted.len();
        let bare = Bare::start(cpu, move |door| serve(door, sockets, &audiences, &taken))?;
        Ok(Self { orders: Some(orders), bare, writes: Writes::Single, filling: filling.to_owned(), rooms, pending: Order::default() })
    }

    pub fn address(&self) -> SocketAddr {
        self.bare.address
    }

    /// Processor time so far, in nanoseconds.
    pub fn cpu_ns(&self) -> u64 {
        self.bare.usage.cpu_ns()
    }

    /// How to write from now on.
    pub fn set_writes(&mut self, writes: Writes) {
        self.writes = writes;
    }
}

impl Carrier for FanOut {
    fn publish(&mut self, swarm: &mut Swarm, strand: u32, due_us: u64) {
        let (mut data, audience) = (String::new(), strand as usize);
        swarm.judge.register.give(strand, due_us, &self.filling, &mut data);
        let frame = frame(&self.rooms[audience], swarm.judge.register.given, swarm.clock.now_us(), &data);
        self.pending.may_grow = self.writes == Writes::Concatenated;
        self.pending.add(audience, frame);
    }

    fn send(&mut self) {
        let Some(orders) = self.orders.as_ref().filter(|_| !self.pending.pieces.is_empty()) else { return };
        // Waiting here would keep the swarm from reading, and so the floor from writing. When its thread is gone the swarm sees that
        // nothing comes.
        if let Err(TrySendError::Full(order)) = orders.try_send(std::mem::take(&mut self.pending)) {
            self.pending = order;
        }
    }
}

impl Drop for FanOut {
    fn drop(&mut self) {
        self.orders = None;
    }
}

/// A publication as a gateway frames it (docs/protocol.md, RFC 6455 section 5.2), logged at `at_us` under number `seq`.
fn frame(room: &str, seq: u64, at_us: u64, data: &str) -> Vec<u8> {
    let payload = format!(
        r#"{{"event":"{EVENT}","room":"{room}","id":"19aa56d6000-{seq:x}-{at_us:x}","ts":"2025-11-21T09:00:00.123Z","data":{data}}}"#
    );
    let mut frame = match payload.len() {
        short @ 0..=125 => vec![0x81, short as u8],
        middle @ 126..=0xffff => [&[0x81, 126][..], &(middle as u16).to_be_bytes()].concat(),
        long => [&[0x81, 127][..], &(long as u64).to_be_bytes()].concat(),
    };
    frame.extend_from_slice(payload.as_bytes());
    frame
}

fn serve(door: &Door, sockets: usize, audiences: &[Vec<usize>], orders: &Receiver<Order>) -> io::Result<()> {
    let mut clients: Vec<TcpStream> = Vec::with_capacity(sockets);
    while clients.len() < sockets {
        let Some(client) = door.next()? else { return Ok(()) };
        clients.push(client);
    }
    while let Ok(mut order) = orders.recv() {
        // What came while the last one was written goes out at one stroke.
        while order.may_grow
            && let Ok(next) = orders.try_recv()
        {
            order.may_grow = next.may_grow;
            next.pieces.into_iter().for_each(|(strand, frame)| order.add(strand, frame));
        }
        for (audience, piece) in order.pieces {
            for client in &audiences[audience] {
                clients[*client].write_all(&piece)?;
            }
        }
    }
    Ok(())
}
