//! What every scenario is made of: the target is started, a swarm is let in and driven, the meter runs along, and a report comes out.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::choice::Choice;
use crate::clock::Clock;
use crate::drive::Drive;
use crate::figures::{Figures, Kind};
use crate::files;
use crate::meter::Meter;
use crate::option::positive;
use crate::pace::Pace;
use crate::phase::{Phase, Stretch};
use crate::progress::Progress;
use crate::report::Report;
use crate::setting;
use crate::swarm::{Invitation, Register, Span, Swarm, Tally};
use crate::target::{Target, TargetArgs};

/// Members that are let in at a time where the scenario is about something else.
pub const AT_ONCE: usize = 64;

/// What all scenarios take.
#[derive(Clone, Debug, clap::Args, Serialize)]
#[command(next_help_heading = "Measuring")]
pub struct Common {
    /// How often to measure; medians are told. Where there is a floor, it is measured in turn with the gateway. Idle sessions, churn, rolling and
    /// soak are measured once.
    #[arg(long, default_value_t = 1, value_parser = positive::<usize>)]
    pub runs: usize,
    /// How long one measurement may take, in seconds; what is missing then is told as lost.
    #[arg(long, default_value_t = 60, value_parser = positive::<u64>)]
    pub deadline_s: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub target: TargetArgs,
}

/// A scenario that is under way.
pub struct Trial {
    pub target: Target,
    pub meter: Meter,
    pub clock: Clock,
    pub figures: Figures,
    /// Of all runs so far.
    pub total: Tally,
    /// Of the floor's runs.
    pub floors: Tally,
    report: Report,
    begun: Instant,
    /// How long one measurement may take.
    patience: Duration,
}

impl Trial {
    /// Starts the target; the scenario of this name will need so many sockets.
    ///
    /// # Errors
    /// When the target does not start, or there are too few files for the sockets.
    pub fn begin(scenario: &str, options: &impl Serialize, common: &Common, sockets: usize, progress: Progress) -> anyhow::Result<Self> {
        files::raise(sockets)?;
        let target = common.target.start()?;
        let clock = Clock::start(progress.clock_offset_us());
        let meter = Meter::start(&target, progress)?;
        let report = report(scenario, options);
        let (figures, total, floors) = Default::default();
        let patience = Duration::from_secs(common.deadline_s);
        Ok(Self { target, meter, clock, figures, total, floors, report, begun: Instant::now(), patience })
    }

    /// When what begins now must be over.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// A swarm that comes in by the target's nodes.
    ///
    /// # Errors
    /// When the operating system has no poll to give.
    pub fn swarm(&self, register: Register, deflate: bool) -> anyhow::Result<Swarm> {
        Ok(Swarm::new(self.target.doors(deflate), register, self.clock)?)
    }

    /// How member `number` comes in: as a user of its own, who wants `patterns` of `org` and so gets `strands`, from `since` on.
    pub fn invitation(&self, number: usize, org: &str, patterns: &[String], strands: Vec<u32>, since: Option<String>) -> Invitation {
        let token = self.target.tokens.of(org, &format!("user{number}"));
        let mut data = json!({ "token": token, "rooms": patterns });
        if let Some(since) = since {
            data["since"] = Value::String(since);
        }
        let introduction = json!({ "event": "authenticate", "id": 1, "data": data }).to_string();
        Invitation { door: self.target.door_of(number), introduction, strands, apart: false }
    }

    /// Lets members in, at most `at_once` at a time.
    ///
    /// # Errors
    /// When one is not let in, or not all are within the deadline.
    pub fn admit(&mut self, swarm: &mut Swarm, at_once: usize, invitations: Vec<Invitation>) -> anyhow::Result<()> {
        let deadline = self.deadline();
        self.meter.enter(Phase::Connecting { members: swarm.live + invitations.len() });
        swarm.admit(at_once, deadline, invitations, |swarm| self.meter.sample(swarm))
    }

    /// Says that all members of this process are in, and waits until those of all other agents are too.
    ///
    /// # Errors
    /// When the run is to end now.
    pub fn ready(&mut self, swarm: &mut Swarm) -> anyhow::Result<()> {
        self.meter.enter(Phase::Ready);
        while !self.meter.progress.ready()? {
            swarm.turn(Duration::from_millis(1))?;
            self.meter.sample(swarm)?;
        }
        Ok(())
    }

    /// Traffic that begins now: `count` publications at this pace, of strands of this choice.
    pub fn drive(&mut self, swarm: &Swarm, pace: Pace, choice: Choice, count: u64) -> Drive {
        self.meter.enter(Phase::Measuring(Stretch::of(count, swarm)));
        Drive::new(pace, choice, count, self.patience, swarm)
    }

    /// The same for a swarm of the floor, which publishes for `time` at the most.
    pub fn drive_floor(&mut self, swarm: &Swarm, pace: Pace, choice: Choice, count: u64, time: Duration) -> Drive {
        self.meter.enter(Phase::Floor(Stretch::of(count, swarm)));
        Drive::new(pace, choice, count, self.patience, swarm).publishing_for(time)
    }

    /// Waits until everybody has everything, and books as lost what they have not by the deadline.
    ///
    /// # Errors
    /// When the way to the server is lost.
    pub fn settle(&mut self, swarm: &mut Swarm) -> anyhow::Result<()> {
        let deadline = self.deadline();
        swarm.settle(deadline, |swarm| self.meter.sample(swarm))
    }

    /// The run's tally, which is added to the total.
    pub fn take(&mut self, swarm: &mut Swarm) -> Tally {
        let tally = std::mem::take(&mut swarm.judge.tally);
        self.total.add(&tally);
        tally
    }

    /// Notes one run's value.
    pub fn note(&mut self, kind: Kind, value: f64) {
        self.figures.add(kind, value);
    }

    /// Tells people something about the run that no number says.
    pub fn remark(&mut self, remark: String) {
        self.report.remarks.push(remark);
    }

    /// The report, once the swarm has nothing more to do.
    pub fn end(mut self, swarm: &mut Swarm) -> Report {
        self.take(swarm);
        self.total.counts.published = swarm.judge.register.given;
        if !self.target.is_here() {
            // Between two machines' clocks.
            self.total.forget(Span::ToLog);
            self.total.forget(Span::FromLog);
        }
        let stages = self.target.stages();
        let Self { meter, figures, total, floors, mut report, begun, .. } = self;
        meter.write(swarm, &mut report);
        report.elapsed_s = begun.elapsed().as_secs_f64();
        report.ledger = total.counts;
        report.figures = figures.into_figures();
        report.latencies = total.latencies("");
        if !total.time(Span::Delivery).is_empty() {
            report.latencies.extend(stages);
        }
        report.latencies.extend(floors.latencies(", floor"));
        report.remarks.extend(total.evidence);
        report
    }
}

/// The report of a scenario that begins now.
pub fn report(scenario: &str, options: &impl Serialize) -> Report {
    Report {
        scenario: scenario.to_owned(),
        started_at: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
        options: setting::options(options),
        machine: setting::machine(),
        ..Report::default()
    }
}

/// A quantile of a span in milliseconds.
pub fn quantile_ms(tally: &Tally, span: Span, quantile: f64) -> f64 {
    tally.time(span).value_at_quantile(quantile) as f64 / 1_000.0
}

/// Figures that are quantiles of a span, in milliseconds.
pub fn quantiles_ms<const N: usize>(tally: &Tally, span: Span, figures: [(Kind, f64); N]) -> [(Kind, f64); N] {
    figures.map(|(kind, quantile)| (kind, quantile_ms(tally, span, quantile)))
}
