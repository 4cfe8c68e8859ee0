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
# What the client's tools need. Where Node is older, as in Debian 12, a newer one is fetched into this folder and used from there.
node_wanted=20.19
node_own=.cache/node
# The browser of the tests of the page and of the client.
chromium="${CHROMIUM:-/usr/bin/chromium}"

say() { printf '\n== %s\n' "$*"; }

# What could not be checked here. It is told once more at the very end, where nobody overlooks it.
unchecked=()
cannot_check() {
  unchecked+=("$*")
  say "NOT CHECKED: $*"
}

# What passed, by part. It is told once more at the end, because thousands of lines lie between.
counts=()
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# Runs a command, and keeps the last line in which it says how many passed.
counted() {
  local what="$1"
  shift
  "$@" | tee "$work/output"
  counts+=("$what: $(sed -nE 's/\x1b\[[0-9;]*m//g; /[0-9]+ (of [0-9]+ )?passed/h; ${x; s/^.*: //; s/^ *Tests *//; p}' "$work/output")")
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

# Answers whether Node is there in this version or a later one.
node_since() {
  node --eval 'const [found, wanted] = [process.versions.node, process.argv[1]].map((text) => text.split(".").map(Number));
    process.exit(found[0] > wanted[0] || (found[0] === wanted[0] && found[1] >= wanted[1]) ? 0 : 1);' "$1" 2>/dev/null
}

redis_major() { redis-server --version 2>/dev/null | sed -n 's/.* v=\([0-9]*\)\..*/\1/p'; }

install_missing() {
  local packages=()
  command -v cc >/dev/null || packages+=(gcc libc6-dev)
  command -v make >/dev/null || packages+=(make)
  command -v cmake >/dev/null || packages+=(cmake)
  # The examples of docs/http.md are run.
  command -v curl >/dev/null || packages+=(curl)
  [ "$(redis_major || true)" ] || packages+=(redis-server)
  node_since 18.0 || packages+=(nodejs)
  # Debian has npm apart from Node; other packages of Node bring it.
  command -v npm >/dev/null || packages+=(npm)
  # Without ensurepip, which Debian has apart from Python, a virtual environment has no pip.
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
  [ -e "$chromium" ] || packages+=(chromium)
  # Debian keeps it, too, where only root finds it.
  [ -x /usr/sbin/haproxy ] || command -v haproxy >/dev/null || packages+=(haproxy)
  # Debian keeps its programs out of the path.
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || [ -n "${POSTGRES_BIN:-}" ] || packages+=(postgresql)
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
  if ! node_since 18.0; then
    echo "node 18 or later is needed; found: $(node --version 2>/dev/null || echo none)" >&2
    return 1
  fi
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    say "installing rustfmt and clippy"
    rustup component add rustfmt clippy
  fi
}

# Puts a Node that the client's tools run on first in the path.
prepare_node() {
  node_since "$node_wanted" && return
  local own="$PWD/$node_own/node_modules/node/bin"
  if ! PATH="$own:$PATH" node_since "$node_wanted"; then
    say "fetching node@22, because $(node --version) is older than $node_wanted"
    npm install --prefix "$node_own" --no-save --no-audit --no-fund --loglevel error node@22
  fi
  export PATH="$own:$PATH"
  node_since "$node_wanted"
}

# Fetches the packages of a folder as its lock file says, unless that was done since the file changed.
prepare_packages() {
  if ! [ "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ]; then
    say "fetching the packages of $1"
    (cd "$1" && timeout 300 npm ci --no-audit --no-fund --loglevel error)
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

# Everything of the client that needs no gateway, and whether what is made from other files is what they say.
check_client() {
  prepare_packages client
  say "the client"
  counted "the client" timeout 300 npm --prefix client test
  local script
  for script in client/scripts/*.mjs; do
    if grep -q -e --check "$script"; then
      timeout 60 node "$script" --check
    fi
  done
  timeout 60 node client/scripts/documents.mjs
}

check_dashboard() {
  prepare_packages examples/live-dashboard
  say "the dashboard"
  counted "the dashboard" timeout 300 npm --prefix examples/live-dashboard test
}

# What a browser shows. Needs the gateway to be built.
check_in_browser() {
  export CHROMIUM="$chromium" ROOMCAST_BIN
  ROOMCAST_BIN="$(realpath "${CARGO_TARGET_DIR:-target}")/debug/roomcast"
  say "the page in a browser"
  counted "the page in a browser" timeout 300 node tests/browser/console.mjs
  say "the client in a browser"
  counted "the client in a browser" timeout 480 npm --prefix client run e2e
  prepare_packages examples/postgres-sync
  say "a PostgreSQL table in a browser"
  counted "a PostgreSQL table in a browser" timeout 300 npm --prefix examples/postgres-sync run e2e
  say "the dashboard in a browser"
  counted "the dashboard in a browser" timeout 300 npm --prefix examples/live-dashboard run e2e
}

# Runs a check that fetches its own tools and names by NOT CHECKED what it could not have.
check_with_own_tools() {
  timeout 600 "$@" 2>&1 | tee "$work/output"
  local line
  while read -r line; do
    unchecked+=("${line#NOT CHECKED: }")
  done < <(grep '^NOT CHECKED: ' "$work/output" || true)
}

# What operators rely on. Needs the gateway to be built: it loads what the chart renders, and is watched by a Prometheus.
check_operations() {
  export ROOMCAST_BIN
  ROOMCAST_BIN="$(realpath "${CARGO_TARGET_DIR:-target}")/debug/roomcast"
  say "the chart"
  check_with_own_tools ./scripts/check-chart.sh
  say "what operators rely on"
  check_with_own_tools ./scripts/check-operations.sh
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
say "the page's modules"
timeout 120 node --test --test-reporter=spec web/console/*.test.js
prepare_node
check_client
check_dashboard
say "building the tests"
# This builds the gateway too, with the very features of the tests, so that nothing is compiled twice.
cargo test --quiet --workspace --locked --no-run
check_operations
check_in_browser
say "tests"
cargo test --workspace --locked | tee "$work/results"
counts+=("$(awk '/^test result:/ { passed += $4; failed += $6 } END { printf "the gateway: %d passed, %d failed", passed, failed }' "$work/results")")
compare_instructions
say "passed"
printf '%s\n' "${counts[@]}"
for what in "${unchecked[@]}"; do
  printf 'NOT CHECKED: %s\n' "$what"
done
