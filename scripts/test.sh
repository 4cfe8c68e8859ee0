#!/usr/bin/env bash
# Runs everything that must hold before a change is merged. Installs what is missing on a Debian machine with Rust.
# With --prepare it only installs, so that `cargo test` can be run by itself.
# ADVISORY_DB=path/to/advisory-db names a git copy of RustSec's advisory database, for machines that cannot reach the original.
set -euo pipefail
cd "$(dirname "$0")/.."
# Nothing here may wait for an answer.
exec </dev/null

# The packages that the snippets of docs/publishing.md need live here; tests/it/publishing_document.rs runs them.
snippets=.cache/snippets
# Later major versions for Node ask for Node 20, and Debian 12 has 18.
snippets_python=(redis~=8.1)
snippets_node=(redis@5)
# The browser of the tests of the page.
chromium="${CHROMIUM:-/usr/bin/chromium}"

say() { printf '\n== %s\n' "$*"; }

# What could not be checked here. It is told once more at the very end, where nobody overlooks it.
unchecked=()
cannot_check() {
  unchecked+=("$*")
  say "NOT CHECKED: $*"
}

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

# Answers whether Node is there in a version that everything here runs on.
node_suffices() { node --eval 'process.exit(process.versions.node.split(".")[0] >= 18 ? 0 : 1)' 2>/dev/null; }

redis_major() { redis-server --version 2>/dev/null | sed -n 's/.* v=\([0-9]*\)\..*/\1/p'; }

install_missing() {
  local packages=()
  command -v cc >/dev/null || packages+=(gcc libc6-dev)
  command -v make >/dev/null || packages+=(make)
  command -v cmake >/dev/null || packages+=(cmake)
  [ "$(redis_major || true)" ] || packages+=(redis-server)
  node_suffices || packages+=(nodejs)
  # Debian has npm apart from Node; other packages of Node bring it.
  command -v npm >/dev/null || packages+=(npm)
  # Without ensurepip, which Debian has apart from Python, a virtual environment has no pip.
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
  [ -e "$chromium" ] || packages+=(chromium)
  [ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
  if [ "${#packages[@]}" -gt 0 ]; then
    say "installing ${packages[*]}"
    # Some images forbid services from starting; the tests start their own Redis anyway.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}" >/dev/null
  fi
  local major
  major="$(redis_major || true)"
  if [ "${major:-0}" -lt 7 ]; then
    echo "redis-server 7 or later is needed; found: $(redis-server --version 2>/dev/null || echo none)" >&2
    return 1
  fi
  if ! node_suffices; then
    echo "node 18 or later is needed; found: $(node --version 2>/dev/null || echo none)" >&2
    return 1
  fi
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    say "installing rustfmt and clippy"
    rustup component add rustfmt clippy
  fi
}

# Fetches the packages of the snippets, unless they are there. What was interrupted is fetched anew.
prepare_snippets() {
  if ! "$snippets/venv/bin/python" -c 'import redis' 2>/dev/null; then
    say "fetching ${snippets_python[*]} for Python"
    rm -rf "$snippets/venv"
    mkdir -p "$snippets"
    python3 -m venv "$snippets/venv"
    "$snippets/venv/bin/pip" install --quiet --disable-pip-version-check "${snippets_python[@]}"
  fi
  if ! [ -d "$snippets/node_modules/redis" ] || ! (cd "$snippets" && node --input-type=module --eval 'import "redis"') 2>/dev/null; then
    say "fetching ${snippets_node[*]} for Node"
    npm install --prefix "$snippets" --no-save --no-audit --no-fund --loglevel error "${snippets_node[@]}"
  fi
}

check_dependencies() {
  if ! cargo deny --version >/dev/null 2>&1; then
    cannot_check "licences, bans, sources and known vulnerabilities of dependencies (cargo install cargo-deny --locked)"
    return
  fi
  say "cargo deny"
  cargo deny --log-level error check licenses bans sources
  check_advisories
}

# A known vulnerability fails the run. So does a copy of the database that was named and cannot be read; that the original cannot be
# reached from here does not, but it is said.
check_advisories() {
  local git=()
  if [ -n "${ADVISORY_DB:-}" ]; then
    # git then reads the copy wherever the address of the original is asked for.
    git=(env GIT_CONFIG_COUNT=1 GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db
      "GIT_CONFIG_KEY_0=url.file://$(realpath "$ADVISORY_DB").insteadOf")
  fi
  if "${git[@]}" cargo deny --log-level error fetch db >/dev/null 2>&1; then
    "${git[@]}" cargo deny --log-level error check advisories
  elif [ -n "${ADVISORY_DB:-}" ]; then
    echo "ADVISORY_DB=$ADVISORY_DB is no advisory database that git can read" >&2
    return 1
  else
    cannot_check "known vulnerabilities of dependencies: the advisory database is out of reach (ADVISORY_DB can name a copy)"
  fi
}

# Fails only for what became much dearer; benches/README.md says how to read the table.
compare_instructions() {
  if ! ./scripts/bench.sh --prepare; then
    cannot_check "instructions of the hot paths: valgrind is not there and cannot be installed"
    return
  fi
  say "micro-benchmarks"
  ./scripts/bench.sh
}

install_missing
prepare_snippets
if [ "${1:-}" = --prepare ]; then
  exit
fi
say "formatting"
cargo fmt --all --check
check_dependencies
say "clippy"
cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
say "the chart"
./scripts/check-chart.sh
say "the client's types of messages"
node client/scripts/generate-types.mjs --check
say "the page's modules"
timeout 120 node --test --test-reporter=spec web/console/*.test.js
say "building the tests"
# This builds the gateway too, with the very features of the tests, so that nothing is compiled twice.
cargo test --quiet --workspace --locked --no-run
say "the page in a browser"
CHROMIUM="$chromium" ROOMCAST_BIN="$(realpath "${CARGO_TARGET_DIR:-target}")/debug/roomcast" timeout 300 node tests/browser/console.mjs
say "tests"
results="$(mktemp)"
trap 'rm -f "$results"' EXIT
cargo test --workspace --locked | tee "$results"
awk '/^test result:/ { passed += $4; failed += $6 } END { printf "\n%d passed, %d failed\n", passed, failed }' "$results"
compare_instructions
for what in "${unchecked[@]}"; do
  printf 'NOT CHECKED: %s\n' "$what"
done
