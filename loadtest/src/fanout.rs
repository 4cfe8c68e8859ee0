//! The fan-out scenario: N subscribers of one room and M publications, some of them under way at a time or at a fixed rate; what the
//! server pays for each delivery, beside the floor, and how long deliveries take.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::json;

use crate::floor::{Floor, Writes};
use crate::host::{Host, Usage};
use crate::swarm::{Door, Expected, Publisher, Swarm, Tally};

/// The longest that the tool waits in one turn, so that it looks at the clock.
const TURN: Duration = Duration::from_millis(1);
const EVENT: &str = "kpi:update";

/// What to run. The token must allow to subscribe to the room and to publish into it.
#[derive(Clone, Debug, clap::Args)]
pub struct Fanout {
    /// Addresses of running nodes; subscribers spread over them.
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:8080", conflicts_with = "gateway")]
    pub nodes: Vec<SocketAddr>,
    #[arg(long, env = "ROOMCAST_TOKEN", hide_env_values = true, required_unless_present = "gateway")]
    pub token: Option<String>,
    /// A gateway's binary, to be started for this run on the embedded broker; its processor time is counted.
    #[arg(long)]
    pub gateway: Option<PathBuf>,
    /// Settings for that gateway, as `LIMITS__PING_INTERVAL_MS=60000`; may be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "gateway", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Processor for the server under test, and for the floor; the tool takes the next one.
    #[arg(long, requires = "gateway")]
    pub pin: Option<usize>,
    /// The room, in short form.
    #[arg(long, default_value = "kpi:demo:load")]
    pub room: String,
    #[arg(long, default_value_t = 1_000)]
    pub subscribers: usize,
    #[arg(long, default_value_t = 2_000)]
    pub publications: u64,
    /// Size of the filling of each publication, in bytes.
    #[arg(long, default_value_t = 64)]
    pub bytes: usize,
    /// Publications under way at a time: a further one follows when everybody has the oldest.
    #[arg(long, default_value_t = 1)]
    pub outstanding: u64,
    /// Let the next ones follow only when everybody has all that are under way: bursts.
    #[arg(long)]
    pub burst: bool,
    /// Publications per second instead, whatever is under way; latency counts from the time at which each was due.
    #[arg(long, conflicts_with_all = ["outstanding", "burst"])]
    pub rate: Option<u32>,
    /// Measures the floor too, with the same number and size of frames on as many sockets.
    #[arg(long)]
    pub floor: bool,
    /// How often to measure; medians are told.
    #[arg(long, default_value_t = 1)]
    pub runs: usize,
    /// How long one measurement may take, in seconds.
    #[arg(long, default_value_t = 60)]
    pub deadline_s: u64,
    /// Prints JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Figures of one measurement, or the medians of several.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Figures {
    pub deliveries: u64,
    pub deliveries_per_s: f64,
    pub bytes_per_delivery: f64,
    /// Of the server; not known of nodes that the tool has not started.
    pub cpu_us_per_delivery: Option<f64>,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub subscribers: usize,
    pub publications: u64,
    pub filling_bytes: usize,
    pub gateway: Figures,
    pub floor_single: Option<Figures>,
    pub floor_concatenated: Option<Figures>,
    /// Everybody got everything of their room once and in order.
    pub clean: bool,
    pub lost: u64,
    pub behind: u64,
    pub misrouted: u64,
    pub gaps: u64,
    pub closed: u64,
}

/// How publications follow each other.
#[derive(Clone, Copy)]
enum Pace {
    Window { outstanding: u64, burst: bool },
    Rate(u32),
}

impl Pace {
    /// How many more may follow now.
    fn more(self, published: u64, complete: u64, since: Duration) -> u64 {
        match self {
            Self::Window { burst: true, .. } if complete < published => 0,
            Self::Window { outstanding, .. } => (complete + outstanding).saturating_sub(published),
            Self::Rate(rate) => ((since.as_secs_f64() * f64::from(rate)) as u64 + 1).saturating_sub(published),
        }
    }

    /// When publication `number` is due, in microseconds after the beginning; `None` where it is as soon as it may.
    fn due_us(self, number: u64) -> Option<u64> {
        match self {
            Self::Window { .. } => None,
            Self::Rate(rate) => Some(number * 1_000_000 / u64::from(rate.max(1))),
        }
    }
}

impl Fanout {
    /// Connects everybody, publishes, waits until all have all or the deadline passes.
    ///
    /// # Errors
    /// When somebody cannot connect, or a publication is refused.
    pub fn run(&self) -> anyhow::Result<Report> {
        let host = self.gateway.as_ref().map(|binary| Host::start(binary, self.pin, &self.settings)).transpose()?;
        if let Some(cpu) = self.pin {
            Usage::of_this_thread()?.pin(cpu + 1)?;
        }
        let nodes = host.as_ref().map_or_else(|| self.nodes.clone(), |host| vec![host.address]);
        let token = host.as_ref().map(|host| host.token.clone()).or_else(|| self.token.clone()).context("a token is needed")?;
        let usage = host.as_ref().map(Host::usage);
        let mut swarm = Swarm::new(Expected::publications(EVENT, &self.room))?;
        for number in 0..self.subscribers {
            let introduction = json!({ "event": "authenticate", "data": { "token": token, "rooms": [self.room] } }).to_string();
            swarm.join(&Door { address: nodes[number % nodes.len()], path: "/ws", introduction }).with_context(|| {
                format!("subscriber {number} of {} was not let in; do the limits of connections allow so many?", self.subscribers)
            })?;
        }
        let introduction = json!({ "event": "authenticate", "data": { "token": token } }).to_string();
        let door = Door { address: nodes[0], path: "/ws", introduction };
        let mut publisher = Publisher::new(swarm.open(&door).context("the publisher was not let in")?.0, EVENT, &self.room, self.bytes)?;
        let mut runs = Vec::new();
        let mut total = Tally::default();
        for _ in 0..self.runs.max(1) {
            runs.push(self.measure(&mut swarm, &mut publisher, usage.as_ref())?);
            swarm.tally.lost += swarm.missing(publisher.published);
            total.add(&std::mem::take(&mut swarm.tally));
            if !total.is_clean() {
                break;
            }
        }
        drop((swarm, host));
        let gateway = median(&runs);
        let (floor_single, floor_concatenated) = if self.floor { self.floors(&gateway)? } else { (None, None) };
        Ok(Report {
            subscribers: self.subscribers,
            publications: self.publications,
            filling_bytes: self.bytes,
            gateway,
            floor_single,
            floor_concatenated,
            clean: total.is_clean(),
            lost: total.lost,
            behind: total.behind,
            misrouted: total.misrouted,
            gaps: total.gaps,
            closed: total.closed,
        })
    }

    fn pace(&self) -> Pace {
        self.rate.map_or(Pace::Window { outstanding: self.outstanding.max(1), burst: self.burst }, Pace::Rate)
    }

    fn measure(&self, swarm: &mut Swarm, publisher: &mut Publisher, usage: Option<&Usage>) -> anyhow::Result<Figures> {
        let (first, begun, zero_us) = (publisher.published, Instant::now(), swarm.now_us());
        let cpu_ns = usage.map(Usage::cpu_ns);
        let due = self.publications * swarm.len() as u64;
        while swarm.tally.received < due {
            if begun.elapsed() > Duration::from_secs(self.deadline_s) {
                // What is missing then is told as lost.
                break;
            }
            let published = publisher.published - first;
            let complete = swarm.tally.received / swarm.len().max(1) as u64;
            let more = self.pace().more(published, complete, begun.elapsed()).min(self.publications - published);
            for number in published..published + more {
                let sent_us = self.pace().due_us(number).map_or_else(|| swarm.now_us(), |due_us| zero_us + due_us);
                publisher.publish(1, sent_us);
            }
            publisher.pump()?;
            if let Some(refusal) = &publisher.refusal {
                bail!("a publication was refused: {refusal}");
            }
            swarm.turn(TURN)?;
        }
        let cpu_ns = usage.zip(cpu_ns).map(|(usage, before)| usage.cpu_ns() - before);
        Ok(figures(&swarm.tally, begun.elapsed(), cpu_ns))
    }

    /// The floor's figures: with one write for each frame, and, where several are under way, with one for all of them.
    fn floors(&self, gateway: &Figures) -> anyhow::Result<(Option<Figures>, Option<Figures>)> {
        let frame = frame_of(gateway.bytes_per_delivery.round() as usize);
        let floor = Floor::start(self.subscribers, frame, self.pin)?;
        let mut swarm = Swarm::new(Expected::Frames)?;
        for _ in 0..self.subscribers {
            swarm.adopt(TcpStream::connect(floor.address)?, Vec::new())?;
        }
        let mut measured = |writes| -> anyhow::Result<Figures> {
            let mut runs = Vec::new();
            for _ in 0..self.runs.max(1) {
                runs.push(self.measure_floor(&mut swarm, &floor, writes)?);
                swarm.tally = Tally::default();
            }
            Ok(median(&runs))
        };
        let single = measured(Writes::Single)?;
        let concatenated = (self.outstanding > 1).then(|| measured(Writes::Concatenated)).transpose()?;
        Ok((Some(single), concatenated))
    }

    fn measure_floor(&self, swarm: &mut Swarm, floor: &Floor, writes: Writes) -> anyhow::Result<Figures> {
        let (begun, cpu_ns, mut ordered) = (Instant::now(), floor.usage.cpu_ns(), 0);
        while swarm.tally.received < self.publications * swarm.len() as u64 {
            if begun.elapsed() > Duration::from_secs(self.deadline_s) {
                bail!("the floor was not measured within {} s", self.deadline_s);
            }
            let complete = swarm.tally.received / swarm.len().max(1) as u64;
            let more = self.pace().more(ordered, complete, begun.elapsed()).min(self.publications - ordered);
            // What is concatenated is whole windows, as a server can have them at best.
            if more > 0 && (writes == Writes::Single || complete == ordered) {
                floor.write(more, writes);
                ordered += more;
            }
            swarm.turn(TURN)?;
        }
        Ok(figures(&swarm.tally, begun.elapsed(), Some(floor.usage.cpu_ns() - cpu_ns)))
    }
}

/// A text frame that is `bytes` long, header included (RFC 6455 section 5.2).
fn frame_of(bytes: usize) -> Vec<u8> {
    let mut frame = match bytes {
        short @ 0..=127 => vec![0x81, short.saturating_sub(2) as u8],
        long => {
            let length = u16::try_from(long - 4).unwrap_or(u16::MAX).to_be_bytes();
            vec![0x81, 126, length[0], length[1]]
        }
    };
    frame.resize(bytes.max(2), b'x');
    frame
}

fn figures(tally: &Tally, elapsed: Duration, cpu_ns: Option<u64>) -> Figures {
    let deliveries = tally.received.max(1) as f64;
    Figures {
        deliveries: tally.received,
        deliveries_per_s: tally.received as f64 / elapsed.as_secs_f64(),
        bytes_per_delivery: tally.bytes as f64 / deliveries,
        cpu_us_per_delivery: cpu_ns.map(|cpu_ns| cpu_ns as f64 / 1_000.0 / deliveries),
        p50_us: tally.latency_us.value_at_quantile(0.5),
        p99_us: tally.latency_us.value_at_quantile(0.99),
        max_us: tally.latency_us.max(),
    }
}

/// Figure by figure.
fn median(runs: &[Figures]) -> Figures {
    let middle = |figure: &dyn Fn(&Figures) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(figure).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let costs = runs.iter().all(|run| run.cpu_us_per_delivery.is_some());
    Figures {
        deliveries: runs.iter().map(|run| run.deliveries).sum(),
        deliveries_per_s: middle(&|run| run.deliveries_per_s),
        bytes_per_delivery: middle(&|run| run.bytes_per_delivery),
        cpu_us_per_delivery: costs.then(|| middle(&|run| run.cpu_us_per_delivery.unwrap_or_default())),
        p50_us: middle(&|run| run.p50_us as f64) as u64,
        p99_us: middle(&|run| run.p99_us as f64) as u64,
        max_us: middle(&|run| run.max_us as f64) as u64,
    }
}
