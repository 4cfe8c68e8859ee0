//! TLS for listeners without a terminating proxy in front: rustls, certificates from PEM files, read anew when they change.
//!
//! The listener asks for the configuration of each new connection; open ones keep the certificate that they began with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Where a listener's certificate lies.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// PEM file with the certificate and its chain, the server's own certificate first.
    pub certificate_file: PathBuf,
    /// PEM file with the private key (PKCS #8, PKCS #1 or SEC 1).
    pub key_file: PathBuf,
    /// How long a client may take over the TLS handshake.
    pub handshake_timeout_ms: u64,
    /// How often both files are looked at; when they changed and fit each other, new connections get the new certificate.
    pub reload_interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { certificate_file: PathBuf::new(), key_file: PathBuf::new(), handshake_timeout_ms: 10_000, reload_interval_ms: 30_000 }
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is no PEM file with what it should hold: {source}")]
    Pem { path: PathBuf, source: pem::Error },
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The files as they were last read. Contents are compared, not times: a mounted secret is swapped without new times.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate that follows its files.
pub struct Certificate {
    config: Config,
    current: ArcSwap<ServerConfig>,
    files: Files,
}

impl Certificate {
    /// # Errors
    /// A file that cannot be read or holds something else, or a key that does not belong to the certificate.
    pub fn load(config: &Config) -> Result<Self, CertificateError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|source| CertificateError::Read { path: path.clone(), source });
        let files = Files { certificate: read(&config.certificate_file)?, key: read(&config.key_file)? };
        let current = ArcSwap::from_pointee(server_config(config, &files)?);
        Ok(Self { config: config.clone(), current, files })
    }

    /// Does the TLS handshake with the certificate as it is now.
    ///
    /// # Errors
    /// What the handshake failed with; `TimedOut` when the client took too long.
    pub async fn accept(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        tokio::time::timeout(Duration::from_millis(self.config.handshake_timeout_ms), acceptor.accept(tcp)).await?
    }

    /// Looks at the files again and again; never returns. While they cannot be used, the certificate stays as it is.
    pub async fn follow(&self) {
        // A zero interval would panic, and looking more often than this only costs.
        let mut ticks = tokio::time::interval(Duration::from_millis(self.config.reload_interval_ms.max(10)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seen: Option<Files> = None;
        loop {
            ticks.tick().await;
            match read(&self.config).await {
                Ok(files) if files == *seen.as_ref().unwrap_or(&self.files) => {}
                Ok(files) => {
                    self.replace(&files);
                    seen = Some(files);
                }
                Err(error) => tracing::warn!(%error, "the certificate stays as it is"),
            }
        }
    }

    fn replace(&self, files: &Files) {
        match server_config(&self.config, files) {
            Ok(fresh) => {
                self.current.store(Arc::new(fresh));
                tracing::info!(file = %self.config.certificate_file.display(), "certificate replaced");
            }
            // Usually only one of the two files has been written yet; the next look finds both.
            Err(error) => tracing::warn!(%error, "the certificate stays as it is"),
        }
    }
}

async fn read(config: &Config) -> Result<Files, CertificateError> {
    let read = |path: PathBuf| async move { tokio::fs::read(&path).await.map_err(|source| CertificateError::Read { path, source }) };
    Ok(Files { certificate: read(config.certificate_file.clone()).await?, key: read(config.key_file.clone()).await? })
}

fn server_config(config: &Config, files: &Files) -> Result<ServerConfig, CertificateError> {
    let bad = |path: &PathBuf| {
        let path = path.clone();
        move |source| CertificateError::Pem { path, source }
    };
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&files.certificate).collect::<Result<_, _>>().map_err(bad(&config.certificate_file))?;
    if chain.is_empty() {
        return Err(bad(&config.certificate_file)(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(bad(&config.key_file))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(server)
}
