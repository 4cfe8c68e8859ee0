//! What goes on beside the traffic in `churn` and `soak`: guests come, go and change what they want, residents lose their connection and
//! come back. Each kind of event has its rate.

use std::time::Duration;

use anyhow::bail;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::option::rate;
use crate::swarm::{Invitation, Swarm};
use crate::town::Town;
use crate::trial::{AT_ONCE, Trial};

/// The seed of every run, so that two runs change alike.
const SEED: u64 = 0x6c6f_6164_7465_7374;

/// How much goes on.
#[derive(Clone, Debug, clap::Args, Serialize)]
#[command(next_help_heading = "What changes meanwhile")]
pub(super) struct FluxArgs {
    /// Subscribers besides, who come and go and change what they want.
    #[arg(long, default_value_t = 100)]
    pub guests: usize,
    /// Guests that go per second, each followed by another.
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    pub comings: f64,
    /// Subscriptions that guests make or take back per second.
    #[arg(long, default_value_t = 50.0, value_parser = rate)]
    pub changes: f64,
    /// Residents per second that lose their connection and resume.
    #[arg(long, default_value_t = 5.0, value_parser = rate)]
    pub returns: f64,
}

/// A guest's rooms: the one it came for, and a second one at times.
#[derive(Default, Clone)]
struct Guest {
    org: usize,
    further: Option<u32>,
}

/// Events under way.
pub(super) struct Flux<'a> {
    args: &'a FluxArgs,
    town: &'a Town,
    /// By number, from the first after the residents on.
    guests: Vec<Guest>,
    random: StdRng,
    pub came: u64,
    pub changed: u64,
    pub returned: u64,
}

impl<'a> Flux<'a> {
    /// Lets the guests in.
    ///
    /// # Errors
    /// When one is not let in.
    pub fn begin(args: &'a FluxArgs, town: &'a Town, trial: &mut Trial, swarm: &mut Swarm) -> anyhow::Result<Self> {
        let mut flux = Self { args, town, guests: Vec::new(), random: StdRng::seed_from_u64(SEED), came: 0, changed: 0, returned: 0 };
        flux.guests = vec![Guest::default(); args.guests];
        let invitations: Vec<Invitation> = (0..args.guests).map(|guest| flux.invitation(trial, guest)).collect();
        trial.admit(swarm, AT_ONCE, invitations)?;
        Ok(flux)
    }

    /// Does what is due `elapsed` after the beginning.
    ///
    /// # Errors
    /// When somebody is not let in, or cannot connect.
    pub fn turn(&mut self, trial: &Trial, swarm: &mut Swarm, elapsed: Duration) -> anyhow::Result<()> {
        if let Some(why) = swarm.take_refusal() {
            bail!("somebody was not let in: {why}");
        }
        let due = |rate: f64| (elapsed.as_secs_f64() * rate) as u64;
        while !self.guests.is_empty() && self.came < due(self.args.comings) {
            self.came += 1;
            let guest = self.random.random_range(0..self.guests.len());
            let number = self.town.residents.len() + guest;
            swarm.dismiss(number);
            swarm.replace(number, self.invitation(trial, guest))?;
        }
        while !self.guests.is_empty() && self.changed < due(self.args.changes) {
            self.changed += 1;
            self.change(swarm)?;
        }
        while !self.town.residents.is_empty() && self.returned < due(self.args.returns) {
            self.returned += 1;
            let number = self.random.random_range(0..self.town.residents.len());
            if swarm.is_live(number) {
                swarm.cut(number);
                let resident = &self.town.residents[number];
                let since = swarm.position(number).map(|position| position.to_string());
                let invitation = trial.invitation(number, &self.town.orgs[resident.org], &resident.patterns, Vec::new(), since);
                swarm.bring_back(number, (swarm.door(number) + 1) % trial.target.nodes.len(), invitation.introduction)?;
            }
        }
        Ok(())
    }

    /// A new guest, who wants one room.
    fn invitation(&mut self, trial: &Trial, guest: usize) -> Invitation {
        let strand = self.random.random_range(0..self.town.rooms.len());
        let (org, room) = &self.town.rooms[strand];
        self.guests[guest] = Guest { org: *org, further: None };
        let number = self.town.residents.len() + guest;
        let strands = vec![u32::try_from(strand).unwrap_or(u32::MAX)];
        trial.invitation(number, &self.town.orgs[*org], std::slice::from_ref(room), strands, None)
    }

    /// A guest takes a second room, or gives it back. One that waits for a reply is left alone.
    fn change(&mut self, swarm: &mut Swarm) -> anyhow::Result<()> {
        let guest = self.random.random_range(0..self.guests.len());
        let number = self.town.residents.len() + guest;
        let room = |strand: u32| &self.town.rooms[strand as usize];
        if let Some(strand) = self.guests[guest].further {
            if swarm.unsubscribe(number, &room(strand).1, vec![strand])? {
                self.guests[guest].further = None;
            }
            return Ok(());
        }
        let strand = u32::try_from(self.random.random_range(0..self.town.rooms.len())).unwrap_or(u32::MAX);
        let is_new = !swarm.is_entitled(number, strand);
        if room(strand).0 == self.guests[guest].org && is_new && swarm.subscribe(number, &room(strand).1, &[strand])? {
            self.guests[guest].further = Some(strand);
        }
        Ok(())
    }
}
