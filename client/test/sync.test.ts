import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
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

const reads = () => world.server.commandsOf('sync:subscribe').length;
const asked = () => reads() + world.server.commandsOf('sync:write').length + world.server.commandsOf('subscribe').length;
const shown = ({ items }: Collection) => Object.fromEntries(items.map(({ key, value }) => [key, value]));
const insert = (key: string, value: unknown = key) => server.write(room, { op: 'insert', key, value });
const update = (key: string, value: unknown) => server.write(room, { op: 'update', key, value });
const remove = (key: string) => server.write(room, { op: 'delete', key });

/** Lets something happen after the client is subscribed and before the snapshot is answered. */
function onceBeforePage(happens: () => void): void {
  server.beforePage = () => {
    server.beforePage = undefined;
    happens();
  };
}

describe('mirroring', () => {
  test('reads what is there and follows what changes', async () => {
    insert('a');
    const tasks = collection(client, room);
    expect([tasks.synced, tasks.items]).toEqual([false, []]);
    await world.settle();
    expect([tasks.synced, tasks.items]).toEqual([true, [{ key: 'a', version: 1, value: 'a' }]]);
    insert('b');
    update('a', 'A');
    await world.settle();
    expect(shown(tasks)).toEqual({ a: 'A', b: 'b' });
    remove('a');
    await world.settle();
    expect(shown(tasks)).toEqual({ b: 'b' });
  });

  test('keeps the same list until something changes', async () => {
    insert('a');
    const tasks = collection(client, room);
    const changed = vi.fn();
    tasks.onChange(changed);
    await world.settle();
    const { items } = tasks;
    changed.mockClear();
    await world.settle();
    expect(tasks.items).toBe(items);
    expect(changed).not.toHaveBeenCalled();
  });

  test('has neither a hole nor a double at the seam', async () => {
    insert('kept');
    insert('changed');
    insert('gone');
    onceBeforePage(() => {
      update('changed', 'in both');
      remove('gone');
      insert('new');
    });
    const answer = world.server.commands.get('sync:subscribe')!;
    world.server.commands.set('sync:subscribe', (data, session) => {
      const reply = answer(data, session);
      update('changed', 'after the page');
      return reply;
    });
    const tasks = collection(client, room);
    await world.settle();
    expect(shown(tasks)).toEqual({ kept: 'kept', changed: 'after the page', new: 'new' });
  });

  test('is not taken in by a page that is older than a deletion', async () => {
    insert('a');
    insert('b');
    server.pageMax = 1;
    const answer = world.server.commands.get('sync:subscribe')!;
    let stale: unknown;
    world.server.commands.set('sync:subscribe', (data, session) => {
      const reply = answer(data, session);
      if (data.cursor) return { event: 'sync:snapshot', data: stale };
      stale = { room, position: '', items: [{ key: 'b', version: 2, value: 'b' }] };
      remove('b');
      return reply;
    });
    const tasks = collection(client, room);
    await world.settle();
    expect(shown(tasks)).toEqual({ a: 'a' });
  });

  test('drops what is deleted between two pages', async () => {
    insert('a');
    insert('b');
    server.pageMax = 1;
    let page = 0;
    server.beforePage = () => void (page++ === 1 && remove('a'));
    const tasks = collection(client, room);
    await world.settle();
    expect([page, shown(tasks)]).toEqual([2, { b: 'b' }]);
  });

  test('reads page after page', async () => {
    for (let number = 0; number < 25; number++) insert(`item-${number}`);
    server.pageMax = 10;
    const tasks = collection(client, room);
    await world.settle();
    expect([reads(), tasks.items.length, tasks.synced]).toEqual([3, 25, true]);
  });

  test('passes over what is published in rooms below', async () => {
    const tasks = collection(client, 'sync:org:acme:dept:tasks');
    await world.settle();
    server.write(`${room}:below`, { op: 'insert', key: 'a', value: 1 });
    await world.settle();
    expect(tasks.items).toEqual([]);
  });

  test('bounds its items and says so', async () => {
    for (const key of ['a', 'b', 'c']) insert(key);
    const tasks = collection(client, room, { itemsMax: 2 });
    await world.settle();
    expect([tasks.fault?.code, tasks.synced, tasks.items.length]).toEqual(['COLLECTION_FULL', false, 2]);
  });

  test('shares one subscription and one snapshot among uses, which end with the last', async () => {
    const one = collection(client, room);
    const two = collection(client, room);
    await world.settle();
    expect([reads(), world.server.commandsOf('subscribe').length]).toEqual([1, 1]);
    expect(one.items).toBe(two.items);
    one.close();
    await world.settle();
    expect(world.server.commandsOf('unsubscribe')).toHaveLength(0);
    two.close();
    await world.settle();
    expect(world.server.commandsOf('unsubscribe')).toHaveLength(1);
    await expect(two.insert('a', 1)).rejects.toMatchObject({ code: 'DISCONNECTED' });
  });
});

describe('reconnects', () => {
  test('follows on after a resume without reading again', async () => {
    insert('a');
    const tasks = collection(client, room);
    await world.settle();
    world.server.cutAll();
    insert('b');
    await world.settle();
    expect([shown(tasks), tasks.synced, reads()]).toEqual([{ a: 'a', b: 'b' }, true, 1]);
  });

  test('reads again after a gap, and drops what has gone meanwhile', async () => {
    insert('a');
    insert('b');
    const tasks = collection(client, room);
    await world.settle();
    world.server.cutAll();
    remove('a');
    world.server.log().trim(0);
    await world.settle();
    expect([shown(tasks), tasks.synced, reads()]).toEqual([{ b: 'b' }, true, 2]);
  });

  test('believes a server that lost everything and counts anew', async () => {
    for (const key of ['a', 'b', 'c']) insert(key);
    const tasks = collection(client, room);
    await world.settle();
    remove('a');
    world.server.cutAll();
    server.lose(room);
    world.server.log().replace('log_lost');
    insert('a', 'anew');
    await world.settle();
    expect(tasks.items).toEqual([{ key: 'a', version: 1, value: 'anew' }]);
    update('a', 'and on');
    await world.settle();
    expect(shown(tasks)).toEqual({ a: 'and on' });
  });

  test('reads again when the connection ended before the snapshot', async () => {
    insert('a');
    world.server.fate = (direction, text) => (direction === 'out' && text.includes('sync:snapshot') ? 'cut-before' : 'pass');
    const tasks = collection(client, room);
    await world.settle();
    expect(tasks.synced).toBe(false);
    world.server.fate = undefined;
    await world.settle(5_000);
    expect([shown(tasks), tasks.synced]).toEqual([{ a: 'a' }, true]);
  });

  test('shows nothing of the last user to whoever logs in next', async () => {
    insert('a');
    let sub = 'alice';
    client.disconnect();
    client = world.client({ token: () => world.server.token({ sub }) });
    const tasks = collection(client, room);
    await world.settle();
    expect(tasks.items).toHaveLength(1);
    client.disconnect({ forget: true });
    sub = 'bob';
    world.server.refuse = ({ event }) => (event === 'sync:subscribe' ? { code: 'UNAUTHORIZED' } : undefined);
    client.connect();
    await world.settle();
    expect([tasks.items, tasks.fault?.code]).toEqual([[], 'UNAUTHORIZED']);
  });
});

describe('refusals', () => {
  test('shows and rejects with UNSUPPORTED where the server has no collections, and sends nothing', async () => {
    world.server.features = [];
    const tasks = collection(client, room);
    const early = expect(tasks.insert('a', 1)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await world.settle();
    await early;
    await expect(tasks.insert('b', 1)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect([tasks.fault?.code, tasks.synced, asked()]).toEqual(['UNSUPPORTED', false, 0]);
  });

  test.each(['kpi:acme:sales', 'sync:acme:*'])('refuses %s, which is no room of a collection', async (wrong) => {
    const tasks = collection(client, wrong);
    await world.settle();
    expect([tasks.fault?.code, asked()]).toEqual(['INVALID_ROOM', 0]);
  });

  test('shows nothing when the subscription is refused', async () => {
    client.disconnect();
    client = world.client({ token: () => world.server.token({ grants: ['kpi:acme'] }) });
    const tasks = collection(client, room);
    await world.settle();
    expect([tasks.fault?.code, tasks.items, reads()]).toEqual(['UNAUTHORIZED', [], 0]);
  });

  test('reads later when the server is busy', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    insert('a');
    world.server.refuse = ({ event }) => (event === 'sync:subscribe' ? { code: 'BROKER_UNAVAILABLE', retry_after_ms: 500 } : undefined);
    const tasks = collection(client, room);
    await world.settle();
    expect(tasks.fault?.code).toBe('BROKER_UNAVAILABLE');
    world.server.refuse = undefined;
    vi.advanceTimersByTime(30_000);
    await world.settle();
    expect([shown(tasks), tasks.synced, tasks.fault]).toEqual([{ a: 'a' }, true, null]);
  });
});
