#!/usr/bin/env bash
# Checks the Helm chart: lint, what it renders, and that it refuses what cannot work. Needs `helm` (3 or 4) on the PATH.
# With ROOMCAST_BIN=path/to/roomcast the rendered configuration is also loaded by that binary.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v helm >/dev/null; then
  echo "helm is not installed: the chart is NOT checked (https://helm.sh/docs/intro/install)"
  exit 0
fi

chart=helm/roomcast
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

failed() {
  echo "check-chart: $*" >&2
  exit 1
}

# renders NAME [helm arguments]: what comes out is in $work/NAME.yaml afterwards.
renders() {
  local name="$1"
  shift
  helm template "$name" "$chart" --namespace live "$@" >"$work/$name.yaml" 2>"$work/error" || failed "$name does not render: $(cat "$work/error")"
}

# has NAME TEXT, has_not NAME TEXT: what was rendered contains the text, or does not.
has() { grep -qF -- "$2" "$work/$1.yaml" || failed "$1 lacks: $2"; }
has_not() { if grep -qF -- "$2" "$work/$1.yaml"; then failed "$1 has: $2"; fi; }

# refuses REASON [helm arguments]: rendering must fail, and say why.
refuses() {
  local reason="$1"
  shift
  if helm template refused "$chart" "$@" >/dev/null 2>"$work/error"; then
    failed "not refused: $*"
  fi
  grep -qF -- "$reason" "$work/error" || failed "$* is refused without saying \"$reason\": $(cat "$work/error")"
}

# loads NAME: the binary takes the rendered configuration, with the variables that the pod would have.
loads() {
  awk '/^  roomcast\.toml: \|/ { inside = 1; next } inside && !/^    / { exit } inside { print substr($0, 5) }' "$work/$1.yaml" >"$work/roomcast.toml"
  printf %s "a-secret-for-this-check-of-32-bytes-or-more" >"$work/secret"
  printf %s "redis://127.0.0.1:6379" >"$work/url"
  env -i ROOMCAST_NODE__ID="$1-6d5f7c8b9-x2x4z" ROOMCAST_SERVER__ADDRESS=0.0.0.0:8080 ROOMCAST_INTERNAL__LISTEN=0.0.0.0:9090 \
    ROOMCAST_AUTH__SECRET_FILE="$work/secret" ROOMCAST_BROKER__REDIS__URL_FILE="$work/url" \
    "$ROOMCAST_BIN" config check --config "$work/roomcast.toml" >"$work/loaded" 2>&1 || failed "$1 does not load: $(cat "$work/loaded")"
  grep -qF "The configuration is valid." "$work/loaded" || failed "$ROOMCAST_BIN does not say that the configuration of $1 is valid"
}

# holds TEXT: the configuration loaded last has this value.
holds() { grep -qF -- "$1   from" "$work/loaded" || failed "the binary did not read $1: $(cat "$work/loaded")"; }

redis=(--set config.broker.kind=redis --set secrets.redis.name=roomcast-redis)

helm lint --strict --quiet "$chart"
helm lint --strict --quiet "$chart" --set replicaCount=3 "${redis[@]}" --set ingress.enabled=true --set ingress.host=rt.example.com

renders single
has single "type: Recreate"
[ "$(grep -c 'name: single-roomcast$' "$work/single.yaml")" = 5 ] || failed "an object, or the volume of the configuration, has another name"
has single "readOnlyRootFilesystem: true"
has single "value: /etc/roomcast/secrets/auth/value"
has_not single "kind: PodDisruptionBudget"
has_not single "kind: Ingress"
has_not single "ROOMCAST_BROKER__REDIS__URL_FILE"

cat >"$work/values.yaml" <<'VALUES'
replicaCount: 3
config:
  broker: {kind: redis, redis: {bytes_max: 1073741824, tls_ca_file: /etc/roomcast/secrets/redis-ca/ca.crt}}
  limits: {connections_per_org_max: 100000}
  telemetry: {log: {filter: "warn,roomcast=debug"}, otlp: {endpoint: "http://collector:4318", sample_ratio: 0.25}}
  websocket: {allowed_origins: ["https://app.example.com"], compression: false}
  auth:
    roles: {"realm admin": {grants: ["publish:chat:{org}:**"], scopes: [publish, read]}}
    api_keys: [{id: backend, scopes: [publish], sha256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}]
secrets:
  redis: {name: roomcast-redis}
  files: [{name: redis-ca, secretName: redis-tls}]
VALUES
renders cluster --values "$work/values.yaml"
has cluster "replicas: 3"
has cluster "maxSurge: 1"
has cluster "maxUnavailable: 0"
has cluster "kind: PodDisruptionBudget"
has cluster "value: /etc/roomcast/secrets/redis/value"
has cluster "mountPath: /etc/roomcast/secrets/redis-ca"
grep -qx '    bytes_max = 1073741824' "$work/cluster.yaml" || failed "whole numbers are not written as such"
has cluster '[auth.roles."realm admin"]'

renders ingress "${redis[@]}" --set ingress.enabled=true --set ingress.host=rt.example.com --set ingress.tlsSecretName=rt-tls
has ingress "kind: Ingress"
has ingress 'nginx.ingress.kubernetes.io/proxy-read-timeout: "75"'
has ingress "secretName: rt-tls"

checksum() { grep 'checksum/config' "$work/$1.yaml"; }
renders same
renders same --set config.limits.commands_burst=300
mv "$work/same.yaml" "$work/changed.yaml"
renders same
[ "$(checksum same)" != "$(checksum changed)" ] || failed "a changed configuration does not roll the nodes"

refuses "nodes with the embedded broker do not hear of each other" --set replicaCount=2
refuses "set secrets.redis.name" --set config.broker.kind=redis
refuses "nothing verifies tokens" --set secrets.auth.name=
refuses "must be longer than config.drain.deadline_ms" --set terminationGracePeriodSeconds=25
refuses "must be longer than config.drain.deadline_ms" --set config.drain.deadline_ms=30000
refuses "ingress.enabled needs ingress.host" --set ingress.enabled=true
refuses "config.auth.secret must not be set" --set config.auth.secret=not-here
refuses "config.broker.redis.url must not be set" --set config.broker.redis.url=redis://redis:6379
refuses "config.server.address must not be set" --set config.server.address=0.0.0.0:80
refuses "use secret_file" --set 'config.auth.keys[0].secret=not-here'
refuses "no place for credentials" --set 'config.broker.redis.nodes[0]=redis://:password@sentinel:26379'
# Helm 3 and 4 word the faults of the schema differently, but both name the value.
refuses "replicas" --set replicas=3
refuses "limit" --set config.limit.commands_burst=300
refuses "kind" --set config.broker.kind=kafka
refuses "replicaCount" --set replicaCount=0
refuses "pullPolicy" --set image.pullPolicy=Sometimes
refuses "config" --set config=null
refuses "app.kubernetes.io/name" --set 'podLabels.app\.kubernetes\.io/name=other'
refuses "secrets" --set 'secrets.files[0].name=auth' --set 'secrets.files[0].secretName=other'

loaded="not loaded by a binary (ROOMCAST_BIN is not set)"
if [ -n "${ROOMCAST_BIN:-}" ]; then
  loads single
  loads cluster
  holds "broker.redis.bytes_max = 1073741824"
  holds "telemetry.otlp.sample_ratio = 0.25"
  holds 'auth.roles = {"realm admin":{"grants":["publish:chat:{org}:**"],"scopes":["publish","read"]}}'
  holds 'websocket.allowed_origins = ["https://app.example.com"]'
  loaded="loaded by $ROOMCAST_BIN"
fi
echo "the chart holds with helm $(helm version --short); the configuration was $loaded"
