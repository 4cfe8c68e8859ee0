//! How large a fault run is: short enough for every change, or as long as a person would watch it.

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub clients: usize,
    pub orgs: usize,
    /// Publications per second over all doors, as far as they are answered.
    pub rate: usize,
    /// Acknowledged publications that a phase of a run lasts for.
    pub phase: usize,
    /// How often what can be repeated is.
    pub repetitions: usize,
    /// By how much bounds of time are widened: short runs share the machine with other tests.
    pub patience: u32,
    pub long: bool,
}

/// `FAULTS=long` asks for long runs.
pub fn scale() -> Scale {
    if std::env::var("FAULTS").is_ok_and(|scale| scale == "long") {
        Scale { clients: 300, orgs: 20, rate: 1_000, phase: 15_000, repetitions: 50, patience: 1, long: true }
    } else {
        Scale { clients: 36, orgs: 4, rate: 200, phase: 300, repetitions: 4, patience: 3, long: false }
    }
}
