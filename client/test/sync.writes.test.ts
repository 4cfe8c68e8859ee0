import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { collection } from '../src/index.js';
import type { Client, Collection } from '../src/index.js';
import { createWorld, type World } from './fake-server.js';
import { FakeCollections } from './fake/collections.js';

const room = 'sync:acme:tasks';

let world: World;
let server: FakeCollections;
let client: Client;

beforeEach(() => {
  world = createWorld();
  server = new FakeCollections(world.server);
  client = world.client();
});

afterEach(() => void vi.useRealTimers());

const writes = () => world.server.commandsOf('sync:write');
const shown = ({ items }: Collection) => Object.fromEntries(items.map(({ key, value }) => [key, value]));
const insert = (key: string, value: unknown) => server.write(room, { op: 'insert', key, value });
const update = (key: string, value: unknown) => server.write(room, { op: 'update', key, value });

test('inserts, updates and removes, and others see it', async () => {
  const tasks = collection<string>(client, room);
  const theirs = collection<string>(world.client({ token: () => world.server.token({ sub: 'bob' }) }), room);
  await world.settle();
  const inserted = tasks.insert('a', 'one');
  await world.settle();
  expect(await inserted).toEqual({ key: 'a', version: 1, value: 'one' });
  const updated = tasks.update('a', 'two', { ifVersion: 1 });
  await world.settle();
  expect(await updated).toEqual({ key: 'a', version: 2, value: 'two' });
  expect(shown(theirs)).toEqual({ a: 'two' });
  const removed = tasks.remove('a');
  await world.settle();
  await removed;
  expect([tasks.items, theirs.items]).toEqual([[], []]);
});

test('shows its own write as soon as it is confirmed', async () => {
  const tasks = collection(client, room);
  await world.settle();
  world.server.fate = (direction, text) => (direction === 'out' && text.includes('"sync:insert"') ? 'lose' : 'pass');
  const inserted = tasks.insert('a', 1);
  await world.settle();
  await inserted;
  expect(shown(tasks)).toEqual({ a: 1 });
});

test('rejects with CONFLICT and the current item when somebody else was first', async () => {
  insert('a', 'old');
  const tasks = collection(client, room);
  await world.settle();
  update('a', 'theirs');
  const refused = expect(tasks.update('a', 'mine', { ifVersion: 1 })).rejects.toMatchObject({
    code: 'CONFLICT',
    data: { current: { key: 'a', version: 2, value: 'theirs' } },
  });
  await world.settle();
  await refused;
  expect(shown(tasks)).toEqual({ a: 'theirs' });
});

test('is done once when its answer is lost, under one key', async () => {
  const tasks = collection(client, room);
  await world.settle();
  world.server.fate = (direction, text) => (direction === 'out' && text.includes('sync:written') ? 'cut-before' : 'pass');
  const inserted = tasks.insert('a', 1);
  await world.clock.until(() => client.state !== 'connected');
  world.server.fate = undefined;
  await world.settle(5_000);
  expect(await inserted).toMatchObject({ version: 1 });
  const keys = writes().map(({ data }) => data?.idempotency_key);
  expect([keys.length, new Set(keys).size, server.itemsIn(room).length]).toEqual([2, 1, 1]);
});

test('waits while offline and keeps its order', async () => {
  const tasks = collection(client, room);
  await world.settle();
  world.server.door = 'silent';
  world.server.cutAll();
  await world.clock.until(() => client.state !== 'connected');
  const done = [tasks.insert('a', 1), tasks.update('a', 2), tasks.remove('a'), tasks.insert('b', 3)];
  world.server.door = 'open';
  await world.settle(30_000);
  await Promise.all(done);
  expect(writes().map(({ data }) => data?.op)).toEqual(['insert', 'update', 'delete', 'insert']);
  expect(shown(tasks)).toEqual({ b: 3 });
});

test('is bounded while it waits', async () => {
  client.disconnect();
  const tasks = collection(client, room, { writesMax: 1 });
  const first = expect(tasks.insert('a', 1)).rejects.toMatchObject({ code: 'DISCONNECTED' });
  await expect(tasks.insert('b', 1)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  tasks.close();
  await first;
});

test('tries again what the server cannot take at the moment, and gives up in the end', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const tasks = collection(client, room);
  await world.settle();
  world.server.refuse = ({ event }) => (event === 'sync:write' ? { code: 'BROKER_UNAVAILABLE' } : undefined);
  const refused = expect(tasks.insert('a', 1)).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  for (let round = 0; round < 12; round++) {
    await world.settle();
    vi.advanceTimersByTime(30_000);
  }
  await refused;
  expect(writes()).toHaveLength(11);
});

test('shows optimistic writes at once and takes them back when they are refused', async () => {
  insert('a', 'old');
  insert('b', 'old');
  const tasks = collection<string>(client, room, { optimistic: true });
  await world.settle();
  const updated = tasks.update('a', 'mine');
  const removed = tasks.remove('b', { ifVersion: 99 });
  const inserted = tasks.insert('c', 'new');
  const refused = expect(removed).rejects.toMatchObject({ code: 'CONFLICT' });
  expect(tasks.items).toEqual([
    { key: 'a', version: 1, value: 'mine' },
    { key: 'c', version: 0, value: 'new' },
  ]);
  await world.settle();
  await Promise.all([updated, inserted, refused]);
  expect(tasks.items).toEqual([
    { key: 'a', version: 3, value: 'mine' },
    { key: 'b', version: 2, value: 'old' },
    { key: 'c', version: 4, value: 'new' },
  ]);
});

test('is lost with the user who made it', async () => {
  let sub = 'alice';
  client.disconnect();
  client = world.client({ token: () => world.server.token({ sub }) });
  const tasks = collection(client, room);
  await world.settle();
  client.disconnect({ forget: true });
  const refused = expect(tasks.insert('a', 1)).rejects.toMatchObject({ code: 'DISCONNECTED' });
  sub = 'bob';
  client.connect();
  await world.settle();
  await refused;
  expect(writes()).toEqual([]);
});
