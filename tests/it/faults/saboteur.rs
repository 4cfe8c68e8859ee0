//! The checker is checked over the wire: a gateway that drops one publication of ten thousand, swaps two, repeats one or gives one to
//! another org is caught, by the very clients and the very ledger of the fault runs.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use roomcast_loadtest::{Options, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::town::PHASE_MAX;
use crate::support::books::Books;
use crate::support::gateway::Token;
use crate::support::publishers::{fcall, pour};
use crate::support::redis::Redis;
use crate::support::world::{Person, World};

const PUBLICATIONS: usize = 10_000;
/// The publication that something is done to.
const CHOSEN: usize = 4_321;

/// What is done to the chosen publication of the first connection.
#[derive(Clone, Copy, Debug)]
pub enum Sabotage {
    Nothing,
    Drop,
    /// With the one after it.
    Swap,
    Repeat,
    /// To whoever connects later.
    Leak,
}

/// A gateway that is not to be trusted: it hands on what a good one sends, but for one publication.
pub struct Saboteur {
    pub address: SocketAddr,
}

/// What the connections of a saboteur share: frames that are kept for later, or for somebody else.
type Kept = Arc<Mutex<Vec<Vec<u8>>>>;

impl Saboteur {
    pub async fn start(node: SocketAddr, sabotage: Sabotage) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Kept::default();
        tokio::spawn(async move {
            for number in 0.. {
                let first = number == 0;
                let (client, _) = listener.accept().await.unwrap();
                let (mut from_client, to_client) = client.into_split();
                let (from_node, mut to_node) = TcpStream::connect(node).await.unwrap().into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_node).await });
                tokio::spawn(hand_on(from_node, to_client, first, sabotage, Arc::clone(&kept)));
            }
        });
        Self { address }
    }
}

async fn hand_on(mut node: OwnedReadHalf, mut client: OwnedWriteHalf, first: bool, sabotage: Sabotage, kept: Kept) {
    let (mut buffer, mut publications, mut upgraded) = (Vec::new(), 0, false);
    while node.read_buf(&mut buffer).await.is_ok_and(|length| length > 0) {
        let mut out = Vec::new();
        while let Some(length) = if upgraded { frame_length(&buffer) } else { head_length(&buffer) } {
            let piece: Vec<u8> = buffer.drain(..length).collect();
            let is_publication = upgraded && piece.windows(7).any(|window| window == b"\"room\":");
            publications += usize::from(is_publication);
            upgraded = true;
            let (mut before, mut copies) = (Vec::new(), 1);
            match sabotage {
                Sabotage::Leak if !first => before.append(&mut kept.lock()),
                Sabotage::Swap if first && is_publication && publications == CHOSEN + 1 => {
                    out.extend_from_slice(&piece);
                    copies = 0;
                    before.append(&mut kept.lock());
                }
                Sabotage::Drop if first && is_publication && publications == CHOSEN => copies = 0,
                Sabotage::Repeat if first && is_publication && publications == CHOSEN => copies = 2,
                Sabotage::Swap | Sabotage::Leak if first && is_publication && publications == CHOSEN => {
                    copies = usize::from(matches!(sabotage, Sabotage::Leak));
                    kept.lock().push(piece.clone());
                }
                _ => {}
            }
            out.extend(before.concat());
            out.extend(piece.repeat(copies));
        }
        if client.write_all(&out).await.is_err() {
            return;
        }
    }
}

/// The response to the handshake, once it is whole.
fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|end| end + 4)
}

/// The first frame, once it is whole (RFC 6455 section 5.2; servers do not mask).
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let length = match (bytes.get(1)? & 0x7f, bytes) {
        (126, [_, _, high, low, ..]) => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        (short @ 0..=125, _) => 2 + usize::from(short),
        _ => return None,
    };
    (bytes.len() >= length).then_some(length)
}

async fn judged(sabotage: Sabotage) -> Verdict {
    let world = World::on(Redis::start(&[]).await, 1, &[]).await;
    let (saboteur, books) = (Saboteur::start(world.nodes[0].address, sabotage).await, Books::default());
    let meet =
        async |org: &str, room: &str| Person::meet(org, &[room], Options::new([saboteur.address], Token::of(org, "somebody").mint())).await;
    let alice = meet("acme", "kpi:acme").await;
    let spy = meet("umbrella", "kpi:umbrella").await;
    pour(&world.redis, &books, "acme", "kpi:acme:sales", "m", (PUBLICATIONS, 10)).await;
    let last = format!("m-{}", PUBLICATIONS - 1);
    alice.receives(&last).await;
    // What was kept for the other org goes out with its own next publication.
    fcall(&world.redis, "umbrella", "kpi:umbrella", "own", 0).await;
    books.note("own", "kpi:umbrella", roomcast_loadtest::ledger::Fate::Acked(None));
    spy.receives("own").await;
    let deadline = if matches!(sabotage, Sabotage::Drop) { std::time::Duration::ZERO } else { PHASE_MAX };
    books.audit([&alice, &spy], deadline).await.ledger.verdict()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_one_publication_of_ten_thousand_suffers_is_caught() {
    let clean = judged(Sabotage::Nothing).await;
    assert!(clean.is_clean() && clean.receipts == PUBLICATIONS as u64 + 1, "{clean}");
    let receipts = clean.receipts;
    assert_eq!(judged(Sabotage::Drop).await, Verdict { silent: 1, receipts: receipts - 1, ..clean });
    assert_eq!(judged(Sabotage::Swap).await, Verdict { reorder: 1, ..clean });
    assert_eq!(judged(Sabotage::Repeat).await, Verdict { twice: 1, wire_dup: 1, receipts: receipts + 1, ..clean });
    // What leaks stands in another log than everything else that its receiver gets.
    assert_eq!(judged(Sabotage::Leak).await, Verdict { cross: 1, reorder: 1, receipts: receipts + 1, ..clean });
}
