#!/usr/bin/env bash
# Micro-benchmarks (benches/README.md). Installs valgrind on a Debian machine when it is missing.
#   scripts/bench.sh [WORD]...         instructions now and as recorded; fails when something is dearer by more than 20 %
#   scripts/bench.sh --record          writes benches/recorded.json anew
#   scripts/bench.sh --time [WORD]...  the same bodies by the clock; needs no valgrind
#   scripts/bench.sh --prepare         only installs
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

install_valgrind() {
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo -n)
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends valgrind >/dev/null
}

if [ "${1:-}" != --time ] && ! command -v valgrind >/dev/null; then
  install_valgrind
fi
if [ "${1:-}" = --prepare ]; then
  exit
fi
cargo bench --quiet --locked --bench micro -- "$@"
