#!/usr/bin/env python3
"""What a node spends on orgs that only are there: three figures that docs/scale.md and `roomcast-loadtest plan` reckon with.

Starts a redis-server and gateways of its own on loopback, and opens sessions that want nothing: each in an org of its own, or all in one. What
the first case costs beyond the second is the orgs'. Processor time is the scheduler's count (/proc/<pid>/task/*/schedstat), memory what no file backs
(RssAnon), calls are Redis' own count. Medians of RUNS. Needs redis-py: scripts/test.sh --prepare puts one into .cache/snippets/venv.

    cargo build --release && .cache/snippets/venv/bin/python scripts/node-costs.py target/release/roomcast
"""

import base64
import contextlib
import glob
import hashlib
import hmac
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import redis

RUNS = int(os.environ.get("RUNS", "3"))
SECRET = "only for this measurement, on loopback"
# Sessions, one org each or all in one: memory is the slope between the two.
FEW, MANY = 500, 2_500
# Pauses between probes of a silent org have grown to their longest after 1 + 2 + 4 + 8 s.
QUIET_S = 17
# A whole number of the longest pause (8 s) and of the renewals' (3 s).
WATCHED_S = 24
# Orgs that are published into, for how long, and at which rates, so many at a stroke: a node that is busy is not woken up for each.
BUSY, SECONDS, RATES = 1_000, 10, ((300, 1), (1_000, 1), (8_000, 10))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, answer):
    for _ in range(400):
        with contextlib.suppress(OSError, redis.RedisError):
            if answer():
                return
        time.sleep(0.05)
    sys.exit(f"{what}: not within 20 s")


def token(org, user):
    part = lambda value: base64.urlsafe_b64encode(value).rstrip(b"=")
    claims = {"sub": user, "org": org, "iat": int(time.time()), "exp": int(time.time()) + 3_600}
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest())).decode()


class Node:
    """A gateway on a Redis, both fresh, with sessions that want nothing."""

    def __init__(self, binary, directory):
        self.port, self.redis_port, self.sockets = free_port(), free_port(), []
        store = ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]
        self.store = subprocess.Popen(store, stdout=subprocess.DEVNULL)
        self.redis = redis.Redis(port=self.redis_port)
        until("redis-server answers", self.redis.ping)
        settings = {
            "ROOMCAST_AUTH__SECRET": SECRET,
            "ROOMCAST_SERVER__ADDRESS": f"127.0.0.1:{self.port}",
            "ROOMCAST_SERVER__CONNECTIONS_PER_ADDRESS_MAX": "0",
            "ROOMCAST_INTERNAL__LISTEN": f"127.0.0.1:{free_port()}",
            "ROOMCAST_LIMITS__CONNECTIONS_PER_ORG_MAX": "0",
            "ROOMCAST_LIMITS__CONNECTIONS_PER_NODE_MAX": "100000",
            # Pings are the sessions' cost.
            "ROOMCAST_LIMITS__PING_INTERVAL_MS": "3000000",
            "ROOMCAST_LIMITS__STALE_AFTER_MS": "9000000",
        }
        gateway = [binary, "serve", "--redis-url", f"redis://127.0.0.1:{self.redis_port}"]
        self.gateway = subprocess.Popen(gateway, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("the gateway listens", lambda: socket.create_connection(("127.0.0.1", self.port)).close() or True)
        until("the gateway has loaded the functions", lambda: self.redis.execute_command("FUNCTION", "LIST"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.sockets:
            client.close()
        for process in (self.gateway, self.store):
            process.kill()
            process.wait()

    def open(self, org, number):
        client = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer {token(org, f'user{number}')}\r\n\r\n".encode()
        )
        answer = b""
        while b'"authenticated"' not in answer:
            piece = client.recv(65_536)
            if not piece:
                sys.exit(f"a session was not let in: {answer!r}")
            answer += piece
        self.sockets.append(client)

    def fill(self, sessions, apart):
        for number in range(len(self.sockets), sessions):
            self.open(f"org{number}" if apart else "org0", number)

    def cpu_us(self):
        tasks = glob.glob(f"/proc/{self.gateway.pid}/task/*/schedstat")
        return sum(int(pathlib.Path(task).read_text().split()[0]) for task in tasks) / 1_000

    def memory(self):
        status = pathlib.Path(f"/proc/{self.gateway.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1_024

    def calls(self):
        return self.redis.info("commandstats").get("cmdstat_fcall", {"calls": 0})["calls"]

    def cost(self, work):
        """Processor time and calls of the functions while `work` is done."""
        before = self.cpu_us(), self.calls()
        work()
        return self.cpu_us() - before[0], self.calls() - before[1]


def settled_memory(node):
    """What is freed is given back a while later."""
    time.sleep(QUIET_S)
    return node.memory()


def bytes_each(node, apart):
    node.fill(FEW, apart)
    before = settled_memory(node)
    node.fill(MANY, apart)
    return (settled_memory(node) - before) / (MANY - FEW)


def publish(node, rate, stroke):
    """For SECONDS into rooms that no session wants, or for as long as it takes."""
    count, begun = 0, time.monotonic()
    while count < rate * SECONDS:
        pipeline = node.redis.pipeline(transaction=False)
        for number in range(count, count + stroke):
            org = f"org{number % BUSY}"
            pipeline.execute_command("FCALL", "roomcast_publish", 1, f"rc:{{{org}}}", f"kpi:{org}:sales:support", "kpi:update", '{"waiting":%d}' % number)
        pipeline.execute()
        count += stroke
        time.sleep(max(0, begun + count / rate - time.monotonic()))


def measure(binary):
    with tempfile.TemporaryDirectory() as directory:
        with Node(binary, directory) as node:
            together_bytes = bytes_each(node, apart=False)
            together_us, together_calls = node.cost(lambda: time.sleep(WATCHED_S))
        with Node(binary, directory) as node:
            apart_bytes = bytes_each(node, apart=True)
            apart_us, apart_calls = node.cost(lambda: time.sleep(WATCHED_S))
        call_us = (apart_us - together_us) / (apart_calls - together_calls)
        yield "a session, B", together_bytes
        yield "an org with one session, without the session, B", apart_bytes - together_bytes
        yield "a call for an org (a probe, a renewal, a look at its log), µs", call_us
        yield "calls a second for each org, silent", (apart_calls - together_calls) / WATCHED_S / (MANY - 1)
        for rate, stroke in RATES:
            with Node(binary, directory) as node:
                node.fill(BUSY, apart=True)
                publish(node, rate, stroke)
                work_us, calls = node.cost(lambda: publish(node, rate, stroke))
                told = rate * SECONDS
                yield f"being told of what nobody wants, {rate} a second, µs", (work_us - (calls - told) * call_us) / told


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = {}
    for _ in range(RUNS):
        for what, value in measure(sys.argv[1]):
            found.setdefault(what, []).append(value)
            print(f"  {what:64} {value:10.2f}", file=sys.stderr, flush=True)
    for what, values in found.items():
        print(f"{what:64} {statistics.median(values):10.2f}  ({min(values):.2f}–{max(values):.2f})", flush=True)


if __name__ == "__main__":
    main()
