//! An org that floods, on a thread of its own: it publishes as fast as it was told, and its sessions come, resume from far back and go.
//!
//! What it is refused and what it misses is nobody's concern; only how much it did is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::bail;
use rustix::process::nice;
use serde::Serialize;
use serde_json::json;

use crate::filling::filling;
use crate::option::rate;
use crate::swarm::{Invitation, Register, Span, Swarm};
use crate::target::Entrance;
use crate::trial::Trial;

/// Publications without an answer, beyond which the flood waits: what is not read by anybody floods nobody.
const UNANSWERED_MAX: usize = 2_000;
/// How long a session of the flood may take to get in before it counts as refused and another one comes.
const PATIENCE: Duration = Duration::from_secs(2);

/// The nice value of who waits for everybody else.
const LEAST_URGENT: i32 = 19;

/// How much it does.
#[derive(Clone, Debug, clap::Args, Serialize)]
#[command(next_help_heading = "The flood")]
pub struct FloodArgs {
    /// Publications per second that it sends.
    #[arg(long, default_value_t = 5_000.0, value_parser = rate)]
    pub flood_rate: f64,
    /// Sessions per second that it opens, each to resume from the beginning, and leaves again.
    #[arg(long, default_value_t = 50.0, value_parser = rate)]
    pub flood_comings: f64,
    /// Sessions that stay and receive everything.
    #[arg(long, default_value_t = 20)]
    pub flood_subscribers: usize,
    /// Sessions that publish.
    #[arg(long, default_value_t = 4)]
    pub flood_publishers: usize,
    /// Sessions that come and go at a time.
    #[arg(long, default_value_t = 16)]
    pub flood_guests: usize,
}

impl FloodArgs {
    pub fn sockets(&self) -> usize {
        self.flood_subscribers + self.flood_publishers + self.flood_guests
    }
}

/// What it did.
pub(super) struct Done {
    pub published: u64,
    pub refused: u64,
    pub came: u64,
    pub seconds: f64,
}

/// A flood that is under way.
pub(super) struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Done>>,
}

/// Who comes and goes.
struct Guests {
    tokens: Vec<String>,
    org: String,
    /// The number of each in the swarm, and when it came.
    seats: Vec<(usize, Instant)>,
    doors: usize,
    came: u64,
}

impl Flood {
    /// # Errors
    /// When its publishers or subscribers are not let in.
    pub fn start(args: &FloodArgs, trial: &Trial, org: &str) -> anyhow::Result<Self> {
        let room = format!("kpi:{org}:flood");
        let mut register = Register::default();
        for publisher in 0..args.flood_publishers {
            register.open(&format!("{room}:{publisher}"), publisher);
        }
        let strands: Vec<u32> = (0..).take(args.flood_publishers).collect();
        let mut swarm = trial.swarm(register, false)?;
        let invitation = |number| trial.invitation(number, org, std::slice::from_ref(&room), strands.clone(), None);
        let invitations = (0..args.flood_subscribers).map(invitation).collect();
        swarm.admit(args.flood_subscribers, trial.deadline(), invitations, |_| Ok(()))?;
        for _ in 0..args.flood_publishers {
            swarm.add_publisher(trial.target.publisher(org, Entrance::Websocket)?)?;
        }
        let tokens = (0..args.flood_guests).map(|number| trial.target.tokens.of(org, &format!("guest{number}"))).collect();
        let guests = Guests { tokens, org: org.to_owned(), seats: Vec::new(), doors: trial.target.nodes.len(), came: 0 };
        let stop = Arc::<AtomicBool>::default();
        let thread = std::thread::spawn({
            let (args, stop) = (args.clone(), Arc::clone(&stop));
            move || run(&args, swarm, guests, &stop)
        });
        Ok(Self { stop, thread })
    }

    /// # Errors
    /// When the way to the server was lost.
    pub fn stop(self) -> anyhow::Result<Done> {
        self.stop.store(true, Ordering::Release);
        match self.thread.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("the flood ended by a defect of this tool"),
        }
    }
}

fn run(args: &FloodArgs, mut swarm: Swarm, mut guests: Guests, stop: &AtomicBool) -> anyhow::Result<Done> {
    // Its clients would have machines of their own; what they read here is not to hold up those who are measured. On Linux this is the
    // thread's own matter.
    let _ = nice(LEAST_URGENT);
    let (begun, filling) = (Instant::now(), filling(64, false));
    let (mut sent, mut strand) = (0.0, 0);
    while !stop.load(Ordering::Acquire) {
        let elapsed_s = begun.elapsed().as_secs_f64();
        while sent < elapsed_s * args.flood_rate && args.flood_publishers > 0 {
            sent += 1.0;
            if swarm.unanswered() < UNANSWERED_MAX && !swarm.is_clogged() {
                let now_us = swarm.clock.now_us();
                swarm.publish(strand, now_us, &filling);
                strand = (strand + 1) % u32::try_from(args.flood_publishers).unwrap_or(u32::MAX);
            }
        }
        if elapsed_s * args.flood_comings > guests.came as f64 {
            guests.come(&mut swarm)?;
        }
        swarm.turn(Duration::from_millis(1))?;
    }
    let tally = &swarm.judge.tally;
    let published = tally.time(Span::Ack).len();
    Ok(Done { published, refused: tally.counts.refused, came: guests.came, seconds: begun.elapsed().as_secs_f64() })
}

impl Guests {
    /// Lets another one come, in the place of one that is in or was not let in, if there is one.
    fn come(&mut self, swarm: &mut Swarm) -> anyhow::Result<()> {
        // Whoever was refused is none of our concern.
        swarm.take_refusal();
        if self.seats.len() < self.tokens.len() {
            let invitation = self.invitation(self.seats.len(), swarm);
            self.seats.push((swarm.invite(invitation)?, Instant::now()));
            self.came += 1;
            return Ok(());
        }
        let is_through = |(number, since): &(usize, Instant)| swarm.is_live(*number) || since.elapsed() > PATIENCE;
        let through = self.seats.iter().enumerate().filter(|(_, seat)| is_through(seat));
        // Whoever has been there the longest, so that they come to all nodes alike.
        let Some((place, _)) = through.min_by_key(|(_, (_, since))| *since) else { return Ok(()) };
        let number = self.seats[place].0;
        swarm.dismiss(number);
        swarm.replace(number, self.invitation(place, swarm))?;
        self.seats[place].1 = Instant::now();
        self.came += 1;
        Ok(())
    }

    fn invitation(&self, place: usize, swarm: &Swarm) -> Invitation {
        // From the first entry of the log: as much as there is to replay.
        let since = swarm.position(0).map(|position| position.to_string());
        let since = since.as_deref().and_then(|position| position.split('-').next()).map(|epoch| format!("{epoch}-0-0"));
        let mut data = json!({ "token": self.tokens[place], "rooms": [format!("kpi:{}:flood", self.org)] });
        if let Some(since) = since {
            data["since"] = since.into();
        }
        let introduction = json!({ "event": "authenticate", "id": 1, "data": data }).to_string();
        Invitation { door: place % self.doors, introduction, strands: Vec::new(), apart: false }
    }
}
