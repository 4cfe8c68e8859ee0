#!/usr/bin/env bash
# Takes the figures of docs/performance.md: a release build of the gateway on the first processor, the load test on the second, medians of
# RUNS (5) runs, each beside its floor. About fifteen minutes on a quiet machine with two processors; what else runs there is in the figures.
# With words, only the rows whose names hold one of them. Reports go to target/measure, as JSON and as pages.
set -euo pipefail
cd "$(dirname "$0")/.."

runs="${RUNS:-5}"
target="${CARGO_TARGET_DIR:-target}"
out="$target/measure"
mkdir -p "$out"
ulimit -n "$(ulimit -H -n)"
if [ -z "${BUILT:-}" ]; then
  cargo build --release --locked -p roomcast -p roomcast-loadtest --bins
fi
gateway="$target/release/roomcast"
words=("$@")

wanted() {
  [ "${#words[@]}" = 0 ] && return
  local word
  for word in "${words[@]}"; do
    [[ "$1" == *"$word"* ]] && return
  done
  return 1
}

# Runs a scenario; its first word is the row's name.
row() {
  local name="$1" scenario="$2"
  shift 2
  wanted "$name" || return 0
  printf '\n== %s: %s %s\n' "$name" "$scenario" "$*"
  "$target/release/roomcast-loadtest" "$scenario" --gateway "$gateway" --json "$out/$name.json" --html "$out/$name.html" "$@" ||
    printf 'row %s ended with %s\n' "$name" "$?"
}

# For scenarios that are one run each, on a gateway of their own.
each() {
  local number
  for number in $(seq "$runs"); do
    row "$1-$number" "${@:2}"
  done
}

one=(--pin 0 --runs "$runs")
row fanout-1000 fanout "${one[@]}" --floor --subscribers 1000 --publications 1000
# 9,500, because the floor's sockets and the tool's own come to 10,000 open files each.
row fanout-9500 fanout "${one[@]}" --floor --subscribers 9500 --publications 100
row saturated-1000 fanout "${one[@]}" --floor --subscribers 1000 --publications 12800 --outstanding 64
row saturated-5000 fanout "${one[@]}" --floor --subscribers 5000 --publications 2560 --outstanding 64
row burst burst "${one[@]}" --floor --subscribers 1000 --size 100 --bursts 100
each idle idle --pin 0 --sessions 10000 --settle-s 15
row connect connect "${one[@]}" --floor --connections 5000 --at-once 32
row connect-alone connect "${one[@]}" --floor --connections 2000
row latency fanout "${one[@]}" --floor --subscribers 1000 --publications 200 --rate 20
row publish publish --runs "$runs" --through fcall --reference --redis --publications 100000 --outstanding 256 --bytes 128 --subscribers 1
row local fanout --runs "$runs" --subscribers 10 --publications 5000 --rate 1000
row second-node fanout --runs "$runs" --redis --gateways 2 --subscribers 10 --publications 5000 --rate 1000
each storm resume-storm --pin 0 --redis --clients 10000 --missed 100
row plain-1k fanout "${one[@]}" --subscribers 1000 --publications 500 --bytes 1000
row deflate-1k fanout "${one[@]}" --subscribers 1000 --publications 500 --bytes 1000 --deflate
row one-org rooms "${one[@]}" --orgs 1 --rooms 1000 --subscribers 9000 --wanted 1 --patterns 0 --zipf 0 --publications 10000 --rate 2000
row many-orgs rooms "${one[@]}" --orgs 1000 --rooms 1 --subscribers 10000 --wanted 1 --patterns 0 --zipf 0 --publications 10000 --rate 2000
