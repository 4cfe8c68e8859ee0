//! Who is there: orgs, their rooms, and what every member wants. One room of one org is the smallest town.

use serde::Serialize;

use crate::choice::{Choice, Zipf};
use crate::option::{positive, rate, share};
use crate::swarm::{Invitation, Register, Swarm};
use crate::target::Entrance;
use crate::trial::{AT_ONCE, Trial};

/// Queues of a department; rooms lie in channels one after another.
const QUEUES: usize = 8;
const CHANNELS: [&str; 3] = ["kpi", "alerts", "activity"];

/// How large a town is.
#[derive(Clone, Debug, clap::Args, Serialize)]
#[command(next_help_heading = "Orgs, rooms and subscribers")]
pub struct TownArgs {
    #[arg(long, default_value_t = 3, value_parser = positive::<usize>)]
    pub orgs: usize,
    /// Rooms of each org.
    #[arg(long, default_value_t = 48, value_parser = positive::<usize>)]
    pub rooms: usize,
    /// Subscribers, spread over the orgs.
    #[arg(long, default_value_t = 500, value_parser = positive::<usize>)]
    pub subscribers: usize,
    /// Rooms that each of them wants.
    #[arg(long, default_value_t = 3, value_parser = positive::<usize>)]
    pub wanted: usize,
    /// Share of subscribers, from 0 to 1, who want patterns instead.
    #[arg(long, default_value_t = 0.25, value_parser = share)]
    pub patterns: f64,
    /// How uneven traffic is: the k-th busiest room has a share that falls with 1 / k^zipf; 0 is even.
    #[arg(long, default_value_t = 1.0, value_parser = rate)]
    pub zipf: f64,
}

/// A member and what it wants.
pub struct Resident {
    /// An index of the town's orgs.
    pub org: usize,
    pub patterns: Vec<String>,
    /// It will read slowly; its times are told apart.
    pub slow: bool,
}

/// Orgs, rooms and members.
pub struct Town {
    pub orgs: Vec<String>,
    /// The org, as an index, and the room; strands are numbered alike.
    pub rooms: Vec<(usize, String)>,
    pub residents: Vec<Resident>,
    zipf: f64,
}

impl Town {
    /// `subscribers` of one room.
    pub fn of_one_room(org: String, room: String, subscribers: usize) -> Self {
        let residents = (0..subscribers).map(|_| Resident { org: 0, patterns: vec![room.clone()], slow: false }).collect();
        Self { orgs: vec![org], rooms: vec![(0, room)], residents, zipf: 0.0 }
    }

    /// Rooms of one rank lie in every org before the next rank's, so that orgs are alike busy.
    pub fn new(args: &TownArgs, orgs: Vec<String>) -> Self {
        let count = orgs.len();
        let rooms: Vec<(usize, String)> =
            (0..args.rooms * count).map(|strand| (strand % count, room(&orgs[strand % count], strand / count))).collect();
        let patterns_of = |number: usize| {
            let (org, turn) = (&orgs[number % count], number / count);
            // Spread evenly over the numbers: one more with a pattern whenever the share has grown by one.
            let with_patterns = ((turn + 1) as f64 * args.patterns) as usize > (turn as f64 * args.patterns) as usize;
            let wanted = if with_patterns { 1 } else { args.wanted.min(args.rooms) };
            let place = |index: usize| (turn * args.wanted + index) % args.rooms;
            (0..wanted).map(|index| if with_patterns { pattern(org, turn, place(index)) } else { room(org, place(index)) }).collect()
        };
        let residents =
            (0..args.subscribers).map(|number| Resident { org: number % count, patterns: patterns_of(number), slow: false }).collect();
        Self { orgs, rooms, residents, zipf: args.zipf }
    }

    /// The strands, none of which has begun: each org has one publisher, by the number of the org.
    pub fn register(&self) -> Register {
        let mut register = Register::default();
        for (org, room) in &self.rooms {
            register.open(room, *org);
        }
        register
    }

    pub fn choice(&self) -> Choice {
        if self.rooms.len() == 1 { Choice::One(0) } else { Choice::Zipf(Box::new(Zipf::new(self.rooms.len(), self.zipf))) }
    }

    /// A swarm of all residents, with a publisher for each org; when those of other agents are there too.
    ///
    /// # Errors
    /// When somebody is not let in.
    pub fn settle(&self, trial: &mut Trial, deflate: bool) -> anyhow::Result<Swarm> {
        let mut swarm = self.gather(trial, deflate)?;
        for org in &self.orgs {
            swarm.add_publisher(trial.target.publisher(org, Entrance::Websocket)?)?;
        }
        trial.ready(&mut swarm)?;
        Ok(swarm)
    }

    /// The same, where nobody publishes, or somebody else does.
    ///
    /// # Errors
    /// When somebody is not let in.
    pub fn settle_without_publishers(&self, trial: &mut Trial, deflate: bool) -> anyhow::Result<Swarm> {
        let mut swarm = self.gather(trial, deflate)?;
        trial.ready(&mut swarm)?;
        Ok(swarm)
    }

    fn gather(&self, trial: &mut Trial, deflate: bool) -> anyhow::Result<Swarm> {
        let mut swarm = trial.swarm(self.register(), deflate)?;
        let strands: Vec<Vec<u32>> = self.residents.iter().map(|resident| swarm.judge.register.reached_by(&resident.patterns)).collect();
        let invitations = self.residents.iter().zip(strands).enumerate().map(|(number, (resident, strands))| {
            let invitation = trial.invitation(number, &self.orgs[resident.org], &resident.patterns, strands, None);
            Invitation { apart: resident.slow, ..invitation }
        });
        let invitations = invitations.collect();
        trial.admit(&mut swarm, AT_ONCE, invitations)?;
        trial.take(&mut swarm);
        Ok(swarm)
    }
}

fn room(org: &str, index: usize) -> String {
    format!("{}:{org}:dept{}:queue{}", CHANNELS[index % CHANNELS.len()], index / QUEUES, index % QUEUES)
}

/// One kind of pattern after the other, each reaching the room with this index.
fn pattern(org: &str, turn: usize, index: usize) -> String {
    let (channel, department, queue) = (CHANNELS[index % CHANNELS.len()], index / QUEUES, index % QUEUES);
    match turn % 3 {
        0 => format!("{channel}:{org}:dept{department}"),
        1 => format!("{channel}:{org}:*:queue{queue}"),
        _ => format!("*:{org}:dept{department}:**"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn town(patterns: f64) -> Town {
        let args = TownArgs { orgs: 2, rooms: 16, subscribers: 40, wanted: 3, patterns, zipf: 1.0 };
        Town::new(&args, vec!["a".to_owned(), "b".to_owned()])
    }

    #[test]
    fn everybody_gets_what_they_want_of_their_own_org_and_nothing_else() {
        for share in [0.0, 0.5, 1.0] {
            let town = town(share);
            let register = town.register();
            for resident in &town.residents {
                let reached = register.reached_by(&resident.patterns);
                assert!(!reached.is_empty(), "{:?}", resident.patterns);
                assert!(reached.iter().all(|strand| town.rooms[*strand as usize].0 == resident.org));
            }
        }
    }

    #[test]
    fn the_share_with_patterns_is_what_was_asked_for() {
        for (share, expected) in [(0.0, 0), (0.25, 10), (1.0, 40)] {
            let single = town(share).residents.iter().filter(|resident| resident.patterns.len() == 1).count();
            assert_eq!(single, expected, "{share}");
        }
    }
}
