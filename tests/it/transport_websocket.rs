//! Upgrades over real sockets: another implementation's client, plain and by TLS, and raw bytes that break the rules.

use std::future::Future;
use std::pin::Pin;

use fastwebsockets::{Frame, OpCode, Payload};
use http::Request;
use http_body_util::Empty;
use roomcast::transport::listener::Config;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::transport_support::{MESSAGE_BYTES_MAX, handshake, response_head, serve, to_the_end, within};

struct Spawn;

impl hyper::rt::Executor<Pin<Box<dyn Future<Output = ()> + Send>>> for Spawn {
    fn execute(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        tokio::spawn(future);
    }
}

/// Sends messages of many sizes by the library's client and expects each back.
pub async fn echoes(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let request = Request::get("/ws")
        .header("Host", "localhost")
        .header("Upgrade", "websocket")
        .header("Connection", "upgrade")
        .header("Sec-WebSocket-Key", fastwebsockets::handshake::generate_key())
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Protocol", "roomcast.v1, bearer.secret")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let (mut client, response) = within(fastwebsockets::handshake::client(&Spawn, request, socket)).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "roomcast.v1");
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    for length in [0, 1, 125, 126, 65_535, 65_536, MESSAGE_BYTES_MAX] {
        let text = "x".repeat(length);
        within(client.write_frame(Frame::text(Payload::Borrowed(text.as_bytes())))).await.unwrap();
        let frame = within(client.read_frame()).await.unwrap();
        assert_eq!((frame.opcode, frame.payload.len()), (OpCode::Text, length));
        assert_eq!(frame.payload, text.as_bytes());
    }
    within(client.write_frame(Frame::close(1000, b"done"))).await.unwrap();
    let frame = within(client.read_frame()).await.unwrap();
    assert_eq!((frame.opcode, &frame.payload[..]), (OpCode::Close, &[0x03, 0xe8][..]));
}

#[tokio::test]
async fn an_upgraded_connection_echoes_to_another_implementations_client() {
    let server = serve(Config::default());
    echoes(TcpStream::connect(server.address).await.unwrap()).await;
}

#[tokio::test]
async fn bytes_sent_right_behind_the_request_are_not_lost() {
    let server = serve(Config::default());
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = handshake("").into_bytes();
    bytes.extend_from_slice(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    socket.write_all(&bytes).await.unwrap();
    let head = response_head(&mut socket).await;
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    let mut echo = [0; 4];
    within(socket.read_exact(&mut echo)).await.unwrap();
    assert_eq!(echo, [0x81, 2, b'h', b'i']);
}

#[tokio::test]
async fn a_compressed_message_is_read_once_the_extension_is_agreed_to() {
    let server = serve(Config::default());
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(handshake("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n").as_bytes()).await.unwrap();
    let head = response_head(&mut socket).await;
    assert!(head.contains("permessage-deflate; server_no_context_takeover; client_no_context_takeover"), "{head}");
    socket.write_all(&[0xc1, 0x87, 0, 0, 0, 0, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]).await.unwrap();
    let mut echo = [0; 7];
    within(socket.read_exact(&mut echo)).await.unwrap();
    assert_eq!(&echo, b"\x81\x05Hello");
}

#[tokio::test]
async fn a_broken_rule_is_answered_by_its_close_code_and_others_go_on() {
    let server = serve(Config::default());
    for (bytes, code) in [
        (&[0x81, 0x02, b'h', b'i'][..], 1002_u16),
        (&[0xc1, 0x81, 0, 0, 0, 0, b'x'], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
        (&[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4], 1009),
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(handshake("").as_bytes()).await.unwrap();
        response_head(&mut socket).await;
        socket.write_all(bytes).await.unwrap();
        let end = to_the_end(&mut socket).await;
        assert_eq!(end[..], [&[0x88, 2][..], &code.to_be_bytes()].concat(), "{bytes:x?}");
    }
    echoes(TcpStream::connect(server.address).await.unwrap()).await;
}

#[tokio::test]
async fn a_request_that_is_no_handshake_gets_a_status() {
    let server = serve(Config::default());
    for (request, status) in [
        ("GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "426"),
        (handshake("Origin: https://evil.example\r\n"), "403"),
        (handshake("").replace("dGhlIHNhbXBsZSBub25jZQ==", "zzz"), "400"),
        (handshake("").replace("Version: 13", "Version: 12"), "426"),
    ] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let head = response_head(&mut socket).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
}
