//! `roomcast health`: asks a node's readiness probe, for containers that have no shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use super::{client, serve};

const EXAMPLES: &str = "\
Examples:
  roomcast health
  roomcast health --url http://10.0.0.7:9090

It exits with 0 when the node is ready and with 1 when it is not.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The internal address of the node; by default the one that the configuration says.
    #[arg(long, value_name = "URL", env = "ROOMCAST_HEALTH_URL")]
    url: Option<String>,
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "ROOMCAST_CONFIG")]
    config: Option<PathBuf>,
    /// How long to wait for the answer, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 3_000)]
    timeout_ms: u64,
}

/// # Errors
/// No answer, or one that says that the node is not ready.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let base = match args.url {
        Some(url) => url,
        None => {
            format!("http://{}", reachable(serve::Args { config: args.config, ..serve::Args::default() }.load()?.config.internal.listen))
        }
    };
    let request = Request::get(client::address(&base, "/readyz")?).body(Full::<Bytes>::default())?;
    let answer = client::exchange(request, Duration::from_millis(args.timeout_ms)).await?;
    let body = String::from_utf8_lossy(answer.body());
    if !answer.status().is_success() {
        bail!("the node is not ready ({}): {}", answer.status(), body.trim());
    }
    super::print(&format!("{}\n", body.trim()))
}

/// A node that listens on every address is reached over loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let loopback = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(loopback, listen.port())
}
