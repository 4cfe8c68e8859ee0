#!/usr/bin/env bash
# Checks what operators rely on: alerts and their tests, the dashboard, runbooks, the Compose file and what it mounts. With
# ROOMCAST_BIN=path/to/roomcast a real Prometheus also scrapes a real node, and asks it all that the dashboard asks.
# Fetches its tools into .cache/operations (scripts/operations-tools.sh); what could not be had is named by lines NOT CHECKED.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/operations-tools.sh
. scripts/operations-tools.sh

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
rules=helm/roomcast/rules/roomcast.yaml

failed() {
  echo "check-operations: $*" >&2
  exit 1
}

# Everything that Compose knows of the file, with each profile; and that what it mounts is there.
check_compose() {
  local profile
  for profile in '' observability dashboard '*'; do
    COMPOSE_PROFILES="$profile" "${compose[@]}" --file docker-compose.yml config --quiet || failed "docker-compose.yml with profiles '$profile'"
  done
  local default
  default="$(COMPOSE_PROFILES='' "${compose[@]}" --file docker-compose.yml config --services | sort | tr '\n' ' ')"
  [ "$default" = "balancer node1 node2 node3 publisher redis " ] || failed "without profiles Compose starts $default"
  COMPOSE_PROFILES='*' "${compose[@]}" --file docker-compose.yml config --format json >"$work/compose.json"
  "$tools/python/bin/python" - "$work/compose.json" <<'PYTHON'
import json, os, sys
services = json.load(open(sys.argv[1]))["services"]
for name, service in services.items():
    for volume in service.get("volumes", []):
        if volume["type"] == "bind" and not os.path.exists(volume["source"]):
            sys.exit(f"check-operations: {name} mounts {volume['source']}, which is not there")
    for port in service.get("ports", []):
        if port.get("host_ip") != "127.0.0.1":
            sys.exit(f"check-operations: {name} publishes a port to others than this machine")
    dockerfile = service.get("build", {}).get("dockerfile")
    if dockerfile and not os.path.exists(os.path.join(service["build"]["context"], dockerfile)):
        sys.exit(f"check-operations: {name} is built from {dockerfile}, which is not there")
    if "no-new-privileges:true" not in service.get("security_opt", []):
        sys.exit(f"check-operations: {name} may gain privileges")
PYTHON
  echo "docker-compose.yml holds with every profile"
}

if ! python_tools; then
  not_checked "alerts, dashboard, runbooks and the Compose file (Python's packages cannot be fetched)"
  exit 0
fi
python="$tools/python/bin/python"
python3 scripts/dashboard.py --check
"$python" tests/operations/check_operations.py "$work/panels.yaml"
"$python" tests/operations/check_logs.py
if node_tools; then
  node tests/operations/check_dashboard.mjs helm/roomcast/dashboards/roomcast.json "$tools/node"
else
  not_checked "the dashboard against Grafana's types (they cannot be fetched)"
fi

if prometheus_tools; then
  promtool check rules "$rules" >"$work/output" 2>&1 || failed "$(cat "$work/output")"
  promtool check rules "$work/panels.yaml" >"$work/output" 2>&1 || failed "a query of the dashboard cannot be read: $(cat "$work/output")"
  promtool test rules tests/operations/rules.test.yaml >"$work/output" 2>&1 || failed "$(cat "$work/output")"
  mkdir "$work/prometheus"
  cp deploy/prometheus.yml "$work/prometheus/"
  cp -r helm/roomcast/rules "$work/prometheus/"
  promtool check config "$work/prometheus/prometheus.yml" >"$work/output" 2>&1 || failed "$(cat "$work/output")"
  echo "every alert fires in its test, and none on ordinary traffic"
  if [ -z "${ROOMCAST_BIN:-}" ] || ! command -v redis-server >/dev/null; then
    not_checked "the dashboard's queries against a real node (ROOMCAST_BIN is not set, or there is no redis-server)"
  else
    mkdir "$work/live"
    "$python" tests/operations/check_live.py "$ROOMCAST_BIN" "$(command -v prometheus)" "$work/live"
  fi
else
  not_checked "alerts and queries by promtool (Debian's package prometheus cannot be fetched)"
fi
if compose_tool; then
  check_compose
else
  not_checked "the Compose file (Debian's package docker-compose of version 2 cannot be fetched)"
fi
not_checked "how the dashboard looks in Grafana (it is in none of the package registries)"
