//! Keys from a JWKS server of the tests' own: rotation, failure, slow and wrong answers, and how often the server is asked.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey};
use parking_lot::Mutex;
use roomcast::auth::{AuthError, Config, MintRequest, Principal, SigningKey, Verifier, jwks, mint};
use roomcast::protocol::{Code, Fault, RoomSyntax};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

const NOW_S: u64 = 1_800_000_000;
const DEADLINE: Duration = Duration::from_secs(10);
const HOUR_MS: u64 = 3_600_000;

/// An identity provider that answers what the test tells it to, and counts.
struct Provider {
    url: String,
    requests: AtomicUsize,
    answer: Mutex<(StatusCode, String)>,
    /// Each answer takes one; the test closes the gate by taking them all.
    gate: Semaphore,
}

impl Provider {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/certs", listener.local_addr().unwrap());
        let answer = Mutex::new((StatusCode::OK, String::new()));
        let provider = Arc::new(Self { url, requests: AtomicUsize::new(0), answer, gate: Semaphore::new(10_000) });
        tokio::spawn(Arc::clone(&provider).serve(listener));
        provider
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let provider = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(|_| provider.respond());
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn serve_tls(self: Arc<Self>, listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (provider, acceptor) = (Arc::clone(&self), acceptor.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|_| provider.respond());
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn respond(&self) -> Result<Response<Full<Bytes>>, Infallible> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let (status, body) = self.answer.lock().clone();
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        if status.is_redirection() {
            response.headers_mut().insert("location", self.url.parse().unwrap());
        }
        Ok(response)
    }

    fn publishes(&self, keys: &[&Signer]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk.clone()).collect();
        self.answers(StatusCode::OK, json!({ "keys": keys }).to_string());
    }

    fn answers(&self, status: StatusCode, body: String) {
        *self.answer.lock() = (status, body);
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn close_gate(&self) {
        assert!(self.gate.forget_permits(10_000) > 0);
    }

    fn verifier(&self, change: impl FnOnce(&mut jwks::Config)) -> Arc<Verifier> {
        let mut jwks = jwks::Config { url: Some(self.url.clone()), fetch_interval_min_ms: 0, ..jwks::Config::default() };
        change(&mut jwks);
        Arc::new(Verifier::new(&Config { jwks, ..config() }, RoomSyntax::new(4, ["kpi"])).unwrap())
    }
}

/// A key of the provider's.
struct Signer {
    key: SigningKey,
    jwk: Value,
}

impl Signer {
    fn new(kid: &str) -> Self {
        let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
        Self::of(kid, Algorithm::ES256, &pem, &EncodingKey::from_ec_pem(pem.as_bytes()).unwrap())
    }

    fn of(kid: &str, algorithm: Algorithm, pem: &str, encoding: &EncodingKey) -> Self {
        let mut jwk = Jwk::from_encoding_key(encoding, algorithm).unwrap();
        jwk.common.key_id = Some(kid.into());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let key = SigningKey::of_pem(pem.as_bytes(), algorithm, Some(kid.into())).unwrap();
        Self { key, jwk: serde_json::to_value(jwk).unwrap() }
    }

    fn token(&self) -> String {
        let request = MintRequest {
            sub: "alice".into(),
            org: Some("acme".into()),
            grants: None,
            scopes: Vec::new(),
            token_id: None,
            issued_at_s: NOW_S,
            lifetime_s: 60,
        };
        mint(&request, &config(), &self.key).unwrap()
    }
}

fn config() -> Config {
    Config { issuers: vec!["https://id.example".into()], ..Config::default() }
}

async fn verify(verifier: &Verifier, signer: &Signer) -> Result<Principal, AuthError> {
    tokio::time::timeout(DEADLINE, verifier.verify(&signer.token(), NOW_S)).await.unwrap()
}

#[tokio::test]
async fn keys_are_fetched_once_and_used_for_every_token() {
    let (provider, signer) = (Provider::start().await, Signer::new("one"));
    provider.publishes(&[&signer]);
    let verifier = provider.verifier(|_| {});
    assert_eq!(provider.requests(), 0);
    for _ in 0..50 {
        assert_eq!(verify(&verifier, &signer).await.unwrap().sub(), "alice");
    }
    assert_eq!(provider.requests(), 1);
}

#[tokio::test]
async fn every_kind_of_key_verifies() {
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
    let signers = [
        ed_signer("ed"),
        Signer::of("p384", Algorithm::ES384, &p384, &EncodingKey::from_ec_pem(p384.as_bytes()).unwrap()),
        Signer::new("p256"),
        rsa_signer("rsa", Algorithm::PS256),
    ];
    let provider = Provider::start().await;
    provider.publishes(&signers.each_ref());
    let verifier = provider.verifier(|_| {});
    for signer in &signers {
        assert!(verify(&verifier, signer).await.is_ok(), "{}", signer.jwk);
    }
    assert_eq!(provider.requests(), 1);
}

#[tokio::test]
async fn a_rotated_key_is_found_and_the_withdrawn_one_refused() {
    let (provider, old, new) = (Provider::start().await, Signer::new("old"), Signer::new("new"));
    provider.publishes(&[&old]);
    let verifier = provider.verifier(|_| {});
    assert!(verify(&verifier, &old).await.is_ok());
    provider.publishes(&[&new]);
    assert!(verify(&verifier, &new).await.is_ok());
    assert_eq!(provider.requests(), 2);
    assert_eq!(verify(&verifier, &old).await, Err(AuthError::UnknownKey));
}

#[tokio::test]
async fn unknown_keys_cannot_make_the_node_ask_oftener_than_configured() {
    let (provider, known, forged) = (Provider::start().await, Signer::new("known"), Signer::new("forged"));
    provider.publishes(&[&known]);
    let verifier = provider.verifier(|jwks| jwks.fetch_interval_min_ms = HOUR_MS);
    assert!(verify(&verifier, &known).await.is_ok());
    for _ in 0..100 {
        assert_eq!(verify(&verifier, &forged).await, Err(AuthError::UnknownKey));
    }
    assert_eq!(provider.requests(), 1);
}

#[tokio::test]
async fn a_known_kid_with_another_key_behind_it_is_refused_without_asking() {
    let (provider, known, forged) = (Provider::start().await, Signer::new("same"), Signer::new("same"));
    provider.publishes(&[&known]);
    let verifier = provider.verifier(|_| {});
    assert!(verify(&verifier, &known).await.is_ok());
    assert_eq!(verify(&verifier, &forged).await, Err(AuthError::Signature));
    assert_eq!(provider.requests(), 1);
}

#[tokio::test]
async fn a_hundred_tokens_at_once_cause_one_fetch() {
    let (provider, signer) = (Provider::start().await, Signer::new("one"));
    provider.publishes(&[&signer]);
    provider.close_gate();
    let verifier = provider.verifier(|_| {});
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let (verifier, token) = (Arc::clone(&verifier), signer.token());
            tokio::spawn(async move { verifier.verify(&token, NOW_S).await })
        })
        .collect();
    until(|| provider.requests() == 1).await;
    provider.gate.add_permits(100);
    for outcome in waiting {
        assert!(outcome.await.unwrap().is_ok());
    }
    assert_eq!(provider.requests(), 1);
}

#[tokio::test]
async fn wrong_answers_leave_the_last_good_keys_in_place() {
    let (provider, old, new) = (Provider::start().await, Signer::new("old"), Signer::new("new"));
    provider.publishes(&[&old]);
    let verifier = provider.verifier(|jwks| jwks.response_bytes_max = 4_096);
    assert!(verify(&verifier, &old).await.is_ok());
    let too_long = json!({"keys": [new.jwk], "padding": "x".repeat(5_000)}).to_string();
    let too_many = json!({"keys": vec![json!(1); 65]}).to_string();
    let good = json!({"keys": [new.jwk]}).to_string();
    let wrong = [
        (StatusCode::OK, "<html>garbage".to_owned()),
        (StatusCode::OK, String::new()),
        (StatusCode::OK, r#"{"keys":[]}"#.to_owned()),
        (StatusCode::OK, too_long),
        (StatusCode::OK, too_many),
        (StatusCode::INTERNAL_SERVER_ERROR, good.clone()),
        (StatusCode::FOUND, good),
    ];
    for (count, (status, body)) in wrong.into_iter().enumerate() {
        provider.answers(status, body.clone());
        assert_eq!(verify(&verifier, &new).await, Err(AuthError::UnknownKey), "{status} {body}");
        assert!(verify(&verifier, &old).await.is_ok());
        assert_eq!(provider.requests(), count + 2, "{status}: one request, no redirect followed, nothing retried");
    }
    provider.publishes(&[&old, &new]);
    assert!(verify(&verifier, &new).await.is_ok());
}

#[tokio::test]
async fn without_any_good_answer_the_client_is_told_to_come_back() {
    let (provider, signer) = (Provider::start().await, Signer::new("one"));
    provider.answers(StatusCode::SERVICE_UNAVAILABLE, String::new());
    let verifier = provider.verifier(|jwks| jwks.fetch_interval_min_ms = HOUR_MS);
    for _ in 0..10 {
        let error = verify(&verifier, &signer).await.unwrap_err();
        assert_eq!(error, AuthError::KeysUnavailable { retry_after_ms: HOUR_MS });
        let fault = Fault::from(error);
        assert_eq!((fault.code, fault.retry_after_ms), (Code::BrokerUnavailable, Some(HOUR_MS)));
    }
    assert_eq!(provider.requests(), 1);
}

#[tokio::test]
async fn a_slow_answer_is_given_up_and_does_not_hold_known_keys_back() {
    let (provider, old, new) = (Provider::start().await, Signer::new("old"), Signer::new("new"));
    provider.publishes(&[&old]);
    let verifier = provider.verifier(|jwks| jwks.timeout_ms = 1_500);
    assert!(verify(&verifier, &old).await.is_ok());
    provider.publishes(&[&old, &new]);
    provider.close_gate();
    let waiting = tokio::spawn({
        let (verifier, token) = (Arc::clone(&verifier), new.token());
        async move { verifier.verify(&token, NOW_S).await }
    });
    until(|| provider.requests() == 2).await;
    assert!(verify(&verifier, &old).await.is_ok());
    assert!(!waiting.is_finished(), "the known key did not wait for the slow answer");
    assert_eq!(tokio::time::timeout(DEADLINE, waiting).await.unwrap().unwrap(), Err(AuthError::UnknownKey));
    provider.gate.add_permits(100);
    assert!(verify(&verifier, &new).await.is_ok());
}

#[tokio::test]
async fn old_keys_are_renewed_behind_the_scenes_and_withdrawn_ones_go() {
    let (provider, old, new) = (Provider::start().await, Signer::new("old"), Signer::new("new"));
    provider.publishes(&[&old]);
    let verifier = provider.verifier(|jwks| jwks.refresh_interval_ms = 0);
    assert!(verify(&verifier, &old).await.is_ok());
    provider.publishes(&[&new]);
    let deadline = Instant::now() + DEADLINE;
    while verify(&verifier, &old).await.is_ok() {
        assert!(Instant::now() < deadline, "the withdrawn key is still taken");
        tokio::task::yield_now().await;
    }
    assert!(verify(&verifier, &new).await.is_ok());
}

#[tokio::test]
async fn over_tls_only_the_configured_certificates_are_trusted() {
    let (provider, signer) = (Provider::start().await, Signer::new("one"));
    provider.publishes(&[&signer]);
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/certs", listener.local_addr().unwrap().port());
    tokio::spawn(Arc::clone(&provider).serve_tls(listener, acceptor(&certified)));
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, certified.cert.pem()).unwrap();
    let trusting = provider.verifier(|jwks| (jwks.url, jwks.ca_file) = (Some(url.clone()), Some(ca_file)));
    assert!(verify(&trusting, &signer).await.is_ok());
    let public_only = provider.verifier(|jwks| jwks.url = Some(url));
    assert!(matches!(verify(&public_only, &signer).await, Err(AuthError::KeysUnavailable { .. })));
    assert_eq!(provider.requests(), 1);
}

fn acceptor(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> tokio_rustls::TlsAcceptor {
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key.into()).unwrap();
    Arc::new(config).into()
}

fn ed_signer(kid: &str) -> Signer {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
    let key = SigningKey::of_pem(pair.serialize_pem().as_bytes(), Algorithm::EdDSA, Some(kid.into())).unwrap();
    Signer { key, jwk: json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": x}) }
}

fn rsa_signer(kid: &str, algorithm: Algorithm) -> Signer {
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let base64 = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
    Signer::of(kid, algorithm, &pem, &EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap())
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "the condition never came true");
        tokio::task::yield_now().await;
    }
}
