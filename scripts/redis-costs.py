#!/usr/bin/env python3
"""What the functions cost Redis: the figures that docs/scale.md and `roomcast-loadtest plan` reckon with.

Starts a redis-server and a gateway of its own on loopback, the gateway only to load the functions, calls each function some ten thousand times in
pipelines, and divides the processor time that Redis says it took. Needs redis-py: scripts/test.sh --prepare puts one into .cache/snippets/venv.

    cargo build --release && .cache/snippets/venv/bin/python scripts/redis-costs.py target/release/roomcast
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

import redis

CALLS = 20_000
PIPELINE = 500
FAR_AHEAD = 10**12
NODE = (
    '{"id":"roomcast-%d","address":"10.10.10.10:8080","version":"1.0.0","started_at_ms":1763715600123,"sessions":20000,'
    '"said_at_ms":1763715600123,"draining":false}'
)
KEY, LOG, BUS = "rc:{acme}", "rc:{acme}:log", "rc:{acme}:bus"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, answer):
    for _ in range(200):
        try:
            if answer():
                return
        except redis.RedisError:
            pass
        time.sleep(0.05)
    sys.exit(f"{what}: not within 10 s")


def cpu_us(client):
    cpu = client.info("cpu")
    return (cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6


def cost_us(client, call, calls=CALLS, at_once=PIPELINE):
    """Processor time of Redis per call, everything included that a call brings about."""

    def run(first, count):
        pipeline = client.pipeline(transaction=False)
        for number in range(first, first + count):
            pipeline.execute_command("FCALL", *call(number))
        pipeline.execute()

    run(0, at_once)
    before = cpu_us(client)
    for first in range(at_once, at_once + calls, at_once):
        run(first, at_once)
    return (cpu_us(client) - before) / calls


def publish(number):
    return ("roomcast_publish", 1, KEY, "kpi:acme:sales:support", "kpi:update", '{"waiting":%d}' % number)


def newest(_):
    return ("roomcast_newest", 2, KEY, LOG)


def trim(_):
    return ("roomcast_trim", 2, KEY, LOG, 2**40, 10**12)


def lease(key, most):
    return lambda number: ("roomcast_lease", 1, key, "n0", FAR_AHEAD + number, 5, most, 10_000)


def registry(key):
    return lambda _: ("roomcast_nodes", 1, key)


class Listeners:
    """Connections that are subscribed to the bus, as nodes are, and read what comes."""

    def __init__(self, port, count):
        self.over = False
        self.topics = [redis.Redis(port=port).pubsub() for _ in range(count)]
        for topic in self.topics:
            topic.subscribe(BUS)
        self.threads = [threading.Thread(target=self.read, args=(topic,)) for topic in self.topics]
        for thread in self.threads:
            thread.start()

    def read(self, topic):
        while not self.over:
            topic.get_message(timeout=0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over = True
        for thread, topic in zip(self.threads, self.topics):
            thread.join()
            topic.close()


def measure(client, port):
    for count in (0, 1, 10, 30):
        with Listeners(port, count):
            yield f"publish, {count} nodes are told", cost_us(client, publish)
    yield "probe", cost_us(client, newest)
    yield "look at a log that is within its bounds", cost_us(client, trim)
    for nodes in (1, 10, 30):
        key = "rc:{acme}:conns%d" % nodes
        for node in range(nodes):
            client.execute_command("FCALL", "roomcast_lease", 1, key, f"n{node}", FAR_AHEAD, 5, 0, 600_000)
        yield f"renewal of a lease, org on {nodes} nodes", cost_us(client, lease(key, 0))
        yield f"lease of a new session, org on {nodes} nodes", cost_us(client, lease(key, 1_000_000))
    for nodes in (10, 100, 1_000):
        key = "rc:nodes%d" % nodes
        for node in range(nodes):
            said = NODE % node
            client.execute_command("FCALL", "roomcast_register", 1, key, f"roomcast-{node}", 600_000, said)
        yield f"reading a registry of {nodes} nodes", cost_us(client, registry(key), 200_000 // nodes, 10)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    port = free_port()
    settings = {
        "ROOMCAST_AUTH__SECRET": "only for this measurement, on loopback",
        "ROOMCAST_SERVER__ADDRESS": f"127.0.0.1:{free_port()}",
        "ROOMCAST_INTERNAL__LISTEN": f"127.0.0.1:{free_port()}",
    }
    with tempfile.TemporaryDirectory() as directory:
        store = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", directory]
        processes = [subprocess.Popen(store, stdout=subprocess.DEVNULL)]
        try:
            client = redis.Redis(port=port)
            until("redis-server answers", client.ping)
            gateway = [sys.argv[1], "serve", "--redis-url", f"redis://127.0.0.1:{port}"]
            processes.append(subprocess.Popen(gateway, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            until("the gateway has loaded the functions", lambda: client.execute_command("FUNCTION", "LIST"))
            for what, us in measure(client, port):
                print(f"{what:42} {us:6.1f} µs", flush=True)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
