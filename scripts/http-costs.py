#!/usr/bin/env python3
"""What a delivery costs a gateway over WebSocket, server-sent events and long polling: the figures of docs/http.md.

Starts a gateway of its own on loopback with the embedded broker, opens sessions of one kind, publishes, and divides the processor time that the
kernel says the gateway took by the publications that sessions got. The next publications go out when all have got the last ones, so that
neither the clients' speed nor other work on the machine is in it. Needs nothing but Python.

    cargo build --release && python3 scripts/http-costs.py target/release/roomcast
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

SESSIONS = 200
ROOM = "kpi:acme:sales:support"
# Publications at once, and how often.
SHAPES = {"one at a time": (1, 200), "100 at a time": (100, 20)}
RUNS = 3
SECRET = "only for this measurement, on loopback"
MARK = b'"mark":'
SESSION = re.compile(rb"x-roomcast-session: *([0-9a-f]+)", re.I)
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
CURSOR = re.compile(rb'"cursor":"([^"]+)"')


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def token(**claims):
    encode = lambda part: base64.urlsafe_b64encode(part).rstrip(b"=")
    claims = {"sub": "somebody", "exp": int(time.time()) + 86_400, **claims}
    text = encode(b'{"alg":"HS256","typ":"JWT"}') + b"." + encode(json.dumps(claims).encode())
    return (text + b"." + encode(hmac.new(SECRET.encode(), text, hashlib.sha256).digest())).decode()


class Gateway:
    def __init__(self, binary):
        self.port = free_port()
        settings = {
            "AUTH__SECRET": SECRET,
            "SERVER__ADDRESS": f"127.0.0.1:{self.port}",
            "INTERNAL__LISTEN": f"127.0.0.1:{free_port()}",
            "LIMITS__CONNECTIONS_PER_ORG_MAX": "100000",
            "HUB__QUEUE_BYTES_MAX": "4194304",
        }
        environment = {f"ROOMCAST_{name}": value for name, value in settings.items()}
        self.process = subprocess.Popen([binary, "serve"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("the gateway does not serve within 10 s")

    def cpu_us(self):
        tasks = f"/proc/{self.process.pid}/task"
        spent = 0
        for task in os.listdir(tasks):
            with open(f"{tasks}/{task}/schedstat") as schedstat:
                spent += int(schedstat.read().split()[0])
        return spent / 1_000

    def publish(self, count):
        one = {"event": "kpi:update", "target": {"room": ROOM}, "data": {"mark": 0, "waiting": 7, "longest_s": 42, "agents": 12}}
        body = json.dumps({"publications": [one] * count}).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {token(scope='roomcast:admin')}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/ws/publish/batch", body, headers)
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["failed"] == 0


class Session:
    """Counts the publications that it gets, and nothing else of them."""

    def __init__(self, gateway, news):
        self.gateway, self.news, self.got = gateway, news, 0

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.gateway.port, limit=1 << 22)
        self.bearer = f"authorization: Bearer {token(org='acme')}\r\n"
        await self.begin()
        self.task = asyncio.create_task(self.run())

    def ask(self, line, headers=""):
        self.writer.write(f"GET {line} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n".encode())

    def take(self, data):
        self.got += data.count(MARK)
        self.news.set()

    async def run(self):
        tail = b""
        while data := await self.reader.read(1 << 16):
            # A mark may be cut in two.
            whole = tail + data
            tail = whole[-len(MARK) + 1 :] if not whole.endswith(MARK) else b""
            self.take(whole)

    async def close(self):
        self.task.cancel()
        self.writer.close()


class WebSocket(Session):
    async def begin(self):
        upgrade = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        self.ask("/ws", upgrade + self.bearer)
        await self.reader.readuntil(b"\r\n\r\n")
        command = json.dumps({"event": "subscribe", "data": {"rooms": ["kpi:acme"]}}).encode()
        # Masked with zeros, which leaves it as it is.
        self.writer.write(bytes([0x81, 0x80 | len(command), 0, 0, 0, 0]) + command)
        await self.reader.readuntil(b'"subscribed"')


class Stream(Session):
    async def begin(self):
        self.ask("/sse?rooms=kpi:acme", self.bearer)
        await self.reader.readuntil(b'"authenticated"')


class Poll(Session):
    async def answer(self):
        head = await self.reader.readuntil(b"\r\n\r\n")
        body = await self.reader.readexactly(int(LENGTH.search(head).group(1)))
        return head, body

    async def begin(self):
        self.ask("/poll?rooms=kpi:acme", self.bearer)
        head, body = await self.answer()
        self.session, self.cursor = SESSION.search(head).group(1).decode(), CURSOR.search(body).group(1).decode()

    async def run(self):
        while True:
            self.ask("/poll", f"x-roomcast-session: {self.session}\r\nx-roomcast-cursor: {self.cursor}\r\n")
            _, body = await self.answer()
            self.cursor = CURSOR.search(body).group(1).decode()
            self.take(body)


async def publishes(gateway, sessions, news, count, times):
    for _ in range(times):
        due = [session.got + count for session in sessions]
        await asyncio.to_thread(gateway.publish, count)
        while any(session.got < amount for session, amount in zip(sessions, due)):
            news.clear()
            await asyncio.wait_for(news.wait(), 30)


async def cost_us(binary, kind, count, times):
    """Processor time per delivery, with its share of the publishing."""
    gateway, news = Gateway(binary), asyncio.Event()
    try:
        sessions = [kind(gateway, news) for _ in range(SESSIONS)]
        for session in sessions:
            await session.open()
        await publishes(gateway, sessions, news, count, max(1, times // 10))
        before = gateway.cpu_us()
        await publishes(gateway, sessions, news, count, times)
        spent = gateway.cpu_us() - before
        for session in sessions:
            await session.close()
        return spent / (SESSIONS * count * times)
    finally:
        gateway.process.kill()
        gateway.process.wait()


async def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for shape, (count, times) in SHAPES.items():
        for kind in (WebSocket, Stream, Poll):
            costs = sorted([await cost_us(sys.argv[1], kind, count, times) for _ in range(RUNS)])
            print(f"{kind.__name__:10} {shape:14} {costs[len(costs) // 2]:7.2f} µs a delivery ({costs[0]:.2f} to {costs[-1]:.2f})", flush=True)


asyncio.run(main())
