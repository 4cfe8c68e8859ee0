//! Nodes behind a real load balancer are replaced one after another under load: as an update does, by asking them to go, and as failures do,
//! by killing them. A ledger knows who was owed what.

mod crowd;
mod moves;
mod outcome;
mod publishers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::files;
use crate::option::positive;
use crate::progress::{Progress, Status};
use crate::report::Report;
use crate::stop;
use crate::target::balancer::Balancer;
use crate::target::{Gateway, Target};
use crate::trial::{Common, report};
use crowd::Crowd;
pub(super) use outcome::FIGURES;
use outcome::{Stretch, tell};

/// Sockets that the balancer may need beside those of clients: publishers, and what has not ended yet.
const SOCKETS_BESIDES: usize = 200;
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Longer than the drains of the defaults.
const EXIT_MAX: Duration = Duration::from_secs(60);

/// How nodes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Asked to: each drains, and is replaced when it has gone.
    Sigterm,
    /// Killed, and replaced a while later.
    Sigkill,
}

/// What stands in front of nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Front {
    #[default]
    Haproxy,
}

/// What to run. Nodes are started by the tool, so it needs --gateway, --gateways of at least 2 and --redis. All clients and publishers come by
/// the balancer, but for publishers that call the function in Redis.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Rolling {
    /// The binary that nodes run at first; by each replacement one of them comes to --gateway.
    #[arg(long, value_name = "BINARY", requires = "gateway")]
    pub from: Option<PathBuf>,
    /// Ways in which all nodes go, one after another, and then by the next way.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "sigterm,sigkill")]
    pub ways: Vec<Way>,
    /// What stands in front of the nodes; it must be installed.
    #[arg(long, value_enum, default_value_t)]
    pub balancer: Front,
    /// Its configuration, of the form of deploy/haproxy.cfg, which is taken otherwise.
    #[arg(long, value_name = "FILE")]
    pub balancer_config: Option<PathBuf>,
    #[arg(long, default_value_t = 200, value_parser = positive::<usize>)]
    pub clients: usize,
    /// Orgs that the clients belong to.
    #[arg(long, default_value_t = 4, value_parser = positive::<usize>)]
    pub orgs: usize,
    /// Publications per second, over all orgs: by sessions, by REST, and by the function in Redis.
    #[arg(long, default_value_t = 60, value_parser = positive::<u32>)]
    pub rate: u32,
    /// How long a killed node stays away, in milliseconds.
    #[arg(long, default_value_t = 3_000)]
    pub down_ms: u64,
    /// How long everything goes on between two replacements, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    pub between_ms: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub common: Common,
}

impl Rolling {
    /// # Errors
    /// When something does not start, a node does not go, or clients do not come in time.
    pub fn run(&self, progress: Progress) -> anyhow::Result<Report> {
        let args = &self.common.target;
        let Some(binary) = &args.gateway else { bail!("nodes that run elsewhere are not ours to replace: give --gateway") };
        ensure!(args.gateways > 1, "while the only node is replaced nobody is served: give --gateways of at least 2, and --redis");
        files::raise(self.clients + SOCKETS_BESIDES)?;
        let mut first = args.clone();
        first.gateway = Some(self.from.as_ref().unwrap_or(binary).clone());
        let mut target = first.start()?;
        let balancer = Balancer::start(&target.gateways, self.clients * 2 + SOCKETS_BESIDES, self.balancer_config.as_deref())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("there is no runtime")?;
        let _within = runtime.enter();
        let mut report = report("rolling", self);
        let begun = Instant::now();
        let crowd = Crowd::comes(&target, balancer.address, self.clients, self.orgs)?;
        let mut watch = Watch { crowd, progress, patience: Duration::from_secs(self.common.deadline_s), clients: self.clients };
        watch.everybody_is_in()?;
        watch.crowd.publishes(&target, balancer.address, self.orgs, self.rate)?;
        let mut stretches = Vec::new();
        for way in &self.ways {
            stretches.push(self.replace_all(*way, binary, &mut target, &balancer, &mut watch)?);
        }
        watch.crowd.falls_silent();
        watch.until("what is published is acknowledged", Crowd::is_silent)?;
        let deadline = Instant::now() + watch.patience;
        while watch.crowd.owed() > 0 && Instant::now() < deadline {
            watch.look("settling")?;
        }
        report.elapsed_s = begun.elapsed().as_secs_f64();
        tell(&watch.crowd, &stretches, &mut report);
        Ok(report)
    }

    /// All nodes go by one way, one after another, and are replaced by `binary`.
    fn replace_all(&self, way: Way, binary: &Path, target: &mut Target, balancer: &Balancer, watch: &mut Watch) -> anyhow::Result<Stretch> {
        let all = target.gateways.len();
        let (begun, before) = (Instant::now(), balancer.stats().unwrap_or_default());
        for number in 0..all {
            watch.go_on(Duration::from_millis(self.between_ms))?;
            let gateway = &mut target.gateways[number];
            match way {
                Way::Sigterm => gateway.terminate()?,
                Way::Sigkill => gateway.kill()?,
            }
            watch.gone(gateway)?;
            if way == Way::Sigkill {
                watch.go_on(Duration::from_millis(self.down_ms))?;
            }
            gateway.replace(binary)?;
            watch.until("the balancer has found the node", |_| balancer.stats().is_some_and(|stats| stats.up() == all))?;
        }
        watch.everybody_is_in()?;
        watch.go_on(Duration::from_millis(self.between_ms))?;
        let counted = balancer.stats().unwrap_or_default().since(&before);
        Ok(Stretch { way, begun, ended: Instant::now(), counted })
    }
}

/// Waits for things, and tells meanwhile how far the run is.
struct Watch {
    crowd: Crowd,
    progress: Progress,
    /// How long anything may take.
    patience: Duration,
    clients: usize,
}

impl Watch {
    /// One look at the world, and a moment's wait.
    fn look(&mut self, phase: &str) -> anyhow::Result<()> {
        stop::check()?;
        let crowd = &self.crowd;
        let status = || Status { phase: phase.to_owned(), connections: crowd.present() as u64, ..Status::default() };
        self.progress.tell(status)?;
        std::thread::park_timeout(LOOK);
        Ok(())
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&Crowd) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.patience;
        while !is_so(&self.crowd) {
            ensure!(Instant::now() < deadline, "{what}: not within {:?}", self.patience);
            self.look("replacing")?;
        }
        Ok(())
    }

    fn everybody_is_in(&mut self) -> anyhow::Result<()> {
        let clients = self.clients;
        self.until("everybody is in", |crowd| crowd.present() == clients)
    }

    fn go_on(&mut self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.look("replacing")?;
        }
        Ok(())
    }

    fn gone(&mut self, gateway: &mut Gateway) -> anyhow::Result<()> {
        let deadline = Instant::now() + EXIT_MAX;
        while !gateway.has_gone()? {
            ensure!(Instant::now() < deadline, "a node that was told to go has not gone within {EXIT_MAX:?}");
            self.look("draining")?;
        }
        Ok(())
    }
}
