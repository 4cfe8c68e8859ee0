import { describe, expect, test } from 'vitest';
import { keepIn } from '../src/keep.js';
import type { ClientOptions, StateStorage } from '../src/types.js';
import { createWorld } from './fake-server.js';
import type { World } from './fake-server.js';

class Storage implements StateStorage {
  readonly items = new Map<string, string>();
  getItem = (key: string) => this.items.get(key) ?? null;
  setItem = (key: string, value: string) => void this.items.set(key, value);
  removeItem = (key: string) => void this.items.delete(key);
}

/** A page with the client, and what it got. */
function page(world: World, storage: StateStorage, options: Partial<ClientOptions> = {}) {
  const got: unknown[] = [];
  const client = world.client({ keep: keepIn(storage), ...options });
  client.subscribe('kpi:acme', ({ data }) => got.push(data));
  /** The page goes away without a chance to say so to the server. */
  const leave = async () => {
    world.sign('leave');
    const { disconnect } = client;
    const kept = storage.getItem('roomcast');
    disconnect();
    await world.settle();
    if (kept) storage.setItem('roomcast', kept);
  };
  return { client, got, leave };
}

const logged = (world: World) => world.server.log().all.map(({ push }) => push.data);

describe('over a reload of the page', () => {
  test('what was missed comes, and what waited is sent first', async () => {
    const world = createWorld();
    const storage = new Storage();
    const before = page(world, storage);
    await world.settle();
    world.server.publish({ room: 'kpi:acme', data: 1 });
    await world.settle();
    world.server.door = 'refused';
    world.server.cutAll();
    await world.settle();
    before.client.publish({ room: 'chat:acme', event: 'kpi:update', data: 'waiting' });
    await world.settle(600);
    await before.leave();
    world.server.publish({ room: 'kpi:acme', data: 2 });
    world.server.door = 'open';
    const after = page(world, storage);
    after.client.publish({ room: 'chat:acme', event: 'kpi:update', data: 'new' });
    await world.settle(2_000);
    expect([before.got, after.got]).toEqual([[1], [2]]);
    expect(logged(world)).toEqual([1, 2, 'waiting', 'new']);
    expect(world.server.commandsOf('authenticate').at(-1)!.data!.rooms).toEqual(['kpi:acme']);
  });

  test('a page that goes before the server has answered leaves to the next one what it found, and what it had to publish', async () => {
    const world = createWorld();
    const storage = new Storage();
    const publish = ({ client }: ReturnType<typeof page>, data: string) => client.publish({ room: 'chat:acme', event: 'kpi:update', data });
    const first = page(world, storage);
    await world.settle();
    world.server.door = 'refused';
    world.server.cutAll();
    await world.settle();
    publish(first, 'of the first');
    await first.leave();
    world.server.publish({ room: 'kpi:acme', data: 'missed' });
    world.server.door = 'open';
    world.server.latencyMs = 100;
    const second = page(world, storage);
    publish(second, 'of the second');
    await world.settle(150);
    expect(second.client.state).toBe('connecting');
    await second.leave();
    const third = page(world, storage);
    await world.settle(2_000);
    expect(third.got).toEqual(['missed']);
    expect(logged(world)).toEqual(['missed', 'of the first', 'of the second']);
  });

  test('and over another one before there was a session again', async () => {
    const world = createWorld();
    const storage = new Storage();
    const first = page(world, storage);
    await world.settle();
    world.server.door = 'refused';
    world.server.cutAll();
    await world.settle();
    first.client.publish({ room: 'chat:acme', event: 'kpi:update', data: 'first' });
    await first.leave();
    world.server.publish({ room: 'kpi:acme', data: 'missed' });
    const second = page(world, storage);
    second.client.publish({ room: 'chat:acme', event: 'kpi:update', data: 'second' });
    await world.settle(100);
    await second.leave();
    const third = page(world, storage);
    world.server.door = 'open';
    await world.settle(2_000);
    expect([second.got, third.got]).toEqual([[], ['missed']]);
    expect(logged(world)).toEqual(['missed', 'first', 'second']);
  });

  test('rooms of the page before that are not subscribed to any more are left out', async () => {
    const world = createWorld();
    const storage = new Storage();
    const before = page(world, storage);
    before.client.subscribe('chat:acme', () => {});
    await world.settle();
    await before.leave();
    page(world, storage);
    await world.settle();
    expect(world.server.commandsOf('authenticate').at(-1)!.data!.rooms).toEqual(['kpi:acme']);
  });

  test('state is written soon after it changed, not with every publication', async () => {
    const world = createWorld();
    let writes = 0;
    const storage = new Storage();
    const write = storage.setItem;
    storage.setItem = (key, value) => {
      writes++;
      write(key, value);
    };
    page(world, storage);
    await world.settle(1_000);
    writes = 0;
    for (let data = 0; data < 100; data++) world.server.publish({ room: 'kpi:acme', data });
    await world.settle(1_000);
    expect(writes).toBe(1);
    expect(storage.getItem('roomcast')).toContain(world.server.log().last);
  });

  test('a tab that was duplicated sends nothing twice', async () => {
    const world = createWorld();
    const storage = new Storage();
    const before = page(world, storage);
    await world.settle();
    world.server.door = 'refused';
    world.server.cutAll();
    await world.settle();
    before.client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 'once' });
    await world.settle(600);
    await before.leave();
    const copy = new Storage();
    for (const [key, value] of storage.items) copy.setItem(key, value);
    world.server.door = 'open';
    const tabs = [page(world, storage), page(world, copy)];
    await world.settle(2_000);
    tabs.forEach(({ client }, index) => client.publish({ room: 'kpi:acme', event: 'kpi:update', data: index }));
    await world.settle();
    expect(logged(world)).toEqual(['once', 0, 1]);
    for (const { got } of tabs) expect(got).toEqual(['once', 0, 1]);
  });
});

describe('what belongs to somebody else', () => {
  async function left(sub: string, org: string) {
    const world = createWorld();
    const storage = new Storage();
    const before = page(world, storage);
    await world.settle();
    world.server.door = 'refused';
    world.server.cutAll();
    await world.settle();
    before.client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 'of alice' });
    await before.leave();
    world.server.publish({ room: 'kpi:acme', data: 'missed by alice' });
    world.server.door = 'open';
    const after = page(world, storage, { token: () => world.server.token({ sub, org }) });
    await world.settle(2_000);
    return { world, after };
  }

  test.each([
    ['bob', 'acme'],
    ['alice', 'globex'],
  ])('%s of %s gets nothing of it', async (sub, org) => {
    const { world, after } = await left(sub, org);
    expect(world.server.commandsOf('authenticate').at(-1)!.data).not.toHaveProperty('since');
    expect(logged(world)).toEqual(['missed by alice']);
    expect([after.got, after.client.health.statistics.queued]).toEqual([[], 0]);
  });

  test('a token that names the same subject is not believed before the server has spoken', async () => {
    const world = createWorld();
    const storage = new Storage();
    const before = page(world, storage);
    await world.settle();
    await before.leave();
    const kept = JSON.parse(storage.getItem('roomcast')!);
    storage.setItem('roomcast', JSON.stringify({ ...kept, who: '["acme","somebody"]', outbox: ['{"room":"kpi:acme","event":"kpi:update","data":1,"idempotency_key":"k"}'] }));
    world.server.publish({ room: 'kpi:acme', data: 'missed' });
    const after = page(world, storage);
    await world.settle(2_000);
    expect([after.client.state, after.got, logged(world)]).toEqual(['connected', [], ['missed']]);
    expect(world.server.commandsOf('authenticate').at(-1)!.data).not.toHaveProperty('since');
  });

  test('where tokens cannot be read the outbox waits for the server to say who it is', async () => {
    const world = createWorld();
    const storage = new Storage();
    const before = page(world, storage);
    await world.settle();
    world.server.door = 'refused';
    world.server.cutAll();
    await world.settle();
    before.client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 'waiting' });
    await before.leave();
    const kept = JSON.parse(storage.getItem('roomcast')!);
    storage.setItem('roomcast', JSON.stringify({ ...kept, subject: null }));
    world.server.door = 'open';
    page(world, storage);
    await world.settle(2_000);
    expect(logged(world)).toEqual(['waiting']);
    expect(world.server.commandsOf('authenticate').at(-1)!.data).not.toHaveProperty('since');
  });

  test('forgetting leaves nothing', async () => {
    const world = createWorld();
    const storage = new Storage();
    const { client } = page(world, storage);
    await world.settle(1_000);
    expect(storage.items.size).toBe(1);
    client.disconnect({ forget: true });
    await world.settle(1_000);
    expect(storage.items.size).toBe(0);
  });
});

describe('a storage that', () => {
  const contents = {
    empty: '',
    'no JSON': '{"v":2,',
    'no object': '7',
    old: JSON.stringify({ v: 1, user: 'alice', org: 'acme', position: 'x' }),
    'missing parts': JSON.stringify({ v: 2, who: '["acme","alice"]' }),
    'wrong types': JSON.stringify({ v: 2, who: '["acme","alice"]', subject: null, position: 7, rooms: [], outbox: [] }),
    'a broken outbox': JSON.stringify({ v: 2, who: '["acme","alice"]', subject: null, position: null, rooms: [], outbox: ['{'] }),
    'an outbox without keys': JSON.stringify({ v: 2, who: '["acme","alice"]', subject: null, position: null, rooms: [], outbox: ['{"room":"kpi:acme"}'] }),
  };
  test.each(Object.entries(contents))('holds %s is taken for an empty one', async (_what, text) => {
    const world = createWorld();
    const storage = new Storage();
    storage.setItem('roomcast', text);
    const { client, got } = page(world, storage);
    await world.settle();
    world.server.publish({ room: 'kpi:acme', data: 1 });
    await world.settle(1_000);
    expect([client.state, got]).toEqual(['connected', [1]]);
    expect(JSON.parse(storage.getItem('roomcast')!)).toMatchObject({ v: 2, position: client.position });
  });

  test('is full leaves nothing old behind', async () => {
    const world = createWorld();
    const storage = new Storage();
    const { client } = page(world, storage);
    await world.settle(1_000);
    storage.setItem = () => {
      throw new Error('full');
    };
    world.server.publish({ room: 'kpi:acme', data: 1 });
    await world.settle(1_000);
    expect([client.state, storage.items.size]).toEqual(['connected', 0]);
  });

  test('throws at everything is survived', async () => {
    const world = createWorld();
    const broken = () => {
      throw new Error('forbidden');
    };
    const { client, got } = page(world, { getItem: broken, setItem: broken, removeItem: broken });
    await world.settle();
    world.server.publish({ room: 'kpi:acme', data: 1 });
    await world.settle(1_000);
    client.disconnect({ forget: true });
    expect(got).toEqual([1]);
  });
});
