import { expect, test, vi } from 'vitest';
import { followLatest } from '../src/latest.js';
import type { LatestOptions } from '../src/latest.js';
import { updatesOf } from '../src/stores/updates.js';
import { where } from '../src/where.js';
import { createWorld } from './fake-server.js';

async function entered(features = ['latest']) {
  const world = createWorld();
  world.server.features = features;
  const client = world.client();
  await world.settle();
  const publish = async (room: string, n: number, event = 'kpi:update') => {
    world.server.publish({ room, event, data: { n } });
    await world.settle();
  };
  const follow = async (room: string, options: LatestOptions = {}) => {
    const seen: (string | number)[] = [];
    const subscription = followLatest<{ n: number }>(client, room, ({ room, data }) => seen.push(room, data.n), options);
    await world.settle();
    return { seen, subscription };
  };
  const asked = () => world.server.commandsOf('subscribe').filter(({ data }) => data?.latest).length;
  return { ...world, client, publish, follow, asked };
}

test('each room comes at once, in the order of the log, and then what follows', async () => {
  const { publish, follow } = await entered();
  for (const [room, n] of [['kpi:acme:a', 1], ['kpi:acme:b', 2], ['kpi:acme:a', 3], ['chat:acme', 4]] as const) await publish(room, n);
  const onLatest = vi.fn();
  const { seen } = await follow('kpi:acme', { onLatest });
  expect(seen).toEqual(['kpi:acme:b', 2, 'kpi:acme:a', 3]);
  expect(onLatest.mock.calls).toEqual([[true]]);
  await publish('kpi:acme:b', 5);
  expect(seen.slice(4)).toEqual(['kpi:acme:b', 5]);
});

test('what comes while the server is asked comes behind what it tells, once, in the order of the log', async () => {
  const { publish, server, client, clock, settle } = await entered();
  await publish('kpi:acme:a', 1);
  await publish('kpi:acme:b', 2);
  const seen: (string | number)[] = [];
  let said = false;
  server.fate = (direction, text) => {
    // Between the question's arrival and its answer, which has what is published now.
    if (direction === 'in' && text.includes('"latest":true') && !said) {
      said = true;
      server.publish({ room: 'kpi:acme:a', event: 'kpi:update', data: { n: 3 } });
      server.publish({ room: 'kpi:acme:a', event: 'kpi:computed', data: { n: 4 } });
    }
    return 'pass';
  };
  followLatest<{ n: number }>(client, 'kpi:acme', ({ room, data }) => seen.push(room, data.n));
  await settle();
  server.publish({ room: 'kpi:acme:c', data: { n: 5 } });
  await settle();
  expect(said && clock.now > 0).toBe(true);
  expect(seen).toEqual(['kpi:acme:b', 2, 'kpi:acme:a', 3, 'kpi:acme:a', 4, 'kpi:acme:c', 5]);
});

test('each event of a room has its own', async () => {
  const { publish, follow } = await entered();
  await publish('kpi:acme:a', 1, 'kpi:computed');
  await publish('kpi:acme:a', 2);
  await publish('kpi:acme:a', 3);
  expect((await follow('kpi:acme')).seen).toEqual(['kpi:acme:a', 1, 'kpi:acme:a', 3]);
});

test('filters and events hold for it too', async () => {
  const { publish, follow, server } = await entered();
  await publish('kpi:acme:a', 1);
  await publish('kpi:acme:b', 7);
  await publish('kpi:acme:c', 8, 'kpi:alert');
  const { seen } = await follow('kpi:acme', { filter: where('n>2.0'), event: 'kpi:update' });
  expect(seen).toEqual(['kpi:acme:b', 7]);
  expect(server.commandsOf('subscribe').at(-1)?.data).toEqual({ rooms: [{ room: 'kpi:acme', filter: 'n > 2' }], latest: true });
});

/** Lets time pass for the timers of this module, which are the platform's own. */
async function passes(settle: () => Promise<void>, until: () => boolean) {
  for (let n = 0; n < 20 && !until(); n++) {
    await vi.advanceTimersByTimeAsync(5_000);
    await settle();
  }
}

test('what came before the answer did is not followed by anything older, and nothing comes twice', async () => {
  vi.useFakeTimers();
  try {
    const { publish, follow, server, settle, asked } = await entered();
    await publish('kpi:acme:a', 1);
    await publish('kpi:acme:b', 2);
    server.refuse = ({ data }) => (data?.latest && asked() < 2 ? { code: 'BROKER_UNAVAILABLE' } : undefined);
    const { seen } = await follow('kpi:acme');
    await publish('kpi:acme:b', 3);
    expect(seen).toEqual(['kpi:acme:b', 3]);
    await passes(settle, () => seen.length > 2);
    expect(seen).toEqual(['kpi:acme:b', 3, 'kpi:acme:a', 1]);
  } finally {
    vi.useRealTimers();
  }
});

test('a reconnect goes on where it was and asks for nothing anew; a gap does', async () => {
  const { publish, follow, server, settle, asked } = await entered();
  await publish('kpi:acme:a', 1);
  const { seen } = await follow('kpi:acme');
  expect(asked()).toBe(1);
  server.cutAll();
  await publish('kpi:acme:a', 2);
  await settle(5_000);
  expect([seen, asked()]).toEqual([['kpi:acme:a', 1, 'kpi:acme:a', 2], 1]);
  server.cutAll();
  server.log().replace('log_lost');
  await publish('kpi:acme:b', 3);
  await settle(5_000);
  expect(asked()).toBe(2);
  expect(seen.slice(4)).toEqual(['kpi:acme:b', 3]);
});

test('it is asked again while the broker is away, and told to nobody who has gone', async () => {
  vi.useFakeTimers();
  try {
    const { publish, follow, server, settle, asked } = await entered();
    await publish('kpi:acme:a', 1);
    server.refuse = ({ data }) => (data?.latest && asked() < 3 ? { code: 'BROKER_UNAVAILABLE', retry_after_ms: 1_000 } : undefined);
    const { seen } = await follow('kpi:acme');
    const gone = await follow('kpi:acme:a');
    gone.subscription.unsubscribe();
    await passes(settle, () => seen.length > 0);
    expect([seen, gone.seen]).toEqual([['kpi:acme:a', 1], []]);
  } finally {
    vi.useRealTimers();
  }
});

test('a refusal and a server that cannot do it are told, and the subscription goes on', async () => {
  for (const [features, code] of [[['latest'], 'UNAUTHORIZED'], [[], 'UNSUPPORTED']] as const) {
    const { publish, follow, server } = await entered([...features]);
    server.refuse = ({ data }) => (data?.latest ? { code: 'UNAUTHORIZED' } : undefined);
    const onError = vi.fn();
    const { seen, subscription } = await follow('kpi:acme', { onError });
    expect(onError.mock.calls).toMatchObject([[{ code }]]);
    await publish('kpi:acme:a', 1);
    expect([seen, subscription.status]).toEqual([['kpi:acme:a', 1], 'active']);
  }
});

test('a store that follows shows each room when it opens', async () => {
  const { publish, client, settle } = await entered();
  await publish('kpi:acme:a', 1);
  await publish('kpi:acme:b', 2);
  const store = updatesOf(client, 'kpi', { follow: followLatest });
  store.subscribe(() => {});
  await settle();
  expect(store.read()).toMatchObject({ status: 'active', byRoom: { 'kpi:acme:a': { n: 1 }, 'kpi:acme:b': { n: 2 } } });
});
