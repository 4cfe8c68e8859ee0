import { beforeEach, describe, expect, test, vi } from 'vitest';
import { alertsOf, channelOf, connectionOf, healthOf, itemsOf, membersOf, subscriptionOf, updatesOf } from '../src/index.js';
import type { Client } from '../src/index.js';
import { createWorld } from './fake-server.js';
import type { World } from './fake-server.js';
import { FakeCollections } from './fake/collections.js';
import { FakePresence } from './fake/presence.js';

let world: World;
let client: Client;

beforeEach(async () => {
  world = createWorld();
  new FakePresence(world.server);
  new FakeCollections(world.server);
  client = world.client();
  await world.settle();
});

const publish = async (room: string, event: string, data: unknown) => {
  world.server.publish({ room, event, data });
  await world.settle();
};
const commands = (event: string) => world.server.commandsOf(event).length;

describe('a store', () => {
  test('asks for nothing before somebody listens, once for all listeners, and for nothing more once nobody does', async () => {
    const store = updatesOf<number>(client, 'kpi', { departmentId: 'sales' });
    await world.settle();
    expect([store.read().status, commands('subscribe')]).toEqual(['pending', 0]);
    const [one, other] = [vi.fn(), vi.fn()];
    const stops = [store.subscribe(one), store.subscribe(other)];
    await world.settle();
    expect([store.read().status, commands('subscribe')]).toEqual(['active', 1]);
    stops[0]!();
    one.mockClear();
    other.mockClear();
    await publish('kpi:acme:sales:support', 'kpi:update', 7);
    expect([one.mock.calls.length, other.mock.calls.length, store.read().latest]).toEqual([0, 1, 7]);
    stops[0]!();
    expect(commands('unsubscribe')).toBe(0);
    stops[1]!();
    await world.settle();
    expect(commands('unsubscribe')).toBe(1);
  });

  test('stays the same until something has changed, and remembers how it began', async () => {
    const store = channelOf(client, 'chat:acme');
    const first = store.read();
    store.subscribe(() => {});
    await world.settle();
    const then = store.read();
    expect([then === first, store.readFirst().status, then.status]).toEqual([false, 'pending', 'active']);
    await world.settle(60_000);
    expect(store.read()).toBe(then);
  });

  test('counts the same listener as often as it listens', async () => {
    const store = subscriptionOf(client, ['kpi:acme', 'chat:acme']);
    const listener = vi.fn();
    const stop = store.subscribe(listener);
    store.subscribe(listener);
    stop();
    await world.settle();
    expect([store.read().status, listener.mock.calls.length > 0]).toEqual(['active', true]);
  });

  test('does nothing while disabled', async () => {
    const stores = [subscriptionOf(client, 'kpi:acme', { enabled: false }), itemsOf(client, 'sync:acme:tasks', { enabled: false })];
    const sent = world.server.received.length;
    stores.forEach((store) => store.subscribe(() => {}));
    await world.settle();
    expect(world.server.received.length).toBe(sent);
  });
});

test('channelOf keeps and tells of no publications when it is to keep none', async () => {
  const store = channelOf(client, 'chat:acme', { historyMax: 0 });
  const listener = vi.fn();
  store.subscribe(listener);
  await world.settle();
  listener.mockClear();
  await publish('chat:acme', 'kpi:update', 'hello');
  expect([listener.mock.calls.length, store.read().publications]).toEqual([0, []]);
});

test('alertsOf follows what becomes of alerts', async () => {
  const store = alertsOf(client, 'alerts');
  store.subscribe(() => {});
  await world.settle();
  await publish('alerts:acme:sales', 'alert:triggered', { id: 'a', severity: 'critical' });
  expect(store.read().unacknowledged).toMatchObject([{ id: 'a', status: 'triggered', room: 'alerts:acme:sales' }]);
  await publish('alerts:acme:sales', 'alert:resolved', { id: 'a' });
  expect([store.read().alerts[0]?.status, store.read().unacknowledged]).toEqual(['resolved', []]);
});

test('connectionOf and healthOf follow the connection', async () => {
  const [connection, health] = [connectionOf(client), healthOf(client)];
  connection.subscribe(() => {});
  health.subscribe(() => {});
  expect([connection.readFirst().state, connection.read().state]).toEqual(['disconnected', 'connected']);
  client.disconnect();
  await world.settle();
  expect([connection.read().isConnected, health.read().quality]).toEqual([false, 'offline']);
});

test('membersOf and itemsOf open while somebody listens, and can be written to', async () => {
  const [members, items] = [membersOf(client, 'chat:acme:lobby', { enter: { status: 'busy' } }), itemsOf<number>(client, 'sync:acme:tasks')];
  await expect(items.read().insert('a', 1)).rejects.toThrow('nobody listens');
  const stops = [members.subscribe(() => {}), items.subscribe(() => {})];
  await world.settle();
  const inserted = items.read().insert('a', 1);
  await world.settle();
  await inserted;
  expect([members.read().members, items.read().items]).toMatchObject([[{ userId: 'alice', status: 'busy' }], [{ key: 'a', value: 1 }]]);
  stops.forEach((stop) => stop());
  await world.settle();
  expect(world.server.received.map(({ event }) => event)).toContain('presence:leave');
  await expect(items.read().remove('a')).rejects.toThrow('nobody listens');
});
