//! `roomcast serve`: runs a node until it is told to stop.

use std::path::PathBuf;

use anyhow::Context;

use tokio::signal::unix::{SignalKind, signal};

use crate::auth::{MintRequest, Scope, SigningKey, mint};
use crate::config::{Config, Faults, Loaded, Override, Sources};
use crate::node::Node;
use crate::telemetry;

/// The org of the development token.
const DEVELOPMENT_ORG: &str = "demo";
const DEVELOPMENT_TOKEN_LIFETIME_S: u64 = 12 * 3_600;

const EXAMPLES: &str = "\
Examples:
  roomcast serve --dev
  roomcast serve --listen 0.0.0.0:8080 --redis-url redis://127.0.0.1:6379
  ROOMCAST_LIMITS__COMMANDS_PER_S=50 roomcast serve --config /etc/roomcast.toml

Every key of the configuration is an environment variable too: see `roomcast config env`.";

/// Flags of `serve`; they win over the environment, which wins over the file.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE", env = "ROOMCAST_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where clients connect [key: server.address].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Where probes and metrics are served [key: internal.listen].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub internal_listen: Option<String>,
    /// Keep the logs in this Redis [keys: broker.redis.url, broker.kind]. Every user of the machine can read arguments: a URL with a
    /// password belongs into ROOMCAST_BROKER__REDIS__URL, or into the file that ROOMCAST_BROKER__REDIS__URL_FILE names.
    #[arg(long, value_name = "URL")]
    pub redis_url: Option<String>,
    /// Make a random key and print a token and a page to try things with [key: node.dev].
    #[arg(long)]
    pub dev: bool,
}

impl Args {
    /// Loads the configuration from all sources.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(&self) -> Result<Loaded, Faults> {
        Config::load(&Sources::of_process(self.config.clone(), self.overrides()))
    }

    fn overrides(&self) -> Vec<Override> {
        let kind = self.redis_url.as_ref().map(|_| "redis".to_owned());
        let flags = [
            ("--listen", "server.address", self.listen.clone()),
            ("--internal-listen", "internal.listen", self.internal_listen.clone()),
            ("--redis-url", "broker.redis.url", self.redis_url.clone()),
            ("--redis-url", "broker.kind", kind),
            ("--dev", "node.dev", self.dev.then(|| "true".to_owned())),
        ];
        flags.into_iter().filter_map(|(flag, key, value)| Some(Override { flag, key, value: value? })).collect()
    }
}

/// Starts telemetry and a node, serves until a signal, drains.
///
/// # Errors
/// What kept the node from starting, for people.
pub fn run(config: Config) -> anyhow::Result<()> {
    let instance = config.node.id.clone().unwrap_or_else(|| format!("node-{}", uuid::Uuid::new_v4().simple()));
    let telemetry = telemetry::start(&config.telemetry, &instance)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot be started")?;
    let outcome = runtime.block_on(serve(config, instance));
    telemetry.shutdown();
    outcome
}

async fn serve(config: Config, instance: String) -> anyhow::Result<()> {
    // Taken before the node starts, so that no signal is missed once it serves.
    let mut terminate = signal(SignalKind::terminate()).context("signals cannot be waited for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals cannot be waited for")?;
    let node = Node::start(config, instance).await?;
    announce(&node)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Whoever asks again does not want to wait for the drain.
    tokio::select! {
        () = node.drain() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Says where everything is; in development mode with a token to begin with.
fn announce(node: &Node) -> anyhow::Result<()> {
    tracing::info!(address = %node.address(), internal = %node.internal_address(), "serving");
    if node.config().node.dev {
        let token = development_token(node)?;
        let address = node.address();
        println!("roomcast is running in development mode, with a key of its own.\n");
        println!("  Open    http://{address}/#token={token}");
        println!("  Connect ws://{address}{}", node.config().websocket.path);
        println!("  Token   {token}\n");
    }
    Ok(())
}

/// May do everything in the org `demo`, and everything over REST.
fn development_token(node: &Node) -> anyhow::Result<String> {
    let auth = &node.config().auth;
    let rights = ["subscribe", "publish", "presence", "history"].map(|right| format!("{right}:*:{DEVELOPMENT_ORG}:**"));
    let request = MintRequest {
        sub: "developer".to_owned(),
        org: Some(DEVELOPMENT_ORG.to_owned()),
        grants: Some(rights.to_vec()),
        scopes: vec![Scope::Admin],
        token_id: None,
        issued_at_s: crate::clock::unix_s(),
        lifetime_s: DEVELOPMENT_TOKEN_LIFETIME_S,
    };
    Ok(mint(&request, auth, &SigningKey::of_config(auth)?)?)
}
