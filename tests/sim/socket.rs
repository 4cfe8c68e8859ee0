//! The far end of a session's send queue: takes as many bytes as its reader lets it, and makes messages of them.

use std::sync::Arc;

use roomcast::hub::send_queue::Limits;
use roomcast::hub::{NoSink, SendQueue};
use roomcast::protocol::CommandId;
use serde_json::Value;

pub struct Socket {
    pub queue: Arc<SendQueue>,
    partial: Vec<u8>,
}

impl Socket {
    pub fn new(limits: Limits) -> Self {
        Self { queue: Arc::new(SendQueue::new(limits, NoSink)), partial: Vec::new() }
    }

    /// The messages that are whole with up to `room` further bytes; `None` when there are no bytes.
    pub fn read(&mut self, room: usize) -> Option<Vec<Value>> {
        let taken = self.take(room);
        self.partial.extend_from_slice(&taken);
        let mut lines: Vec<Vec<u8>> = self.partial.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        self.partial = lines.pop().unwrap_or_default();
        let messages = lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect();
        (!taken.is_empty()).then_some(messages)
    }

    fn take(&mut self, mut room: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        let _ = self.queue.flush(|slices| {
            let before = taken.len();
            for slice in slices {
                let count = slice.len().min(room);
                taken.extend_from_slice(&slice[..count]);
                room -= count;
            }
            if taken.len() == before { Err(std::io::ErrorKind::WouldBlock.into()) } else { Ok(taken.len() - before) }
        });
        taken
    }
}

/// The id of the command with this number.
pub fn command_id(number: usize) -> CommandId {
    let message = format!(r#"{{"event":"client:ping","id":{number}}}"#);
    roomcast::protocol::Command::parse(message.as_bytes()).unwrap().id.unwrap()
}
