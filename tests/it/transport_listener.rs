//! The listener against real sockets: nobody holds a place for nothing, and stopping is orderly.

use std::time::{Duration, Instant};

use roomcast::transport::listener::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::eventually;
use crate::transport_support::{handshake, response_head, serve, to_the_end, within};

async fn until_open(server: &crate::transport_support::Server, count: usize) {
    within(async {
        while server.admission.open() != count {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn silent_and_slow_sockets_are_closed_after_the_header_timeout() {
    let server = serve(Config { header_timeout_ms: 400, ..Config::default() });
    let mut sockets = Vec::new();
    for number in 0..100 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        if number % 2 == 0 {
            socket.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        }
        sockets.push(socket);
    }
    until_open(&server, 100).await;
    let begun = Instant::now();
    for socket in &mut sockets {
        let said = to_the_end(socket).await;
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 408"), "{said:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    until_open(&server, 0).await;
}

#[tokio::test]
async fn dripping_bytes_does_not_prolong_the_header_timeout() {
    let server = serve(Config { header_timeout_ms: 400, ..Config::default() });
    let (mut reader, mut writer) = TcpStream::connect(server.address).await.unwrap().into_split();
    let dripping = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        writer.write_all(b"GET /peer HTTP/1.1\r\nX-Slow: ").await.unwrap();
        while writer.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
    });
    to_the_end(&mut reader).await;
    within(dripping).await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_between_requests_is_closed() {
    let server = serve(Config { header_timeout_ms: 300, ..Config::default() });
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let local = socket.local_addr().unwrap();
    for _ in 0..2 {
        socket.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(response_head(&mut socket).await.starts_with("HTTP/1.1 200"));
        let mut body = vec![0; format!("{local} tls=false").len()];
        within(tokio::io::AsyncReadExt::read_exact(&mut socket, &mut body)).await.unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), format!("{local} tls=false"));
    }
    assert!(to_the_end(&mut socket).await.is_empty());
}

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_places_come_back() {
    let server = serve(Config { connections_max: 2, ..Config::default() });
    let mut upgraded = TcpStream::connect(server.address).await.unwrap();
    upgraded.write_all(handshake("").as_bytes()).await.unwrap();
    assert!(response_head(&mut upgraded).await.starts_with("HTTP/1.1 101"));
    let silent = TcpStream::connect(server.address).await.unwrap();
    until_open(&server, 2).await;

    let mut third = TcpStream::connect(server.address).await.unwrap();
    third.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = to_the_end(&mut third).await;
    assert!(answer.starts_with(b"HTTP/1.1 503"), "{answer:?}");
    assert!(String::from_utf8_lossy(&answer).contains("Retry-After: "));

    drop(upgraded);
    drop(silent);
    until_open(&server, 0).await;
}

#[tokio::test]
async fn a_crowd_is_sent_away_before_it_says_anything_and_is_let_in_later() {
    let server = serve(Config { accepts_per_s: 2, accepts_burst: 3, ..Config::default() });
    let mut crowd = Vec::new();
    for _ in 0..30 {
        crowd.push(TcpStream::connect(server.address).await.unwrap());
    }
    let answer = to_the_end(crowd.last_mut().unwrap()).await;
    assert!(answer.starts_with(b"HTTP/1.1 503") && String::from_utf8_lossy(&answer).contains("Retry-After: "), "{answer:?}");
    let mut first = crowd.swap_remove(0);
    first.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(to_the_end(&mut first).await.starts_with(b"HTTP/1.1 200"));
    drop(crowd);
    eventually("somebody is let in again", async || {
        let mut later = TcpStream::connect(server.address).await.ok()?;
        later.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ok()?;
        to_the_end(&mut later).await.starts_with(b"HTTP/1.1 200").then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_address_has_its_own_bound() {
    let server = serve(Config { connections_per_address_max: 1, ..Config::default() });
    let _first = TcpStream::connect(server.address).await.unwrap();
    until_open(&server, 1).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    assert!(to_the_end(&mut second).await.starts_with(b"HTTP/1.1 503"));
}

#[tokio::test]
async fn a_large_request_head_is_refused() {
    let server = serve(Config::default());
    for lines in [format!("X-Long: {}\r\n", "x".repeat(20_000)), "X-Many: y\r\n".repeat(100)] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(format!("GET /peer HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes()).await.unwrap();
        let head = response_head(&mut socket).await;
        assert!(head.starts_with("HTTP/1.1 431"), "{head}");
    }
}

#[tokio::test]
async fn stopping_lets_go_of_idle_connections_cuts_off_stuck_ones_and_spares_upgraded_ones() {
    let mut server = serve(Config { stop_timeout_ms: 300, ..Config::default() });
    let mut upgraded = TcpStream::connect(server.address).await.unwrap();
    upgraded.write_all(handshake("").as_bytes()).await.unwrap();
    response_head(&mut upgraded).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut stuck = TcpStream::connect(server.address).await.unwrap();
    stuck.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until_open(&server, 3).await;

    server.stop.cancel();
    assert!(to_the_end(&mut idle).await.is_empty());
    assert!(to_the_end(&mut stuck).await.is_empty());
    within(&mut server.serving).await.unwrap();
    until_open(&server, 1).await;
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is free again");

    upgraded.write_all(&[0x89, 0x81, 0, 0, 0, 0, b'!']).await.unwrap();
    let mut pong = [0; 3];
    within(tokio::io::AsyncReadExt::read_exact(&mut upgraded, &mut pong)).await.unwrap();
    assert_eq!(pong, [0x8a, 1, b'!']);
}

#[tokio::test]
async fn an_old_connection_ends_with_the_request_at_hand() {
    let server = serve(Config { connection_age_max_ms: 200, ..Config::default() });
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(to_the_end(&mut socket).await.starts_with(b"HTTP/1.1 200"));
}

/// Set in the process that this test starts of itself, because a limit on descriptors would disturb the other tests.
const FEW_DESCRIPTORS: &str = "ROOMCAST_TEST_FEW_DESCRIPTORS";

#[tokio::test]
async fn running_out_of_descriptors_does_not_end_the_listener() {
    if std::env::var_os(FEW_DESCRIPTORS).is_none() {
        let mut own = tokio::process::Command::new("sh");
        own.args(["-c", "ulimit -n 64 && exec \"$0\" --exact transport_listener::running_out_of_descriptors_does_not_end_the_listener"]);
        let output = within(own.arg(std::env::current_exe().unwrap()).env(FEW_DESCRIPTORS, "1").kill_on_drop(true).output()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let server = serve(Config::default());
    // Connected without yielding, so these take every descriptor before the listener can accept one of them.
    let mut waiting: Vec<_> = std::iter::from_fn(|| std::net::TcpStream::connect(server.address).ok()).collect();
    assert!((20..64).contains(&waiting.len()), "{}", waiting.len());
    let admitted = tokio::time::timeout(Duration::from_millis(200), until_open(&server, 1)).await;
    assert!(admitted.is_err(), "there is no descriptor to accept with");

    waiting.drain(..waiting.len() / 2 + 2);
    let last = waiting.pop().unwrap();
    last.set_nonblocking(true).unwrap();
    let mut last = TcpStream::from_std(last).unwrap();
    last.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(response_head(&mut last).await.starts_with("HTTP/1.1 200"));
}
