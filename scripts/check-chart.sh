#!/usr/bin/env bash
# Checks the Helm chart with Helm 3 and 4: lint, what it renders, against snapshots and strict schemas, and that it refuses what cannot work.
# With ROOMCAST_BIN=path/to/roomcast the rendered configurations are also loaded by that binary. UPDATE_SNAPSHOTS=1 writes the snapshots anew.
# Fetches its tools into .cache/operations (scripts/operations-tools.sh); what could not be had is named by lines NOT CHECKED.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/operations-tools.sh
. scripts/operations-tools.sh

chart=helm/roomcast
snapshots=tests/operations/manifests
# The oldest version that Chart.yaml admits, and the newest with a schema.
kubernetes=(1.30.0 1.37.0)
work="$(mktemp -d)"
notes_command=""
trap 'rm -rf "$work"' EXIT

failed() {
  echo "check-chart: $*" >&2
  exit 1
}

# render NAME [helm arguments]: what comes out is in $work/NAME.yaml afterwards.
render() {
  local name="$1"
  shift
  "$helm" template live "$chart" --namespace live "$@" >"$work/$name.yaml" 2>"$work/error" || failed "$name does not render with $version: $(cat "$work/error")"
}

# has NAME TEXT, has_not NAME TEXT: what was rendered contains the text, or does not.
has() { grep -qF -- "$2" "$work/$1.yaml" || failed "$1 lacks: $2"; }
has_not() { if grep -qF -- "$2" "$work/$1.yaml"; then failed "$1 has: $2"; fi; }

# refuses REASON [helm arguments]: rendering must fail, and say why.
refuses() {
  local reason="$1"
  shift
  if "$helm" template refused "$chart" "$@" >/dev/null 2>"$work/error"; then
    failed "not refused by $version: $*"
  fi
  grep -qF -- "$reason" "$work/error" || failed "$* is refused without saying \"$reason\": $(cat "$work/error")"
}

# loads NAME: the binary takes the rendered configuration, with the variables that the pod would have.
loads() {
  toml_of "$1"
  printf %s "a-secret-for-this-check-of-32-bytes-or-more" >"$work/secret"
  printf %s "redis://127.0.0.1:6379" >"$work/url"
  local variables=(ROOMCAST_NODE__ID="$1-6d5f7c8b9-x2x4z" ROOMCAST_SERVER__ADDRESS=0.0.0.0:8080 ROOMCAST_INTERNAL__LISTEN=0.0.0.0:9090)
  if grep -q ROOMCAST_AUTH__SECRET_FILE "$work/$1.yaml"; then variables+=(ROOMCAST_AUTH__SECRET_FILE="$work/secret"); fi
  if grep -q ROOMCAST_BROKER__REDIS__URL_FILE "$work/$1.yaml"; then variables+=(ROOMCAST_BROKER__REDIS__URL_FILE="$work/url"); fi
  if grep -q ROOMCAST_BROKER__REDIS__NODES_FILE "$work/$1.yaml"; then variables+=(ROOMCAST_BROKER__REDIS__NODES_FILE="$work/url"); fi
  env -i "${variables[@]}" "$ROOMCAST_BIN" config check --config "$work/roomcast.toml" >"$work/$1.loaded" 2>&1 || failed "$1 does not load: $(cat "$work/$1.loaded")"
  grep -qF "The configuration is valid." "$work/$1.loaded" || failed "$ROOMCAST_BIN does not say that the configuration of $1 is valid"
}

# holds NAME TEXT: the loaded configuration has this value.
holds() { grep -qF -- "$2   from" "$work/$1.loaded" || failed "the binary did not read $2: $(cat "$work/$1.loaded")"; }

# Without the dashboard, whose text is a file of its own.
snapshot_of() {
  awk '/^---$/ { held = $0; next } held { skipped = /dashboard\.yaml$/; if (!skipped) print held; held = "" } !skipped { print }' "$1"
}

check_snapshots() {
  local path name
  for path in "$chart"/ci/*-values.yaml; do
    name="$(basename "$path" -values.yaml)"
    "$helm" lint --strict --quiet "$chart" --values "$path" >"$work/error" 2>&1 || failed "$name: $(cat "$work/error")"
    render "$name" --values "$path"
    snapshot_of "$work/$name.yaml" >"$work/snapshot"
    if [ -n "${UPDATE_SNAPSHOTS:-}" ]; then
      cp "$work/snapshot" "$snapshots/$name.yaml"
    fi
    diff -u "$snapshots/$name.yaml" "$work/snapshot" >&2 || failed "$name renders otherwise with $version; UPDATE_SNAPSHOTS=1 $0 accepts it"
  done
}

# Said in words, because a snapshot is accepted too easily.
check_contents() {
  has single "type: Recreate"
  has_not single "kind: PodDisruptionBudget"
  has_not single "kind: Ingress"
  has_not single "ROOMCAST_BROKER__REDIS__URL_FILE"
  has single "value: /etc/roomcast/secrets/auth/value"
  has development "maxSurge: 1"
  has development "maxUnavailable: 0"
  has development "kind: PodDisruptionBudget"
  has development "value: redis://live-roomcast-redis:6379"
  has development 'kind = "redis"'
  has production 'nginx.ingress.kubernetes.io/proxy-read-timeout: "75"'
  has production "mountPath: /etc/roomcast/secrets/redis-ca"
  has production 'secret_file = "/etc/roomcast/secrets/auth/previous"'
  has production "    bytes_max = 1073741824"
  has production "https://wiki.example.com/roomcast#roomcastdown"
  has production "team: realtime"
  has_not production "alert: RoomcastNodesUneven"
  has_not production "replicas: 1"
  has production "live-note"
  has sentinel "ROOMCAST_BROKER__REDIS__NODES_FILE"
  has sentinel "request: 0s"
  has_not sentinel "preStop"
  has sentinel "stabilizationWindowSeconds: 1800"
  has cluster "--agents=realtime-load-1-agents-0.realtime-load-1:7700,realtime-load-1-agents-1.realtime-load-1:7700"
}

checksum() { grep 'checksum/config' "$work/$1.yaml"; }

check_rolling() {
  render same
  render changed --set config.limits.commands_burst=300
  [ "$(checksum same)" != "$(checksum changed)" ] || failed "a changed configuration does not roll the nodes"
  render unchanged --set podLabels.team=realtime
  [ "$(checksum same)" = "$(checksum unchanged)" ] || failed "the checksum of the configuration changes with other values"
  render rotated --set-string secrets.revision=2
  has rotated 'roomcast/secrets-revision: "2"'
}

check_refusals() {
  local redis=(--set config.broker.kind=redis --set secrets.redis.name=roomcast-redis)
  refuses "nodes with the embedded broker do not hear of each other" --set replicaCount=2
  refuses "nodes with the embedded broker do not hear of each other" --set autoscaling.hpa.enabled=true
  refuses "set secrets.redis.name" --set config.broker.kind=redis
  refuses "two places of Redis" "${redis[@]}" --set developmentRedis.enabled=true
  refuses "name the Sentinels" "${redis[@]}" --set config.broker.redis.mode=sentinel
  refuses "a single server" --set developmentRedis.enabled=true --set config.broker.redis.mode=cluster
  refuses "two of them undo each other's work" "${redis[@]}" --set autoscaling.hpa.enabled=true --set autoscaling.keda.enabled=true
  refuses "needs autoscaling.keda.prometheusAddress" "${redis[@]}" --set autoscaling.keda.enabled=true
  refuses "minReplicas is more than" "${redis[@]}" --set autoscaling.hpa.enabled=true --set autoscaling.minReplicas=11
  refuses "must be below config.limits.connections_per_node_max" "${redis[@]}" --set autoscaling.hpa.enabled=true --set autoscaling.sessionsPerNode=1000
  refuses "clients would be answered 503" --set config.limits.connections_per_node_max=20000
  refuses "nothing verifies tokens" --set secrets.auth.name=
  refuses "secrets.auth.previousKey" --set secrets.auth.name= --set secrets.auth.previousKey=old --set config.auth.jwks.url=https://id.example.com
  refuses "in the midst of their drain" --set terminationGracePeriodSeconds=40
  refuses "in the midst of their drain" --set config.drain.deadline_ms=30000
  refuses "in the midst of their drain" --set preStopSleepSeconds=10
  refuses "in the midst of their drain" --set config.server.stop_timeout_ms=20000
  refuses "ingress.enabled needs ingress.host" --set ingress.enabled=true
  refuses "gatewayRoute.enabled needs gatewayRoute.parentRefs" --set gatewayRoute.enabled=true
  refuses "loadtest.enabled needs loadtest.secretName" --set loadtest.enabled=true
  refuses "config.auth.secret must not be set" --set config.auth.secret=not-here
  refuses "config.broker.redis.url must not be set" --set config.broker.redis.url=redis://redis:6379
  refuses "config.server.address must not be set" --set config.server.address=0.0.0.0:80
  refuses "use secret_file" --set 'config.auth.keys[0].secret=not-here'
  refuses "no place for credentials" --set 'config.broker.redis.nodes[0]=redis://:password@sentinel:26379'
  # Helm 3 and 4 word the faults of the schema differently, but both name the value.
  refuses "replicas" --set replicas=3
  refuses "limit" --set config.limit.commands_burst=300
  refuses "comands_per_s" --set config.limits.comands_per_s=5
  refuses "sample_ratio" --set config.telemetry.otlp.sample_ratio=half
  refuses "kind" --set config.broker.kind=kafka
  refuses "replicaCount" --set replicaCount=0
  refuses "pullPolicy" --set image.pullPolicy=Sometimes
  refuses "digest" --set image.digest=sha256:short
  refuses "config" --set config=null
  refuses "app.kubernetes.io/name" --set 'podLabels.app\.kubernetes\.io/name=other'
  refuses "checksum/config" --set 'podAnnotations.checksum/config=other'
  refuses "secrets" --set 'secrets.files[0].name=auth' --set 'secrets.files[0].secretName=other'
  refuses "memory" --set developmentRedis.resources.limits.memory=1000000
  refuses "whenUnsatisfiable" --set topologySpread.whenUnsatisfiable=Never
  refuses "longPaths" --set 'gatewayRoute.longPaths[0]=ws'
  refuses "agents" --set loadtest.agents=0
  refuses "disabledAlerts" --set 'metrics.prometheusRule.disabledAlerts[0]=Other'
}

# The commands that the notes and the README name. Helm 3 shows no notes without a cluster.
check_texts() {
  case "$version" in
    "helm v4."*)
      "$helm" install live "$chart" --dry-run=client --namespace live >"$work/notes" 2>"$work/error" || failed "the notes do not render: $(cat "$work/error")"
      notes_command="$(sed -n 's/.*-- roomcast \(token mint .*\))$/\1/p' "$work/notes")"
      [ -n "$notes_command" ] || failed "the notes name no command that makes a token"
      ;;
  esac
  sed -n '/^# production\.yaml$/,/^```$/p' "$chart/README.md" | sed '$d' >"$work/readme-values.yaml"
  render readme --values "$work/readme-values.yaml"
  has readme "kind: NetworkPolicy"
}

# toml_of NAME: the configuration that NAME rendered, as $work/roomcast.toml.
toml_of() {
  awk '/^  roomcast\.toml: \|/ { inside = 1; next } inside && !/^    / { exit } inside { print substr($0, 5) }' "$work/$1.yaml" >"$work/roomcast.toml"
}

# While a secret is rotated, tokens of both are good.
check_rotation() {
  render rotation --set secrets.auth.previousKey=previous
  toml_of rotation
  printf %s "another-secret-for-this-check-of-32-bytes" >"$work/previous"
  sed -i "s#/etc/roomcast/secrets/auth/previous#$work/previous#" "$work/roomcast.toml"
  local key token
  for key in secret previous; do
    token="$(env -i "$ROOMCAST_BIN" token mint --sub alice --org acme --key-file "$work/$key")"
    env -i ROOMCAST_AUTH__SECRET_FILE="$work/secret" ROOMCAST_TOKEN="$token" "$ROOMCAST_BIN" token inspect --config "$work/roomcast.toml" >"$work/inspected" ||
      failed "a token of the key '$key' is not accepted while the secret is rotated"
  done
}

check_with_binary() {
  local path name
  for path in "$chart"/ci/*-values.yaml; do
    name="$(basename "$path" -values.yaml)"
    loads "$name"
  done
  holds production "broker.redis.bytes_max = 1073741824"
  holds production "telemetry.otlp.sample_ratio = 0.25"
  holds production 'auth.roles = {"realm admin":{"grants":["publish:chat:{org}:**"],"scopes":["publish","read"]}}'
  holds production 'websocket.allowed_origins = ["https://app.example.com"]'
  holds development 'broker.kind = "redis"'
  # What stands in the chart's own texts about the nodes' defaults.
  env -i "$ROOMCAST_BIN" config defaults >"$work/defaults"
  holds_default() { grep -qxF -- "$1" "$work/defaults" || failed "the nodes' default is no longer: $1"; }
  holds_default "deadline_ms = 25000"
  holds_default "stop_timeout_ms = 10000"
  holds_default "connections_per_node_max = 1000"
  holds_default "connections_max = 16384"
  check_rotation
  # The notes' token is one that the nodes take.
  [ -n "$notes_command" ] || return 0
  local token
  # shellcheck disable=SC2086 # it is a command line
  token="$(env -i ROOMCAST_AUTH__SECRET_FILE="$work/secret" "$ROOMCAST_BIN" $notes_command)" || failed "roomcast $notes_command makes no token"
  env -i ROOMCAST_AUTH__SECRET_FILE="$work/secret" ROOMCAST_TOKEN="$token" "$ROOMCAST_BIN" token inspect >"$work/inspected" ||
    failed "the token of the notes is not accepted"
}

mapfile -t helms < <(helms)
if [ "${#helms[@]}" = 0 ]; then
  not_checked "the chart: there is no Helm here and none can be fetched"
  exit 0
fi
for helm in "${helms[@]}"; do
  version="helm $("$helm" version --short)"
  "$helm" lint --strict --quiet "$chart"
  check_snapshots
  check_contents
  check_rolling
  check_refusals
  check_texts
  echo "the chart holds with $version"
done
manifests="$work/manifests"
mkdir "$manifests"
for path in "$chart"/ci/*-values.yaml; do cp "$work/$(basename "$path" -values.yaml).yaml" "$manifests"; done
if python_tools; then
  "$tools/python/bin/python" tests/operations/check_manifests.py "$manifests" "${kubernetes[@]}"
  if node_tools; then
    node tests/operations/check_custom_resources.mjs "$manifests/custom.json" "$tools/node"
  else
    not_checked "custom resources against their types (the models cannot be fetched)"
  fi
else
  not_checked "manifests against the schemas of Kubernetes (kubernetes-validate cannot be fetched)"
fi
if [ -n "${ROOMCAST_BIN:-}" ]; then
  check_with_binary
  echo "the rendered configurations are loaded by $ROOMCAST_BIN"
else
  not_checked "whether a node loads the rendered configurations (ROOMCAST_BIN is not set)"
fi
