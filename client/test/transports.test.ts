import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { fallback } from '../src/transport/fallback.js';
import { endpoint } from '../src/transport/http.js';
import { longPoll } from '../src/transport/long-poll.js';
import { msgpack } from '../src/transport/msgpack.js';
import { eventParser, sse } from '../src/transport/sse.js';
import { webSocket } from '../src/transport/web-socket.js';
import type { Transport } from '../src/types.js';
import { createWorld, fakeTransport, fakeWebSocket, seeded } from './fake-server.js';
import { fakeHttp } from './fake/http.js';
import { packedSocket } from './fake/packed.js';

const TRANSPORTS: [string, (world: ReturnType<typeof createWorld>) => Transport][] = [
  ['websocket', ({ server }) => webSocket({ WebSocket: fakeWebSocket(server) })],
  ['msgpack', ({ server }) => msgpack({ WebSocket: packedSocket(fakeWebSocket(server)) })],
  ['sse', ({ server }) => sse({ fetch: fakeHttp(server).fetch })],
  ['longpoll', ({ server }) => longPoll({ fetch: fakeHttp(server).fetch })],
];

describe.each(TRANSPORTS)('%s', (name, make) => {
  async function connected() {
    const world = createWorld();
    const client = world.client({ transport: make(world), url: 'ws://fake/ws' });
    const got: unknown[] = [];
    client.subscribe('kpi:acme', ({ data }) => got.push(data));
    await world.clock.until(() => client.state === 'connected', 5_000);
    await world.settle();
    return { ...world, client, got };
  }

  test('carries both ways, in order', async () => {
    const { client, settle, got } = await connected();
    for (let data = 0; data < 20; data++) client.publish({ room: 'kpi:acme', event: 'kpi:update', data });
    await settle(200);
    expect(client.health.transport).toBe(name);
    expect(got).toEqual(Array.from({ length: 20 }, (_, data) => data));
  });

  test('tells how it was closed', async () => {
    const { client, server, settle } = await connected();
    server.closeAll(4502, { code: 'AUTH_FAILED' });
    await settle();
    expect([client.state, client.fault]).toMatchObject(['error', { code: 'AUTH_FAILED', closeCode: 4502 }]);
  });

  test('comes back and misses nothing', async () => {
    const { server, settle, got } = await connected();
    server.publish({ room: 'kpi:acme', data: 1 });
    await settle();
    server.closeAll(4000);
    server.publish({ room: 'kpi:acme', data: 2 });
    await settle();
    server.publish({ room: 'kpi:acme', data: 3 });
    await settle();
    expect(got).toEqual([1, 2, 3]);
  });

  test('is quiet once the client has left', async () => {
    const { client, server, settle, got } = await connected();
    client.disconnect();
    server.publish({ room: 'kpi:acme', data: 1 });
    await settle();
    expect([got, client.state]).toEqual([[], 'disconnected']);
  });

  test('that cannot get through is a failed attempt', async () => {
    const world = createWorld();
    world.server.door = 'refused';
    const client = world.client({ transport: make(world), url: 'ws://fake/ws' });
    await world.settle();
    expect(client.state).toBe('reconnecting');
    if (name === 'sse' || name === 'longpoll') expect(client.health.retryInMs).toBeGreaterThan(6_000);
    world.server.door = 'open';
    await world.clock.until(() => client.state === 'connected');
  });
});

describe('plain HTTP', () => {
  test('keeps the token out of addresses', async () => {
    const world = createWorld();
    const token = world.server.token();
    for (const make of [sse, longPoll]) {
      const { fetch, requests } = fakeHttp(world.server);
      const client = world.client({ transport: make({ fetch }), token });
      client.subscribe('kpi:acme', () => {});
      await world.settle(200);
      client.disconnect();
      expect(requests[0]!.body).toContain(token);
      for (const { url } of requests) expect(url).not.toContain(token.split('.')[1]);
    }
  });

  test('keeps the name of the session out of addresses', async () => {
    const world = createWorld();
    for (const make of [sse, longPoll]) {
      const { fetch, requests } = fakeHttp(world.server);
      const client = world.client({ transport: make({ fetch }), url: 'ws://fake/ws' });
      client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 1 });
      await world.settle(200);
      client.disconnect();
      expect(requests.length).toBeGreaterThan(1);
      expect(new Set(requests.map(({ url }) => url.replace(/sse|poll/, '')))).toEqual(new Set(['http://fake/']));
    }
  });

  test.each([
    ['sse', sse],
    ['longpoll', longPoll],
  ] as const)('%s: a network that loses every other request or answer costs nothing', async (_name, make) => {
    const world = createWorld();
    const http = fakeHttp(world.server);
    const turns: Record<string, number> = { GET: 0, POST: 0 };
    http.fate = ({ method }) => (['lost', 'pass', 'unanswered', 'pass', 'unknown', 'pass', 'lost', 'unanswered', 'pass'] as const)[turns[method]!++ % 9];
    const client = world.client({ transport: make({ fetch: http.fetch }), url: 'ws://fake/ws' });
    const got: unknown[] = [];
    client.subscribe('kpi:acme', ({ data }) => got.push(data));
    await world.clock.until(() => client.state === 'connected', 5_000);
    for (let data = 0; data < 200; data++) {
      client.publish({ room: 'kpi:acme', event: 'kpi:update', data });
      if (data % 7 === 0) await world.settle(10);
    }
    await world.settle(500);
    expect(got).toEqual(Array.from({ length: 200 }, (_, data) => data));
    expect(client.health.statistics.reconnects).toBe(0);
  });

  test('commands that wait for a request go together in the next one, as many as may', async () => {
    const world = createWorld();
    const http = fakeHttp(world.server);
    const client = world.client({ transport: sse({ fetch: http.fetch }), url: 'ws://fake/ws', publishWindow: 500 });
    await world.clock.until(() => client.state === 'connected', 5_000);
    await world.settle();
    http.requests.length = 0;
    for (let data = 0; data < 150; data++) client.publish({ room: 'kpi:acme', event: 'kpi:update', data });
    client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 'x'.repeat(99_950) });
    client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 'y' });
    await world.settle(500);
    const sent = http.requests.map(({ body }) => [JSON.parse(body!)].flat().length);
    expect(sent).toEqual([1, 64, 64, 21, 1, 1]);
    expect(client.health.statistics.queued).toBe(0);
  });

  test.each([
    ['sse', sse],
    ['longpoll', longPoll],
  ] as const)('%s: what is too long for a request ends the connection as it would a WebSocket', async (_name, make) => {
    const world = createWorld();
    const http = fakeHttp(world.server);
    const client = world.client({ transport: make({ fetch: http.fetch }), url: 'ws://fake/ws' });
    await world.clock.until(() => client.state === 'connected', 5_000);
    http.fate = ({ body }) => (body?.includes('far too long') ? 'too long' : 'pass');
    const refused = client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 'far too long' }).catch((fault: { code: string }) => fault.code);
    await world.settle(60_000);
    expect(await refused).toBe('MESSAGE_TOO_LARGE');
  });

  test('a session that is gone is begun anew, from where it stood', async () => {
    const world = createWorld();
    const http = fakeHttp(world.server);
    const client = world.client({ transport: longPoll({ fetch: http.fetch }), url: 'ws://fake/ws' });
    const got: unknown[] = [];
    client.subscribe('kpi:acme', ({ data }) => got.push(data));
    await world.clock.until(() => client.state === 'connected', 5_000);
    await world.settle();
    world.server.publish({ room: 'kpi:acme', data: 1 });
    await world.settle();
    http.fate = () => 'lost';
    world.server.publish({ room: 'kpi:acme', data: 2 });
    await world.settle();
    world.server.publish({ room: 'kpi:acme', data: 3 });
    http.fate = () => 'pass';
    await world.clock.until(() => got.length === 3, 60_000);
    expect(got).toEqual([1, 2, 3]);
    expect(client.health.statistics.reconnects).toBeGreaterThan(0);
  });

  test.each([
    ['wss://rt.example.com/ws', 'https://rt.example.com/sse'],
    ['ws://127.0.0.1:8080/some/ws', 'http://127.0.0.1:8080/some/sse'],
    ['https://rt.example.com/ws?region=eu', 'https://rt.example.com/sse?region=eu'],
  ])('%s leads to %s', (url, expected) => {
    expect(endpoint(url, 'sse')).toBe(expected);
  });

  test.each([
    ['stream.txt', sse],
    ['answer.json', longPoll],
  ] as const)('%s of the fixtures is read', async (file, make) => {
    const text = await readFile(new URL(`../../fixtures/http/${file}`, import.meta.url), 'utf8');
    const told: unknown[] = [];
    const answer = async () => new Response(text, { headers: { 'X-Roomcast-Session': 'x' } });
    await new Promise<void>((resolve) => {
      const connection = make({ fetch: answer }).open('http://fake/ws', {
        onOpen: () => connection.send('{}'),
        onMessage: (message) => told.push((JSON.parse(message) as { event: string }).event),
        onClose: (...close) => resolve(void told.push(close)),
      });
    });
    const close = [4000, '{"retry_after_ms":700}'];
    const events = file === 'stream.txt' ? ['error', 'kpi:update', 'kpi:update', 'gap', 'position'] : ['error', 'position'];
    expect(told).toEqual([...events, close]);
  });

  test('events are read from pieces cut anywhere', () => {
    const text = ': hello\r\n\r\ndata: one\r\n\r\nevent: close\ndata: {"code":4000,\ndata:"reason":""}\n\nid: 7\ndata:two\r\rdata: ü😀\n\n';
    for (let seed = 0; seed < 300; seed++) {
      const random = seeded(seed);
      const told: unknown[] = [];
      const parse = eventParser((event) => told.push(event));
      for (let at = 0; at < text.length; ) {
        const next = at + 1 + Math.floor(random() * 6);
        parse(text.slice(at, next));
        at = next;
      }
      expect(told, `seed ${seed}`).toEqual([
        { event: '', data: 'one' },
        { event: 'close', data: '{"code":4000,\n"reason":""}' },
        { event: '', data: 'two' },
        { event: '', data: 'ü😀' },
      ]);
    }
  });
});

describe('the WebSocket', () => {
  test('offers the protocol, and takes addresses of pages', async () => {
    const world = createWorld();
    const opened: [string, string[]][] = [];
    const Fake = fakeWebSocket(world.server);
    class Watched extends Fake {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        opened.push([url, protocols]);
      }
    }
    for (const url of ['wss://a.example/ws', 'https://a.example/ws']) world.client({ transport: webSocket({ WebSocket: Watched }), url });
    await world.settle();
    expect(opened).toEqual([
      ['wss://a.example/ws', ['roomcast.v1']],
      ['wss://a.example/ws', ['roomcast.v1']],
    ]);
  });

  test('is missed where there is none', () => {
    const { WebSocket: global } = globalThis;
    try {
      Reflect.deleteProperty(globalThis, 'WebSocket');
      expect(webSocket().supported()).toBe(false);
    } finally {
      if (global) globalThis.WebSocket = global;
    }
  });
});

describe('falling back', () => {
  function blocked(name: string, opened: string[]): Transport {
    return {
      name,
      supported: () => true,
      open(_url, events) {
        opened.push(name);
        queueMicrotask(() => events.onClose(1006, ''));
        return { send() {}, close() {} };
      },
    };
  }

  test('the next transport has its turn, and is kept once it has worked', async () => {
    const world = createWorld();
    const opened: string[] = [];
    const works = fakeTransport(world.server, 'works');
    const watched = { ...works, open: (...args: Parameters<Transport['open']>) => (opened.push('works'), works.open(...args)) };
    const absent = { ...blocked('absent', opened), supported: () => false };
    const client = world.client({ transport: fallback(absent, blocked('blocked', opened), watched) });
    await world.clock.until(() => client.state === 'connected');
    expect([opened, client.health.transport]).toEqual([['blocked', 'blocked', 'works'], 'works']);
    for (let round = 0; round < 3; round++) {
      world.server.cutAll();
      await world.settle(60_000);
    }
    expect(opened.slice(3)).toEqual(['works', 'works', 'works']);
  });

  test('one that worked loses its place after failing over and over', async () => {
    const world = createWorld();
    const opened: string[] = [];
    const client = world.client({ transport: fallback(fakeTransport(world.server, 'first'), blocked('second', opened)) });
    await world.settle(60_000);
    world.server.door = 'refused';
    world.server.cutAll();
    await world.clock.until(() => opened.length > 0);
    // The cut, six refusals, and the other transport's own.
    expect(client.health.attempt).toBe(8);
  });

  test('silence and exceptions count like refusals', async () => {
    const world = createWorld();
    const opened: string[] = [];
    const silent: Transport = { ...blocked('silent', opened), open: () => (opened.push('silent'), { send() {}, close() {} }) };
    const throwing: Transport = {
      ...blocked('throwing', opened),
      open() {
        opened.push('throwing');
        throw new Error('no');
      },
    };
    const client = world.client({ transport: fallback(silent, throwing, fakeTransport(world.server)) });
    await world.clock.until(() => client.state === 'connected');
    expect(opened).toEqual(['silent', 'silent', 'throwing', 'throwing']);
  });

  test('a refusal by the server says that the transport works', async () => {
    const world = createWorld();
    const client = world.client({ transport: fallback(fakeTransport(world.server, 'first'), blocked('second', [])) });
    world.server.fate = (direction, _text, session) => {
      if (direction === 'in') session.close(4000);
      return 'pass';
    };
    await world.settle(20_000);
    expect(client.health.attempt).toBeGreaterThan(3);
    world.server.thaw();
    await world.clock.until(() => client.state === 'connected');
    expect(client.health.transport).toBe('first');
  });

  test('nothing at all is not supported', () => {
    expect(fallback().supported()).toBe(false);
    expect(fallback().name).toBe('none');
  });
});
