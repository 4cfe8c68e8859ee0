#!/bin/sh
# A backend that needs nothing but a Redis client: it writes to the ingest stream, and the nodes do the rest.
# Environment: REDIS_HOST, REDIS_PORT, REDISCLI_AUTH (a password), ORG, INTERVAL_S.
set -eu

host="${REDIS_HOST:-127.0.0.1}"
port="${REDIS_PORT:-6379}"
org="${ORG:-acme}"
number=0

while :; do
  number=$((number + 1))
  for department in sales support; do
    # The stream is capped, so that it stays small should no node be there to take from it.
    redis-cli -h "$host" -p "$port" XADD rc:ingest MAXLEN '~' 100000 '*' \
      room "kpi:$org:$department" \
      event kpi:update \
      data "{\"number\":$number,\"calls\":$((number * 7 % 50)),\"waiting\":$((number * 3 % 12))}" >/dev/null ||
      echo "Redis did not take publication $number of $department; the next one will be tried" >&2
  done
  sleep "${INTERVAL_S:-1}"
done
