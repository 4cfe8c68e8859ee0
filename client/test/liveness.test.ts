import { describe, expect, test } from 'vitest';
import type { Health } from '../src/types.js';
import { createWorld } from './fake-server.js';

async function connected(options = {}) {
  const world = createWorld();
  const client = world.client(options);
  await world.settle();
  return { ...world, client };
}

describe('heartbeat', () => {
  test('measures latency every half minute', async () => {
    const { client, server, clock } = await connected();
    expect(client.health).toMatchObject({ latencyMs: 2, latencyAverageMs: 2, quality: 'excellent' });
    server.latencyMs = 200;
    await clock.advance(31_000);
    expect(client.health).toMatchObject({ latencyMs: 400, quality: 'good' });
    await clock.advance(300_000);
    expect(client.health.quality).toBe('poor');
    expect(client.health.latencyAverageMs).toBeGreaterThan(380);
    expect(server.commandsOf('client:ping')).toHaveLength(12);
  });

  test('finds out that a connection is dead', async () => {
    const { client, server, clock } = await connected();
    server.freeze();
    await clock.until(() => client.state === 'reconnecting', 41_000);
    expect(client.fault).toMatchObject({ code: 'TIMEOUT' });
    server.thaw();
    await clock.until(() => client.state === 'connected');
  });

  test('tells health with each of them and with each change of state', async () => {
    const { client, server, clock } = await connected();
    const told: Health[] = [];
    client.on('health', (health) => told.push(health));
    await clock.advance(61_000);
    server.cutAll();
    await clock.advance(10);
    expect(told.map(({ state, quality }) => `${state} ${quality}`)).toEqual([
      'connected excellent',
      'connected excellent',
      'reconnecting offline',
      'connected good',
      'connected excellent',
    ]);
  });
});

describe('sleep', () => {
  test.each([{ standsStill: false }, { standsStill: true }])('a dead connection is found soon after it ($standsStill)', async (clocks) => {
    const { client, server, clock } = await connected();
    await clock.advance(1_000);
    clock.sleep(40 * 60_000, clocks);
    server.freeze();
    const awake = clock.now;
    await clock.until(() => client.state === 'reconnecting');
    expect(clock.now - awake).toBeLessThan(35_000);
  });

  test('a live connection is kept', async () => {
    const { client, server, clock } = await connected();
    clock.sleep(40 * 60_000);
    await clock.advance(60_000);
    expect([client.state, server.opened]).toEqual(['connected', 1]);
  });

  test('being seen again has the connection tried at once', async () => {
    const { client, server, clock, sign } = await connected();
    server.freeze();
    sign('wake');
    await clock.advance(5_001);
    expect(client.state).toBe('reconnecting');
  });
});

describe('the network', () => {
  test('coming back ends the waiting', async () => {
    const { client, server, clock, sign } = await connected();
    server.door = 'refused';
    server.cutAll();
    await clock.advance(60_000);
    sign('offline');
    server.door = 'open';
    expect(client.health.retryInMs).toBeGreaterThan(100);
    sign('online');
    await clock.advance(10);
    expect(client.state).toBe('connected');
  });

  test('retryNow ends the waiting too', async () => {
    const { client, server, clock } = await connected();
    server.door = 'refused';
    server.cutAll();
    await clock.advance(60_000);
    server.door = 'open';
    client.retryNow();
    await clock.advance(10);
    expect(client.state).toBe('connected');
  });

  test('signs are heard only between connect and disconnect', async () => {
    const { client, server, clock, sign } = await connected();
    client.disconnect();
    sign('online');
    sign('wake');
    await clock.advance(60_000);
    expect([client.state, server.opened, clock.pending]).toEqual(['disconnected', 1, 0]);
  });
});

describe('coming and going', () => {
  test('states are told in order to everybody', async () => {
    const world = createWorld();
    const client = world.client({ autoConnect: false });
    const [first, second]: string[][] = [[], []];
    client.on('state', (state, previous) => {
      first!.push(`${previous} ${state}`);
      if (state === 'connected' && first!.length < 4) client.disconnect();
    });
    client.on('state', (state) => second!.push(state));
    client.connect();
    await world.settle();
    expect(first).toEqual(['disconnected connecting', 'connecting connected', 'connected disconnected']);
    expect(second).toEqual(['connecting', 'connected', 'disconnected']);
    expect([client.state, world.server.sessions.size]).toEqual(['disconnected', 0]);
  });

  test('a planned close is followed by its hint', async () => {
    const { client, server, clock } = await connected();
    await clock.advance(60_000);
    server.closeAll(4000, { retry_after_ms: 1_200 });
    await clock.advance(1);
    expect(client.health.retryInMs).toBe(1_200);
    await clock.advance(1_199);
    expect(server.opened).toBe(1);
    await clock.advance(10);
    expect(client.state).toBe('connected');
  });

  test('a transport that throws is a failed attempt', async () => {
    let throws = true;
    const world = createWorld();
    const { fakeTransport } = await import('./fake-server.js');
    const inner = fakeTransport(world.server);
    const client = world.client({
      transport: {
        ...inner,
        open(url, events) {
          if (throws) throw new SyntaxError('bad address');
          return inner.open(url, events);
        },
      },
    });
    await world.settle();
    expect([client.state, client.fault?.message]).toEqual(['reconnecting', 'fake could not open']);
    throws = false;
    await world.clock.until(() => client.state === 'connected');
  });

  test('a transport that is not there is told at once', () => {
    const world = createWorld();
    expect(() => world.client({ transport: { name: 'carrier pigeon', supported: () => false, open: () => ({ send() {}, close() {} }) } })).toThrow('carrier pigeon');
  });

  test('statistics count', async () => {
    const { client, server, settle, clock } = await connected();
    client.subscribe('kpi:acme', () => {});
    client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 1 });
    await settle();
    server.cutAll();
    await settle(1_000);
    const { statistics } = client.health;
    expect(statistics).toMatchObject({ connects: 2, reconnects: 1, published: 1, queued: 0, gaps: 0, duplicates: 0 });
    expect(statistics.sent).toBe(server.received.length);
    expect(statistics.connectedMs).toBeGreaterThan(900);
    client.disconnect();
    expect(client.health.statistics.connectedMs).toBeNull();
    expect(clock.pending).toBe(0);
  });

  test('everything can be forgotten', async () => {
    const { client, server, settle } = await connected();
    const use = client.subscribe('kpi:acme', () => client.disconnect({ forget: true }));
    await settle();
    server.publish({ room: 'kpi:acme', data: 1 });
    await settle();
    expect([client.position, client.state, use.status]).toEqual([null, 'disconnected', 'ended']);
    client.connect();
    await settle();
    expect(server.commandsOf('authenticate')[1]!.data).not.toHaveProperty('since');
    expect(server.commandsOf('subscribe')).toHaveLength(1);
  });

  test('disconnect keeps subscriptions and what waits', async () => {
    const { client, server, settle } = await connected();
    const got: unknown[] = [];
    client.subscribe('kpi:acme', ({ data }) => got.push(data));
    await settle();
    client.disconnect();
    server.publish({ room: 'kpi:acme', data: 1 });
    client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 2 });
    await settle();
    client.connect();
    await settle();
    expect(got).toEqual([1, 2]);
  });
});
