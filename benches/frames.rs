//! The frame reader: masked frames of clients, whole in the buffer or cut up by the network.

use std::hint::black_box;

use roomcast::transport::websocket::{Assembler, Config, Incoming};

use crate::support::case::{Case, Subject};
use crate::support::material::data;

/// Frames in one run of the benchmarks that are about frames.
const FRAMES: usize = 100;
/// A message that comes in many reads or fragments.
const LONG_BYTES: usize = 64 << 10;
/// What one packet carries.
const PACKET_BYTES: usize = 1_460;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const TEXT: u8 = 1;
const CONTINUATION: u8 = 0;

pub const CASES: &[Case] = &[
    Case { name: "frames/whole_40", unit: "frame", units: FRAMES as u64, subject: || short(40, usize::MAX) },
    Case { name: "frames/whole_1000", unit: "frame", units: FRAMES as u64, subject: || short(1_000, usize::MAX) },
    Case { name: "frames/split_1000", unit: "frame", units: FRAMES as u64, subject: || short(1_000, 700) },
    Case { name: "frames/whole_64k", unit: "byte", units: LONG_BYTES as u64, subject: || long(1, usize::MAX) },
    Case { name: "frames/packets_64k", unit: "byte", units: LONG_BYTES as u64, subject: || long(1, PACKET_BYTES) },
    Case { name: "frames/fragments_64k", unit: "byte", units: LONG_BYTES as u64, subject: || long(64, usize::MAX) },
    Case { name: "frames/byte_by_byte_64k", unit: "byte", units: LONG_BYTES as u64, subject: || long(1, 1) },
];

/// Reading unmasks in place, so the bytes are fresh for each run; copying them is not measured.
struct Reading {
    sent: Vec<u8>,
    input: Vec<u8>,
    /// How the network cuts it.
    reads: usize,
    messages: usize,
}

impl Subject for Reading {
    fn reset(&mut self) {
        self.input.clone_from(&self.sent);
    }

    fn run(&mut self) {
        let mut assembler = Assembler::new(Config::default().limits(false));
        let mut messages = 0;
        let mut on = |incoming: Incoming<'_>| {
            black_box(incoming);
            messages += 1;
        };
        for read in self.input.chunks_mut(self.reads) {
            assembler.feed(read, &mut on).expect("the frames are legal");
        }
        assert_eq!(messages, self.messages);
    }
}

fn short(payload_bytes: usize, reads: usize) -> Box<dyn Subject> {
    let frame = frame(true, TEXT, data(payload_bytes).as_bytes());
    Box::new(Reading { sent: frame.repeat(FRAMES), input: Vec::new(), reads, messages: FRAMES })
}

fn long(fragments: usize, reads: usize) -> Box<dyn Subject> {
    let text = data(LONG_BYTES);
    let mut sent = Vec::new();
    for (index, payload) in text.as_bytes().chunks(LONG_BYTES / fragments).enumerate() {
        sent.extend(frame(index + 1 == fragments, if index == 0 { TEXT } else { CONTINUATION }, payload));
    }
    Box::new(Reading { sent, input: Vec::new(), reads, messages: 1 })
}

/// As a client sends it: masked, the length in its shortest form.
fn frame(fin: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![u8::from(fin) << 7 | opcode];
    match payload.len() {
        bytes @ 0..=125 => frame.push(0x80 | bytes as u8),
        bytes @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((bytes as u16).to_be_bytes());
        }
        bytes => {
            frame.push(0x80 | 127);
            frame.extend((bytes as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
