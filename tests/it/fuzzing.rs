//! The bodies of the fuzz targets, over their seeds and some thousand mutations of them.
//!
//! With `FUZZ_CORPUS=<folder>` the seeds are written there too, for libFuzzer to begin with (`make fuzz`).

use std::path::{Path, PathBuf};

#[path = "../../fuzz/bodies.rs"]
mod bodies;
mod mutation;
mod seeds;

use bodies::TARGETS;
use mutation::Mutation;

/// Mutations of the seeds of one target.
const MUTATIONS: usize = 3_000;

#[test]
fn every_target_holds_over_its_seeds_and_mutations_of_them() {
    for (name, body) in TARGETS {
        let seeds = seeds::of(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for input in seeds.iter().cloned().chain(Mutation::of(&seeds).take(MUTATIONS)) {
            holds(name, body, &input);
        }
        write_corpus(name, &seeds);
    }
}

#[test]
fn every_body_has_its_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut targets: Vec<String> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    targets.sort();
    assert_eq!(targets, TARGETS.map(|(name, _)| name));
}

/// Says which input it was that a property does not hold for.
fn holds(name: &str, body: fn(&[u8]), input: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| body(input)) {
        eprintln!("{name} fails on {}", input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

fn write_corpus(name: &str, seeds: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os("FUZZ_CORPUS") else { return };
    let folder = PathBuf::from(folder).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    for (number, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
    }
}
