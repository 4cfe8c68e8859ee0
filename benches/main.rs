//! Micro-benchmarks: what the hot paths cost, in instructions that callgrind counts, and on request in time.
//!
//! ```text
//! cargo bench                      count, compare with benches/recorded.json, fail where something became much dearer
//! cargo bench -- --record          count, and write benches/recorded.json anew
//! cargo bench -- --time            the same bodies by the clock
//! cargo bench -- [OPTION] router   only those whose names contain the word
//! ```

mod codec;
mod fanout;
mod frames;
mod latest;
mod presence;
mod resume;
mod router;
mod support;

use std::process::ExitCode;

use support::case::{self, Case};
use support::{callgrind, clock, record};

fn cases() -> Vec<Case> {
    [router::CASES, codec::CASES, frames::CASES, fanout::CASES, resume::CASES, latest::CASES, presence::CASES].concat()
}

fn main() -> ExitCode {
    // Cargo itself passes --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (options, words): (Vec<&str>, Vec<&str>) = arguments.iter().map(String::as_str).partition(|argument| argument.starts_with("--"));
    let mut cases = cases();
    if let ([callgrind::RUN], [name]) = (options.as_slice(), words.as_slice()) {
        cases.retain(|case| case.name == *name);
        cases.iter().for_each(case::run_counted);
        return ExitCode::SUCCESS;
    }
    cases.retain(|case| words.is_empty() || words.iter().any(|word| case.name.contains(word)));
    let outcome = match options.as_slice() {
        [] => callgrind::count(&cases).and_then(|counts| record::compare(&cases, &counts)),
        ["--record"] if words.is_empty() => callgrind::count(&cases).and_then(|counts| record::write(&cases, &counts)),
        ["--time"] => {
            cases.iter().for_each(clock::time);
            Ok(())
        }
        _ => Err("usage: cargo bench -- [--record | --time] [WORD]...; a record is always of all".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
