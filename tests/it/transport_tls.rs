//! TLS over real sockets: echo, certificate reload under open connections, and handshakes that never come.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, KeyPair};
use roomcast::transport::listener::{BindError, Config, Listener};
use roomcast::transport::tls;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::transport_support::{Server, handshake, response_head, serve, to_the_end, within};
use crate::transport_websocket::echoes;

const RELOAD_INTERVAL_MS: u64 = 20;

fn certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn write(directory: &Path, certified: &CertifiedKey<KeyPair>) {
    std::fs::write(directory.join("cert.pem"), certified.cert.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), certified.signing_key.serialize_pem()).unwrap();
}

fn config(directory: &Path) -> Config {
    let tls = tls::Config {
        certificate_file: directory.join("cert.pem"),
        key_file: directory.join("key.pem"),
        handshake_timeout_ms: 400,
        reload_interval_ms: RELOAD_INTERVAL_MS,
    };
    Config { tls: Some(tls), ..Config::default() }
}

async fn connect(server: &Server, trusted: &CertificateDer<'static>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(server.address).await?;
    within(TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("localhost").unwrap(), tcp)).await
}

#[tokio::test]
async fn an_upgraded_connection_echoes_by_tls() {
    let (directory, certified) = (tempfile::tempdir().unwrap(), certificate());
    write(directory.path(), &certified);
    let server = serve(config(directory.path()));
    echoes(connect(&server, certified.cert.der()).await.unwrap()).await;
}

#[tokio::test]
async fn a_changed_certificate_is_used_without_dropping_connections() {
    let (directory, old, new) = (tempfile::tempdir().unwrap(), certificate(), certificate());
    write(directory.path(), &old);
    let server = serve(config(directory.path()));
    let mut open = connect(&server, old.cert.der()).await.unwrap();
    open.write_all(handshake("").as_bytes()).await.unwrap();
    assert!(response_head(&mut open).await.starts_with("HTTP/1.1 101"));

    // Half of a change does not fit together, so the old certificate stays in use.
    std::fs::write(directory.path().join("cert.pem"), new.cert.pem()).unwrap();
    let ten_looks_later = Instant::now() + Duration::from_millis(10 * RELOAD_INTERVAL_MS);
    while Instant::now() < ten_looks_later {
        connect(&server, old.cert.der()).await.unwrap();
    }
    write(directory.path(), &new);
    within(async { while connect(&server, new.cert.der()).await.is_err() {} }).await;
    assert!(connect(&server, old.cert.der()).await.is_err());

    open.write_all(&[0x89, 0x81, 0, 0, 0, 0, b'!']).await.unwrap();
    let mut pong = [0; 3];
    within(open.read_exact(&mut pong)).await.unwrap();
    assert_eq!(pong, [0x8a, 1, b'!']);
}

#[tokio::test]
async fn a_socket_that_never_begins_tls_is_closed() {
    let (directory, certified) = (tempfile::tempdir().unwrap(), certificate());
    write(directory.path(), &certified);
    let server = serve(config(directory.path()));
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert!(to_the_end(&mut silent).await.is_empty());
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET /peer HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(!to_the_end(&mut plain).await.starts_with(b"HTTP"));
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &certificate());
    std::fs::write(directory.path().join("key.pem"), certificate().signing_key.serialize_pem()).unwrap();
    assert!(matches!(Listener::bind(config(directory.path())), Err(BindError::Certificate(_))));
    std::fs::remove_file(directory.path().join("key.pem")).unwrap();
    assert!(matches!(Listener::bind(config(directory.path())), Err(BindError::Certificate(tls::CertificateError::Read { .. }))));
}
