//! The floor of a fan: a bare server with as many sockets, to which the same is published at the same pace.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::fan::{CPU, CPU_CONCATENATED, CPU_WINDOWS, Fan, RATE, RATE_CONCATENATED, RATE_WINDOWS, Run};
use crate::filling::filling;
use crate::floor::{FanOut, Writes};
use crate::pace::Pace;
use crate::report::number::count;
use crate::swarm::Swarm;
use crate::town::Town;
use crate::trial::Trial;

const SINGLE: &str = "one write each";
const CONCATENATED: &str = "one write for all that wait";
const WINDOWS: &str = "one write a window";
/// What a publication is besides its filling, in bytes: the least that a frame can be.
const FRAME_BYTES: usize = 190;
/// How long one measurement of the floor may publish: what is written to each socket by itself takes its time where there are many, and what
/// was published by then is enough to tell.
const FLOOR_TIME_MAX: Duration = Duration::from_secs(10);
/// How often the gateway's members are looked after meanwhile, so that they answer its pings.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// A bare server and a swarm of its own.
pub(super) struct Below {
    floor: FanOut,
    swarm: Swarm,
}

impl Below {
    /// Its frames are as long as those of the gateway were on the wire.
    ///
    /// # Errors
    /// When there are no sockets to be had.
    pub fn start(fan: &Fan<'_>, trial: &Trial, town: &Town, wire_bytes: f64) -> anyhow::Result<Self> {
        let compressed = filling((wire_bytes as usize).saturating_sub(FRAME_BYTES), false);
        let filling = if fan.deflate { &compressed } else { &fan.filling };
        let register = town.register();
        let wanted: Vec<Vec<u32>> = town.residents.iter().map(|resident| register.reached_by(&resident.patterns)).collect();
        let rooms = town.rooms.iter().map(|(_, room)| room.clone()).collect();
        let floor = FanOut::start(&wanted, rooms, filling, trial.target.pin)?;
        let mut swarm = Swarm::new(Vec::new(), register, trial.clock)?;
        for strands in &wanted {
            swarm.adopt(TcpStream::connect(floor.address())?, strands)?;
        }
        Ok(Self { floor, swarm })
    }

    /// Measures with one write for each publication, and, where several are under way, with one for all that wait when it is their turn.
    /// Publications that follow one by one as others arrive seldom wait all together, so there it measures with one write for a whole
    /// window as well, which no server could do in such traffic. The gateway's members are `beside`.
    ///
    /// # Errors
    /// When it takes too long.
    pub fn measure(&mut self, fan: &Fan<'_>, trial: &mut Trial, town: &Town, beside: &mut Swarm) -> anyhow::Result<()> {
        let given = self.swarm.judge.register.given;
        let run = self.measure_writes(fan, trial, town, beside, (Writes::Single, fan.pace))?;
        for (kind, value) in run.cost(CPU, RATE).chain(run.times()) {
            trial.figures.add_floor(kind, SINGLE, value);
        }
        trial.floors.add(&run.tally);
        let (given, publications) = (self.swarm.judge.register.given - given, fan.publications);
        if given < publications {
            let (given, publications, seconds) = (count(given), count(publications), FLOOR_TIME_MAX.as_secs());
            trial.remark(format!(
                "The floor with one write each is of {given} of {publications} publications: as many as {seconds} s gave."
            ));
        }
        if fan.size() > 1 {
            let run = self.measure_writes(fan, trial, town, beside, (Writes::Concatenated, fan.pace))?;
            for (kind, value) in run.cost(CPU_CONCATENATED, RATE_CONCATENATED) {
                trial.figures.add_floor(kind, CONCATENATED, value);
            }
        }
        if let Pace::Window(size) = fan.pace
            && size > 1
        {
            let run = self.measure_writes(fan, trial, town, beside, (Writes::Concatenated, Pace::Burst(size)))?;
            for (kind, value) in run.cost(CPU_WINDOWS, RATE_WINDOWS) {
                trial.figures.add_floor(kind, WINDOWS, value);
            }
        }
        Ok(())
    }

    fn measure_writes(
        &mut self,
        fan: &Fan<'_>,
        trial: &mut Trial,
        town: &Town,
        beside: &mut Swarm,
        (writes, pace): (Writes, Pace),
    ) -> anyhow::Result<Run> {
        let Self { floor, swarm } = self;
        floor.set_writes(writes);
        let (before, begun, mut looked_after) = (floor.cpu_ns(), Instant::now(), Instant::now());
        let drive = trial.drive_floor(swarm, pace, town.choice(), fan.publications, FLOOR_TIME_MAX);
        drive.run(swarm, floor, |swarm| {
            trial.meter.watch(swarm)?;
            if looked_after.elapsed() > LOOK_AFTER {
                looked_after = Instant::now();
                beside.turn(Duration::ZERO)?;
            }
            Ok(())
        })?;
        let elapsed = begun.elapsed();
        let run = Run { elapsed, cpu_ns: Some(floor.cpu_ns() - before), tool_ns: 0, tally: std::mem::take(&mut swarm.judge.tally) };
        let counts = run.tally.counts;
        ensure!(counts.is_clean(), "the floor was not measured within {} s (--deadline-s): {counts:?}", fan.common.deadline_s);
        Ok(run)
    }
}
