import { describe, expect, test, vi } from 'vitest';
import type { RoomcastFault, TokenSource } from '../src/types.js';
import { createWorld } from './fake-server.js';

function begin(token?: (world: ReturnType<typeof createWorld>) => TokenSource, options = {}) {
  const world = createWorld();
  const why: string[] = [];
  const provider: TokenSource = (reason) => {
    why.push(reason);
    return world.server.token();
  };
  const client = world.client({ token: token?.(world) ?? provider, ...options });
  const faults: RoomcastFault[] = [];
  client.on('error', (fault) => faults.push(fault));
  return { ...world, client, why, faults };
}

test('a token is asked for at every connect', async () => {
  const { server, settle, why } = begin();
  await settle();
  server.cutAll();
  await settle();
  expect(why).toEqual(['connect', 'connect']);
});

test('the token goes in the first command and nowhere else', async () => {
  const { server, settle, client, faults } = begin();
  const urls: string[] = [];
  const { fakeTransport } = await import('./fake-server.js');
  const inner = fakeTransport(server);
  const world = createWorld();
  const other = world.client({
    token: server.token(),
    transport: { ...inner, open: (url, events) => (urls.push(url), inner.open(url, events)) },
  });
  await settle();
  expect(urls).toEqual(['ws://fake/ws']);
  server.revoked.add(server.commandsOf('authenticate')[0]!.data!.token as string);
  other.disconnect();
  client.disconnect();
  expect(JSON.stringify([faults, client, other.fault])).not.toContain('eyJ');
});

describe('refused', () => {
  test('a fresh token is tried once, and then it is over', async () => {
    const { server, client, settle, clock, why, faults } = begin((world) => (reason) => {
      why2.push(reason);
      const token = world.server.token();
      world.server.revoked.add(token);
      return token;
    });
    const why2: string[] = why;
    await settle();
    await clock.until(() => client.state === 'error');
    expect(why).toEqual(['connect', 'refused']);
    expect(client.fault).toMatchObject({ code: 'AUTH_FAILED', message: 'the token is not good', closeCode: 4500, fatal: true });
    expect(faults).toHaveLength(1);
    await clock.advance(600_000);
    expect(server.opened).toBe(2);
  });

  test('a fresh token helps', async () => {
    let first = true;
    const { client, settle } = begin((world) => () => {
      const token = world.server.token({ ttlMs: first ? -1_000 : 3_600_000 });
      first = false;
      return token;
    });
    await settle(3_000);
    expect(client.state).toBe('connected');
  });

  test('connect begins anew after the end', async () => {
    let good = false;
    const { client, settle } = begin((world) => () => world.server.token({ ttlMs: good ? 3_600_000 : -1_000 }));
    await settle(5_000);
    expect(client.state).toBe('error');
    good = true;
    client.connect();
    await settle();
    expect(client.state).toBe('connected');
  });

  test('a static token that expired is the end', async () => {
    const { client, settle, server } = begin((world) => world.server.token({ ttlMs: 30_000 }));
    await settle();
    expect(client.state).toBe('connected');
    await settle(31_000);
    expect([client.state, client.fault?.closeCode, server.opened]).toEqual(['error', 4002, 1]);
  });

  test.each([4501, 4502, 4503, 4504])('a close with %i stops it', async (code) => {
    const { client, server, settle, clock } = begin();
    await settle();
    server.closeAll(code, { code: 'AUTH_FAILED' });
    await settle();
    expect([client.state, client.fault?.closeCode]).toEqual(['error', code]);
    await clock.advance(600_000);
    expect(server.opened).toBe(1);
    expect(clock.pending).toBe(0);
  });
});

describe('a provider', () => {
  test.each([
    ['throws', () => { throw new Error('no'); }],
    ['rejects', () => Promise.reject(new Error('no'))],
    ['has none', () => ''],
    ['has something else', () => 7 as unknown as string],
  ] as [string, () => string | Promise<string>][])('that %s is asked again', async (_what, fail) => {
    let failures = 3;
    const { client, clock, server } = begin((world) => () => (failures-- > 0 ? fail() : world.server.token()));
    await clock.advance(0);
    expect([client.state, client.fault?.code]).toEqual(['reconnecting', 'TOKEN_UNAVAILABLE']);
    await clock.until(() => client.state === 'connected');
    expect(server.opened).toBe(1);
  });

  test('that hangs is asked again, and its late answer changes nothing', async () => {
    const late: ((token: string) => void)[] = [];
    let hangs = true;
    const { client, clock, server } = begin((world) => () => (hangs ? new Promise((resolve) => late.push(resolve)) : world.server.token()));
    await clock.advance(5_000);
    hangs = false;
    await clock.until(() => client.state === 'connected');
    late.forEach((resolve) => resolve('late'));
    await clock.advance(1_000);
    expect(server.commandsOf('authenticate')).toHaveLength(1);
  });

  test('whose answer comes after disconnect opens nothing', async () => {
    const { client, clock, server } = begin();
    client.disconnect();
    await clock.advance(10_000);
    expect([client.state, server.opened, clock.pending]).toEqual(['disconnected', 0, 0]);
  });
});

describe('renewal', () => {
  test('happens on the open connection before the token ends', async () => {
    const { client, server, settle, clock, why } = begin((world) => (reason) => {
      reasons.push(reason);
      return world.server.token({ ttlMs: 300_000 });
    });
    const reasons: string[] = why;
    await settle();
    await clock.advance(1_200_000);
    expect([client.state, server.opened]).toEqual(['connected', 1]);
    expect(reasons[0]).toBe('connect');
    expect(new Set(reasons.slice(1))).toEqual(new Set(['expiring']));
    expect(reasons.length).toBe(6);
    expect(client.session!.expiresAt * 1_000).toBeGreaterThan(clock.wall);
  });

  test('tokens that live for seconds are renewed without a storm', async () => {
    const { server, settle, why, client } = begin((world) => () => {
      why2.push('');
      return world.server.token({ ttlMs: 20_000 });
    });
    const why2 = why;
    await settle(100_000);
    expect([client.state, server.opened]).toEqual(['connected', 1]);
    expect(why.length).toBeLessThan(25);
  });

  test('another user is not let in by it', async () => {
    let sub = 'alice';
    const { client, server, settle, faults } = begin((world) => () => world.server.token({ sub }));
    await settle();
    sub = 'bob';
    server.tell('token:expiring', { expires_at: 0 });
    await settle(6_000);
    expect(faults[0]).toMatchObject({ code: 'AUTH_FAILED' });
    expect(client.session?.userId).toBe('alice');
  });

  test('that fails leaves the session be', async () => {
    let good = true;
    const { client, server, settle, faults, clock } = begin((world) => () => {
      if (!good) throw new Error('no');
      return world.server.token({ ttlMs: 120_000 });
    });
    await settle();
    good = false;
    await settle(70_000);
    expect([client.state, faults[0]?.code]).toEqual(['connected', 'TOKEN_UNAVAILABLE']);
    good = true;
    await clock.advance(40_000);
    expect([client.state, server.opened]).toEqual(['connected', 1]);
  });
});

describe('somebody else', () => {
  test('gets nothing of what the user before had', async () => {
    let sub = 'alice';
    const { client, server, settle, clock } = begin((world) => () => world.server.token({ sub }));
    const got: unknown[] = [];
    client.subscribe('kpi:acme', ({ data }) => got.push(data));
    await settle();
    server.publish({ room: 'kpi:acme', data: 1 });
    await settle();
    client.disconnect();
    const queued = client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 'of alice' });
    const outcome = vi.fn();
    queued.catch(outcome);
    server.publish({ room: 'kpi:acme', data: 'missed by alice' });
    sub = 'bob';
    client.connect();
    await clock.until(() => client.state === 'connected');
    await settle();
    expect(outcome.mock.calls[0]![0]).toMatchObject({ code: 'AUTH_FAILED' });
    expect(client.session?.userId).toBe('bob');
    server.publish({ room: 'kpi:acme', data: 2 });
    await settle();
    expect(got).toEqual([1, 2]);
    expect(server.log().all.map(({ push }) => push.data)).not.toContain('of alice');
  });
});
