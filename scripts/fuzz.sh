#!/usr/bin/env bash
# Fuzzes every target for some seconds, from the seeds of the fixtures and from what earlier runs found. An input that breaks a
# property is left in fuzz/artifacts; make it a seed of tests/it/fuzzing/seeds.rs together with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-30}"
# Inputs larger than this show nothing that smaller ones do not; one that takes longer than this has found a slow path.
input_bytes_max=20000
input_seconds_max=10

# What libFuzzer needs of the compiler is switched on by a flag that the stable one only knows with this.
export RUSTC_BOOTSTRAP=1
if ! cargo fuzz --version >/dev/null 2>&1; then
  cargo install cargo-fuzz --locked
fi
FUZZ_CORPUS="$PWD/fuzz/corpus" cargo test --quiet --test it fuzzing
cargo fuzz build --sanitizer none
for target in $(cargo fuzz list); do
  printf '\n== %s\n' "$target"
  cargo fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" -max_len="$input_bytes_max" -timeout="$input_seconds_max" \
    -print_final_stats=1 -verbosity=0
done
