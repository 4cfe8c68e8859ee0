#!/usr/bin/env bash
# Runs everything that must hold before a change is merged. Installs what is missing on a Debian machine with Rust.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

# Runs a command as root, when that is to be had without asking.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    echo "this needs root: $*" >&2
    return 1
  fi
}

redis_major() { redis-server --version 2>/dev/null | sed -n 's/.* v=\([0-9]*\)\..*/\1/p'; }

install_missing() {
  local packages=()
  command -v cc >/dev/null || packages+=(gcc libc6-dev)
  command -v make >/dev/null || packages+=(make)
  command -v cmake >/dev/null || packages+=(cmake)
  [ "$(redis_major || true)" ] || packages+=(redis-server)
  if [ "${#packages[@]}" -gt 0 ]; then
    say "installing ${packages[*]}"
    # Some images forbid services from starting; the tests start their own Redis anyway.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" </dev/null
  fi
  local major
  major="$(redis_major || true)"
  if [ "${major:-0}" -lt 7 ]; then
    echo "redis-server 7 or later is needed; found: $(redis-server --version 2>/dev/null || echo none)" >&2
    return 1
  fi
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    say "installing rustfmt and clippy"
    rustup component add rustfmt clippy
  fi
}

check_dependencies() {
  if ! cargo deny --version >/dev/null 2>&1; then
    say "cargo deny is not installed: licences, bans and sources are not checked (cargo install cargo-deny --locked)"
    return
  fi
  say "cargo deny"
  cargo deny --log-level error check licenses bans sources
  # The advisories live in a repository on the network, which need not be reachable from everywhere.
  if cargo deny --log-level error fetch db >/dev/null 2>&1; then
    cargo deny --log-level error check advisories
  else
    say "the advisory database is out of reach: known vulnerabilities are not checked"
  fi
}

install_missing
say "formatting"
cargo fmt --all --check
check_dependencies
say "clippy"
cargo clippy --workspace --all-targets --locked -- -D warnings
say "tests"
cargo test --workspace --locked
