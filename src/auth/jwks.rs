//! Keys fetched from an identity provider's JWKS (RFC 7517), kept and renewed.
//!
//! The verifier asks for keys by `kid`; an unknown one causes a fetch, at most one at a time and not oftener than configured,
//! so that forged tokens cannot turn the node against the provider. A failed fetch leaves the last good keys in place.
//! Nothing is fetched before the first token asks, and nothing from an address that a token names.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::ConfigFault;
use super::error::AuthError;
use super::key::Key;

/// Keys fetched from an identity provider, such as Keycloak's `…/protocol/openid-connect/certs`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the JWKS is; must be https unless the host is this machine.
    pub url: Option<String>,
    /// Allows http to other machines: whoever sits in between can then forge tokens.
    pub allow_http: bool,
    /// PEM file of the certificates to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// How old the keys may get before the next token renews them in the background.
    pub refresh_interval_ms: u64,
    /// Shortest time between two fetches, whatever unknown keys tokens name.
    pub fetch_interval_min_ms: u64,
    /// Longest time that one fetch may take.
    pub timeout_ms: u64,
    /// Longest answer.
    pub response_bytes_max: usize,
    /// Most keys in an answer; one with more is refused as a whole.
    pub keys_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            allow_http: false,
            ca_file: None,
            refresh_interval_ms: 300_000,
            fetch_interval_min_ms: 5_000,
            timeout_ms: 5_000,
            response_bytes_max: 256 << 10,
            keys_max: 64,
        }
    }
}

/// The keys of one good answer.
pub(super) struct KeySet {
    keys: Box<[Key]>,
    /// `None` before the first good answer.
    fetched_at: Option<Instant>,
}

impl KeySet {
    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }
}

pub(super) struct Jwks {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    uri: http::Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    keys: ArcSwap<KeySet>,
    fetching: Mutex<Fetching>,
    /// Changes at the end of every fetch, good or bad.
    ended: watch::Sender<()>,
}

#[derive(Default)]
struct Fetching {
    running: bool,
    started_at: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no answer within {0} ms")]
    Timeout(u64),
    #[error("no connection: {0}")]
    Connect(#[from] hyper_util::client::legacy::Error),
    #[error("the answer is {0}, not 200")]
    Status(http::StatusCode),
    #[error("the answer broke off or is too long: {0}")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is no JWKS: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the answer has {0} keys, more than are allowed")]
    TooManyKeys(usize),
    #[error("none of the keys is for verifying signatures with a supported algorithm")]
    NoUsableKey,
}

impl Jwks {
    /// `None` without a URL.
    ///
    /// # Errors
    /// [`ConfigFault`] for an address that must not be used, or certificates that cannot be read.
    pub(super) fn new(config: &Config) -> Result<Option<Self>, ConfigFault> {
        let Some(url) = &config.url else { return Ok(None) };
        let uri = checked_uri(url, config.allow_http)?;
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector(config)?);
        let shared = Shared {
            config: config.clone(),
            uri,
            client,
            keys: ArcSwap::from_pointee(KeySet { keys: Box::default(), fetched_at: None }),
            fetching: Mutex::default(),
            ended: watch::Sender::new(()),
        };
        Ok(Some(Self { shared: Arc::new(shared) }))
    }

    /// The newest keys; fetched first when none of those at hand fits.
    ///
    /// # Errors
    /// `KeysUnavailable` when there never was a good answer.
    pub(super) async fn keys_for(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<Arc<KeySet>, AuthError> {
        let set = self.shared.keys.load_full();
        if set.keys.iter().any(|key| key.fits(kid, algorithm)) {
            let age_max = Duration::from_millis(self.shared.config.refresh_interval_ms);
            if set.fetched_at.is_none_or(|at| at.elapsed() >= age_max) {
                self.fetch();
            }
            return Ok(set);
        }
        if let Some(mut ended) = self.fetch() {
            // The fetch ends by its own time limit; an error here would mean that the sender is gone, which `self` holds.
            let _ = ended.changed().await;
        }
        let set = self.shared.keys.load_full();
        if set.fetched_at.is_none() {
            return Err(AuthError::KeysUnavailable { retry_after_ms: self.shared.config.fetch_interval_min_ms });
        }
        Ok(set)
    }

    /// Starts a fetch unless one runs or the last began too recently; what it returns tells the end of the one that runs.
    fn fetch(&self) -> Option<watch::Receiver<()>> {
        let mut fetching = self.shared.fetching.lock();
        let ended = self.shared.ended.subscribe();
        if fetching.running {
            return Some(ended);
        }
        let interval_min = Duration::from_millis(self.shared.config.fetch_interval_min_ms);
        if fetching.started_at.is_some_and(|at| at.elapsed() < interval_min) {
            return None;
        }
        *fetching = Fetching { running: true, started_at: Some(Instant::now()) };
        let running = Running(Arc::clone(&self.shared));
        tokio::spawn(async move { running.0.renew().await });
        Some(ended)
    }
}

/// Tells the end of a fetch however it ends, an aborted runtime included.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetching.lock().running = false;
        self.0.ended.send_replace(());
    }
}

impl Shared {
    async fn renew(&self) {
        let limit = Duration::from_millis(self.config.timeout_ms);
        let outcome = tokio::time::timeout(limit, self.request()).await;
        match outcome.unwrap_or(Err(FetchError::Timeout(self.config.timeout_ms))) {
            Ok(keys) => self.keys.store(Arc::new(KeySet { keys, fetched_at: Some(Instant::now()) })),
            Err(error) => tracing::warn!(%error, "the JWKS could not be fetched; the last good keys stay"),
        }
    }

    async fn request(&self) -> Result<Box<[Key]>, FetchError> {
        let response = self.client.get(self.uri.clone()).await?;
        if response.status() != http::StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), self.config.response_bytes_max).collect().await.map_err(FetchError::Body)?;
        read_keys(&body.to_bytes(), self.config.keys_max)
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

fn read_keys(body: &[u8], keys_max: usize) -> Result<Box<[Key]>, FetchError> {
    let document: Document = serde_json::from_slice(body)?;
    if document.keys.len() > keys_max {
        return Err(FetchError::TooManyKeys(document.keys.len()));
    }
    // RFC 7517 section 5: keys of kinds that one does not understand are passed over.
    let jwks = document.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let keys: Box<[Key]> = jwks.filter_map(|jwk| Key::of_jwk(&jwk)).collect();
    if keys.is_empty() { Err(FetchError::NoUsableKey) } else { Ok(keys) }
}

fn checked_uri(url: &str, allow_http: bool) -> Result<http::Uri, ConfigFault> {
    let invalid = |why: &str| ConfigFault::invalid("auth.jwks.url", why);
    let uri: http::Uri = url.parse().map_err(|_| invalid("it is not a URL"))?;
    let host = uri.host().ok_or_else(|| invalid("it names no host"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(invalid("it must not hold a user or a password"));
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if allow_http || is_loopback(host) => Ok(uri),
        Some("http") => Err(invalid("it must be https; auth.jwks.allow_http permits http where the network is trusted")),
        _ => Err(invalid("it must begin with https://")),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn connector(config: &Config) -> Result<HttpsConnector<HttpConnector>, ConfigFault> {
    let tls_fault = |error: rustls::Error| ConfigFault::invalid("auth.jwks", error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = HttpsConnectorBuilder::new();
    let Some(path) = &config.ca_file else {
        let with_roots = builder.with_provider_and_webpki_roots(provider).map_err(tls_fault)?;
        return Ok(with_roots.https_or_http().enable_http1().build());
    };
    let mut roots = rustls::RootCertStore::empty();
    let pem = super::config::read_file("auth.jwks.ca_file", path)?;
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).flatten());
    if roots.is_empty() {
        return Err(ConfigFault::invalid("auth.jwks.ca_file", "it holds no certificate"));
    }
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(tls_fault)?;
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    Ok(builder.with_tls_config(tls).https_or_http().enable_http1().build())
}

#[cfg(test)]
mod tests;
