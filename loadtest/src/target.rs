//! What is put under load: nodes that run somewhere, or gateways (and a Redis) that the tool starts for one run.
//!
//! The tool talks to the addresses that it is given and to loopback, and to nothing else.

mod address;
pub mod balancer;
mod entrance;
mod gateway;
mod metrics;
mod process;
mod redis;
mod tokens;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
pub use entrance::Entrance;
pub use gateway::Gateway;
use metrics::Buckets;
use redis::Redis;
use serde::Serialize;
pub use tokens::Tokens;

use crate::option::{Setting, node, positive};
use crate::report::Latency;
use crate::resp::Connection;
use crate::swarm::Door;
use crate::usage::Usage;

/// Histograms of nodes (docs/metrics.md), and what they tell.
const STAGES: [(&str, &str); 2] = [("roomcast_lag_seconds", "log → node"), ("roomcast_delivery_seconds", "log → write")];

/// Which nodes, and how members spread over them.
#[derive(Clone, Debug, clap::Args, Serialize)]
#[command(next_help_heading = "What is put under load")]
pub struct TargetArgs {
    /// Addresses of running nodes as host:port, with commas between; members spread over them. Of a name all addresses are taken: that of
    /// a headless service stands for all its pods.
    #[arg(long, value_delimiter = ',', value_name = "HOST:PORT", default_value = "127.0.0.1:8080", conflicts_with = "gateway",
        value_parser = node)]
    pub nodes: Vec<String>,
    /// For running nodes: a token that allows to subscribe and to publish in its org.
    #[arg(long, env = "ROOMCAST_TOKEN", hide_env_values = true)]
    #[serde(skip)]
    pub token: Option<String>,
    /// For running nodes: their secret for HS256, to sign tokens for many users and orgs with; a token goes before it.
    #[arg(long, env = "ROOMCAST_AUTH__SECRET", hide_env_values = true)]
    #[serde(skip)]
    pub secret: Option<String>,
    /// For running nodes: their Redis, to publish into and to count its work.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "gateway")]
    pub redis_address: Option<SocketAddr>,
    /// A gateway's binary, to be started for this run; its processor time and memory are measured.
    #[arg(long, value_name = "BINARY")]
    pub gateway: Option<PathBuf>,
    /// How many gateways to start; more than one need --redis.
    #[arg(long, default_value_t = 1, requires = "gateway", value_parser = positive::<usize>)]
    pub gateways: usize,
    /// Starts a redis-server without persistence too, and the gateways on it. Without it one gateway runs on the embedded broker.
    #[arg(long, requires = "gateway")]
    pub redis: bool,
    /// Settings for the gateways, as `LIMITS__PING_INTERVAL_MS=60000`; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "gateway")]
    pub settings: Vec<Setting>,
    /// Processor for what is started and for the floor; the tool and Redis take the next one.
    #[arg(long, value_name = "PROCESSOR", requires = "gateway")]
    pub pin: Option<usize>,
    /// How members spread over nodes.
    #[arg(long, value_enum, default_value_t)]
    pub spread: Spread,
}

/// Which node a member connects to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spread {
    /// One after another.
    #[default]
    RoundRobin,
    /// All to the first, while publishers use the last: everything crosses from node to node.
    Pinned,
}

/// What is under load. What was started for it ends with it.
pub struct Target {
    // Dropped in this order: gateways before their Redis.
    /// Those that were started for this run, in the order of `nodes`.
    pub gateways: Vec<Gateway>,
    _redis: Option<Redis>,
    pub nodes: Vec<SocketAddr>,
    pub redis_address: Option<SocketAddr>,
    pub tokens: Tokens,
    spread: Spread,
    /// The processor of the server under test.
    pub pin: Option<usize>,
}

impl TargetArgs {
    /// Starts what is to be started.
    ///
    /// # Errors
    /// When that fails, or nobody would be let in.
    pub fn start(&self) -> anyhow::Result<Target> {
        let Self { spread, pin, .. } = *self;
        let Some(binary) = &self.gateway else {
            let tokens = match (&self.token, &self.secret) {
                (Some(token), _) => Tokens::given(token)?,
                (None, Some(secret)) => Tokens::Signed { secret: secret.clone() },
                (None, None) => bail!("running nodes let nobody in without a token: give --token or --secret, or start one with --gateway"),
            };
            let (nodes, redis_address) = (address::found(&self.nodes)?, self.redis_address);
            return Ok(Target { gateways: Vec::new(), _redis: None, nodes, redis_address, tokens, spread, pin: None });
        };
        if self.gateways == 0 || (self.gateways > 1 && !self.redis) {
            bail!("{} gateways cannot share the embedded broker; add --redis, or start one", self.gateways);
        }
        if let Some(cpu) = pin {
            Usage::of_this_thread()?.pin(cpu + 1)?;
        }
        let redis = self.redis.then(|| Redis::start(pin.map(|cpu| cpu + 1))).transpose()?;
        let secret = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        let mut settings = vec![("AUTH__SECRET".to_owned(), secret.clone())];
        if let Some(redis) = &redis {
            settings.push(("BROKER__KIND".to_owned(), "redis".to_owned()));
            settings.push(("BROKER__REDIS__URL".to_owned(), format!("redis://{}", redis.address)));
        }
        settings.extend(self.settings.iter().map(|Setting(name, value)| (name.clone(), value.clone())));
        let gateways = (0..self.gateways).map(|_| Gateway::start(binary, pin, &settings)).collect::<anyhow::Result<Vec<_>>>()?;
        let nodes = gateways.iter().map(|gateway| gateway.address).collect();
        let redis_address = redis.as_ref().map(|redis| redis.address);
        Ok(Target { gateways, _redis: redis, nodes, redis_address, tokens: Tokens::Signed { secret }, spread, pin })
    }
}

impl Target {
    /// Which node member `number` comes in by.
    pub fn door_of(&self, number: usize) -> usize {
        match self.spread {
            Spread::RoundRobin => number % self.nodes.len(),
            Spread::Pinned => 0,
        }
    }

    /// Which node publishers use.
    pub fn publishers_door(&self) -> usize {
        match self.spread {
            Spread::RoundRobin => 0,
            Spread::Pinned => self.nodes.len() - 1,
        }
    }

    pub fn doors(&self, deflate: bool) -> Vec<Door> {
        self.nodes.iter().map(|address| Door::new(*address, deflate)).collect()
    }

    /// Whether the nodes' clock is this machine's.
    pub fn is_here(&self) -> bool {
        self.nodes.iter().all(|node| node.ip().is_loopback())
    }

    /// The cost of each node, in the order of `nodes`; empty for nodes that run somewhere.
    pub fn usages(&self) -> Vec<Usage> {
        self.gateways.iter().map(Gateway::usage).collect()
    }

    /// What all started gateways count under this name, added up; `None` for nodes that run somewhere.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let values = self.gateways.iter().map(|gateway| metrics::value(&gateway.metrics()?, name));
        (!self.gateways.is_empty()).then(|| values.map(Option::unwrap_or_default).sum())
    }

    /// The stages that all started gateways have measured themselves, since their start: it was for this run.
    pub fn stages(&self) -> Vec<Latency> {
        let texts: Vec<String> = self.gateways.iter().filter_map(Gateway::metrics).collect();
        let stage = |(name, stage): (&str, &str)| {
            let mut buckets = Buckets::default();
            texts.iter().for_each(|text| buckets.add(text, name));
            buckets.latency(stage)
        };
        STAGES.into_iter().filter_map(stage).collect()
    }

    /// A connection to the nodes' Redis, where it is known.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn redis_connection(&self) -> anyhow::Result<Option<Connection>> {
        self.redis_address.map(|address| Connection::open(address).with_context(|| format!("no Redis answers at {address}"))).transpose()
    }
}
