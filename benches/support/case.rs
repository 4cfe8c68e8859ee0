//! One benchmark: a name, what is counted, and a body that can be run again and again.

use std::hint::black_box;

/// Runs before the one that counts: they fill caches and make what is made once per process.
const WARM_UPS: usize = 3;

#[derive(Clone)]
pub struct Case {
    /// `area/what`.
    pub name: &'static str,
    /// What one run does [`Case::units`] times; figures are given for one of it.
    pub unit: &'static str,
    pub units: u64,
    pub subject: fn() -> Box<dyn Subject>,
}

/// The body of a benchmark with all that it works on.
pub trait Subject {
    /// Brings back what a run used up. Not measured.
    fn reset(&mut self) {}

    fn run(&mut self);
}

impl<F: FnMut()> Subject for F {
    fn run(&mut self) {
        self();
    }
}

/// Callgrind counts what happens in here and nothing else; it knows this function by its name.
#[inline(never)]
fn counted_by_callgrind(subject: &mut dyn Subject) {
    subject.run();
    // Something must follow the call: a jump to it would leave this function without callgrind seeing that.
    black_box(&subject);
}

/// What the process under callgrind does.
pub fn run_counted(case: &Case) {
    let mut subject = (case.subject)();
    for _ in 0..WARM_UPS {
        subject.reset();
        subject.run();
    }
    subject.reset();
    counted_by_callgrind(subject.as_mut());
}
