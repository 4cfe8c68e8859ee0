#!/usr/bin/env bash
# Runs every fault at full length, one after another, on an optimised build, and sets the table of docs/reliability.md anew. About half an
# hour; short versions of the same runs are part of the tests. With a word, only the faults whose test names hold it.
set -euo pipefail
cd "$(dirname "$0")/.."

./scripts/test.sh --prepare
# Thousands of clients, in one process.
ulimit -n 16384 2>/dev/null || echo "open files are limited to $(ulimit -n): the run with 3,000 clients needs about 8,000"
FAULTS=long cargo test --profile faults --locked --test it "faults::${1:-}" -- --test-threads=1 --nocapture
