//! Nodes behind a real load balancer are replaced one after another under load: as an update does, by asking them to go, and as failures do,
//! by killing them. A ledger knows who was owed what.

mod crowd;
mod moves;
mod publishers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::clock::micros;
use crate::figures::{Figures, Kind, lower};
use crate::files;
use crate::ledger::Verdict;
use crate::option::positive;
use crate::progress::{Progress, Status};
use crate::report::number::count;
use crate::report::{Counts, Latency, Report};
use crate::stop;
use crate::target::balancer::{Balancer, Stats};
use crate::target::{Gateway, Target};
use crate::trial::{Common, report};
use crowd::Crowd;
use moves::{Away, Failure, told};

/// Sockets that the balancer may need beside those of clients: publishers, and what has not ended yet.
const SOCKETS_BESIDES: usize = 200;
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Longer than the drains of the defaults.
const EXIT_MAX: Duration = Duration::from_secs(60);
/// Publications missing at the end that are named.
const NAMED_MAX: usize = 5;

const DRAINED: Figured = Figured {
    p50: lower("term_away_p50_ms", "SIGTERM: end of a session → in again, p50", "ms"),
    p99: lower("term_away_p99_ms", "SIGTERM: end of a session → in again, p99", "ms"),
    max: lower("term_away_max_ms", "SIGTERM: end of a session → in again, longest", "ms"),
    unasked: lower("term_unasked_p99_ms", "SIGTERM: the same without the wait that the node asked for, p99", "ms"),
    failures: lower("term_connect_failures", "SIGTERM: attempts to connect that came to nothing", ""),
    torn: lower("term_torn", "SIGTERM: sessions that ended without a close frame", ""),
};
const KILLED: Figured = Figured {
    p50: lower("kill_away_p50_ms", "SIGKILL: end of a session → in again, p50", "ms"),
    p99: lower("kill_away_p99_ms", "SIGKILL: end of a session → in again, p99", "ms"),
    max: lower("kill_away_max_ms", "SIGKILL: end of a session → in again, longest", "ms"),
    unasked: lower("kill_unasked_p99_ms", "SIGKILL: the same without the wait that a node asked for, p99", "ms"),
    failures: lower("kill_connect_failures", "SIGKILL: attempts to connect that came to nothing", ""),
    torn: lower("kill_torn", "SIGKILL: sessions that ended without a close frame", ""),
};
const ACK_P99: Kind = lower("publish_p99_ms", "first attempt → acknowledgement, p99", "ms");
const ACK_MAX: Kind = lower("publish_max_ms", "first attempt → acknowledgement, longest", "ms");
const RETRIES: Kind = lower("publish_retries", "attempts to publish that were made again", "");
pub(super) const FIGURES: [Kind; 15] = [
    DRAINED.p50,
    DRAINED.p99,
    DRAINED.max,
    DRAINED.unasked,
    DRAINED.failures,
    DRAINED.torn,
    KILLED.p50,
    KILLED.p99,
    KILLED.max,
    KILLED.unasked,
    KILLED.failures,
    KILLED.torn,
    ACK_P99,
    ACK_MAX,
    RETRIES,
];

/// The figures of one way to go.
struct Figured {
    p50: Kind,
    p99: Kind,
    max: Kind,
    unasked: Kind,
    failures: Kind,
    torn: Kind,
}

/// How nodes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Asked to: each drains, and is replaced when it has gone.
    Sigterm,
    /// Killed, and replaced a while later.
    Sigkill,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Sigterm => "SIGTERM",
            Self::Sigkill => "SIGKILL",
        }
    }

    fn figured(self) -> &'static Figured {
        match self {
            Self::Sigterm => &DRAINED,
            Self::Sigkill => &KILLED,
        }
    }
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

/// What one way came to.
struct Stretch {
    way: Way,
    begun: Instant,
    ended: Instant,
    counted: Stats,
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

/// Puts into the report what the run came to.
fn tell(crowd: &Crowd, stretches: &[Stretch], report: &mut Report) {
    let (mut figures, moves) = (Figures::default(), crowd.moves());
    let mut drained_torn = 0;
    for Stretch { way, begun, ended, counted } in stretches {
        let time = *begun..*ended;
        let aways: Vec<Away> = moves.iter().flat_map(|moves| &moves.aways).filter(|away| time.contains(&away.ended)).copied().collect();
        let failures: Vec<&Failure> = moves.iter().flat_map(|moves| &moves.failures).filter(|failure| time.contains(&failure.at)).collect();
        let torn = aways.iter().filter(|away| away.torn).count();
        let figured = way.figured();
        let took = histogram(aways.iter().map(|away| away.took));
        for (kind, quantile) in [(figured.p50, 0.5), (figured.p99, 0.99), (figured.max, 1.0)] {
            figures.add(kind, took.value_at_quantile(quantile) as f64 / 1_000.0);
        }
        let unasked = histogram(aways.iter().map(|away| away.took.saturating_sub(away.asked)));
        figures.add(figured.unasked, unasked.value_at_quantile(0.99) as f64 / 1_000.0);
        figures.add(figured.failures, failures.len() as f64);
        figures.add(figured.torn, torn as f64);
        let name = way.name();
        report.latencies.push(Latency::of(&format!("end of a session → in again, {name}"), &took));
        report.remarks.push(format!(
            "{name}: {} sessions moved; attempts that came to nothing: {}",
            count(aways.len() as u64),
            told(failures)
        ));
        report.remarks.push(format!(
            "{name}, unseen by clients: {} attempts of the balancer to reach a node failed, {} requests were tried again, {} of them at another \
             node; in a node's place it answered {}",
            count(counted.failed),
            count(counted.retried + counted.redispatched),
            count(counted.redispatched),
            count(counted.refused)
        ));
        drained_torn += if *way == Way::Sigterm { torn as u64 } else { 0 };
    }
    tell_publishing(crowd, &mut figures, report);
    let verdict = crowd.ledger().verdict();
    report.ledger = counts(&verdict, drained_torn);
    if verdict.silent > 0 {
        report.remarks.push(format!("never came to somebody who was owed it: {}, …", crowd.owed_marks(NAMED_MAX).join(", ")));
    }
    report.figures = figures.into_figures();
}

fn tell_publishing(crowd: &Crowd, figures: &mut Figures, report: &mut Report) {
    let attempts = crowd.attempts();
    let (acked, again): (Vec<_>, Vec<_>) = attempts.iter().partition(|attempt| attempt.why.is_empty());
    let took = histogram(acked.iter().map(|attempt| attempt.over - attempt.first));
    figures.add(ACK_P99, took.value_at_quantile(0.99) as f64 / 1_000.0);
    figures.add(ACK_MAX, took.max() as f64 / 1_000.0);
    figures.add(RETRIES, again.len() as f64);
    report.latencies.push(Latency::of("first attempt → acknowledgement", &took));
    let mut whys: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    again.iter().for_each(|attempt| *whys.entry(&attempt.why).or_default() += 1);
    let words: Vec<String> = whys.iter().map(|(why, count)| format!("{count} × {why}")).collect();
    if !words.is_empty() {
        report.remarks.push(format!("attempts to publish that were made again, under the same key: {}", words.join(", ")));
    }
}

/// The ledger's words in those of a report. Everything was sent again until it was acknowledged, so what is refused in the end is none.
fn counts(verdict: &Verdict, drained_torn: u64) -> Counts {
    Counts {
        published: verdict.publishes,
        received: verdict.receipts,
        lost: verdict.silent,
        behind: verdict.reorder + verdict.dup + verdict.twice,
        misrouted: verdict.cross + verdict.stray,
        gaps: verdict.gaps,
        closed: drained_torn,
        refused: verdict.refused + verdict.unknown,
    }
}

/// In microseconds, up to a minute.
fn histogram(times: impl Iterator<Item = Duration>) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_max(600_000_000, 3).expect("three digits of ten minutes are within what a histogram can hold");
    times.for_each(|time| histogram.saturating_record(micros(time)));
    histogram
}
