import { describe, expect, test } from 'vitest';
import type { Gap } from '../src/types.js';
import { createWorld } from './fake-server.js';

async function connected(options = {}) {
  const world = createWorld();
  const client = world.client(options);
  const got: unknown[] = [];
  const gaps: Gap[] = [];
  client.subscribe('kpi:acme', ({ data }) => got.push(data), { onGap: (gap) => gaps.push(gap) });
  await world.settle();
  return { ...world, client, got, gaps, publish: (data: unknown, room = 'kpi:acme') => world.server.publish({ room, data }).id! };
}

describe('the position', () => {
  test('is that of the last publication that was handled', async () => {
    const { client, settle, publish } = await connected();
    const positions: (string | null)[] = [];
    client.onEvent('*', () => positions.push(client.position));
    const before = client.position;
    const first = publish(1);
    const second = publish(2);
    await settle();
    expect(positions).toEqual([before, first]);
    expect(client.position).toBe(second);
  });

  test('moves with a publication whose handler throws', async () => {
    const { client, settle, publish, reported } = await connected();
    client.onEvent('*', () => {
      throw new Error('broken');
    });
    const id = publish(1);
    await settle();
    expect([client.position, reported.length]).toEqual([id, 1]);
  });

  test('is left alone by what overtook, and by ephemeral ones', async () => {
    const { client, server, settle, got } = await connected();
    const before = client.position;
    server.publish({ room: 'kpi:acme', data: 'urgent', priority: 'urgent', overtook: true });
    server.publish({ room: 'kpi:acme', data: 'ephemeral', log: false });
    await settle();
    expect(got).toEqual(['urgent', 'ephemeral']);
    expect(client.position).toBe(before);
  });

  test('is left alone by what comes again', async () => {
    const { client, server, settle, publish, got } = await connected();
    publish(1);
    const last = publish(2);
    await settle();
    const [session] = server.sessions;
    server.out(session!, server.log().all[0]!.push);
    await settle();
    expect([client.position, got]).toEqual([last, [1, 2]]);
  });

  test('does not begin before the session stands', async () => {
    const { client, server, settle, publish, got } = await connected();
    const before = client.position;
    server.cutAll();
    server.fate = (_direction, text) => (text.includes('"authenticated"') ? 'lose' : 'pass');
    await settle();
    publish(1);
    await settle();
    expect([client.position, got]).toEqual([before, []]);
    server.thaw();
    await settle(15_000);
    expect(got).toEqual([1]);
  });

  test('is told while nothing comes', async () => {
    const { client, server, settle, publish, got } = await connected();
    const position = publish(1, 'chat:acme');
    server.tell('position', { position });
    await settle();
    expect([client.position, got]).toEqual([position, []]);
  });
});

describe('after a reconnect', () => {
  test('what was missed comes once, in order, before what is new', async () => {
    const { client, server, settle, publish, got } = await connected();
    const replayed: boolean[] = [];
    client.on('publication', (publication) => replayed.push(publication.replayed));
    publish(1);
    await settle();
    server.replayMs = 20;
    server.cutAll();
    publish(2);
    publish(3);
    await settle(5);
    publish(4);
    await settle();
    publish(5);
    await settle();
    expect(got).toEqual([1, 2, 3, 4, 5]);
    // The fourth came while the replay was under way.
    expect(replayed).toEqual([false, true, true, false, false]);
    expect(client.health.statistics).toMatchObject({ reconnects: 1, replayed: 2, duplicates: 0 });
  });

  test('what had come already is dropped', async () => {
    const { client, server, settle, publish, got } = await connected();
    const before = client.position!;
    publish(1);
    publish(2);
    await settle();
    // The server takes it back, as after an overflow of its queue.
    server.tell('position', { position: before });
    await settle();
    server.cutAll();
    publish(3);
    await settle();
    expect(got).toEqual([1, 2, 3]);
    expect(client.health.statistics.duplicates).toBe(2);
  });

  test('only so many ids are remembered', async () => {
    const { client, server, settle, publish, got } = await connected({ seenMax: 2 });
    const before = client.position!;
    for (const data of [1, 2, 3]) publish(data);
    await settle();
    server.tell('position', { position: before });
    await settle();
    server.cutAll();
    await settle();
    expect(got).toEqual([1, 2, 3, 1, 2, 3]);
  });

  test.each(['trimmed', 'fork', 'log_lost'] as const)('a loss is admitted (%s)', async (reason) => {
    const { client, server, settle, publish, got, gaps } = await connected();
    const told: Gap[] = [];
    client.on('gap', (gap) => told.push(gap));
    const from = publish(1);
    await settle();
    server.cutAll();
    publish(2);
    publish(3);
    if (reason === 'trimmed') server.log().trim(1);
    else server.log().replace(reason);
    const after = publish(4);
    await settle();
    expect(gaps).toMatchObject([{ from, reason }]);
    expect(told).toEqual(gaps);
    expect(got).toEqual(reason === 'trimmed' ? [1, 3, 4] : [1, 4]);
    expect(client.position).toBe(after);
  });

  test('rooms subscribed to meanwhile begin now, by a command of their own', async () => {
    const { client, server, settle, publish, got } = await connected();
    const chat: unknown[] = [];
    server.door = 'refused';
    server.cutAll();
    await settle(0);
    publish('missed');
    publish('before', 'chat:acme');
    client.subscribe('chat:acme', ({ data }) => chat.push(data));
    server.door = 'open';
    await settle(3_000);
    publish('after', 'chat:acme');
    await settle();
    expect(server.commandsOf('authenticate').at(-1)!.data).toMatchObject({ rooms: ['kpi:acme'] });
    expect([got, chat]).toEqual([['missed'], ['after']]);
  });

  test('rooms left meanwhile are not asked for', async () => {
    const { client, server, settle } = await connected();
    const use = client.subscribe('chat:acme', () => {});
    await settle();
    server.cutAll();
    use.unsubscribe();
    await settle();
    expect(server.commandsOf('authenticate').at(-1)!.data!.rooms).toEqual(['kpi:acme']);
    expect(server.commandsOf('unsubscribe')).toEqual([]);
  });

  test('a subscription that was not confirmed is not taken for one', async () => {
    const { client, server, settle } = await connected();
    server.fate = (_direction, text) => (text.includes('"subscribed"') ? 'cut-before' : 'pass');
    const use = client.subscribe('chat:acme', () => {});
    await settle(3);
    server.thaw();
    await settle(3_000);
    expect(server.commandsOf('authenticate')[1]!.data!.rooms).toEqual(['kpi:acme']);
    expect(use.status).toBe('active');
  });
});

describe('rooms refused on the way back', () => {
  test('do not keep the others from what they missed', async () => {
    const { client, server, settle, publish, got, clock } = await connected();
    const [faults, chat]: unknown[][] = [[], []];
    client.subscribe('chat:acme', ({ data }) => chat!.push(data), { onError: ({ code }) => faults!.push(code) });
    await settle();
    let grants: string[] | undefined = ['kpi:acme'];
    server.refuse = ({ event, data }) =>
      event !== 'publish' && (data?.rooms as string[] | undefined)?.includes('chat:acme') && grants ? { code: 'UNAUTHORIZED' } : undefined;
    server.cutAll();
    publish(1);
    await clock.until(() => faults!.length === 1);
    await settle();
    publish(2);
    await settle();
    expect([client.state, got, chat, faults]).toEqual(['connected', [1, 2], [], ['UNAUTHORIZED']]);
    grants = undefined;
    server.cutAll();
    await settle(3_000);
    expect(server.commandsOf('authenticate').at(-1)!.data!.rooms).toEqual(['kpi:acme']);
  });

  test('keep their place while they are full', async () => {
    const { client, server, settle, publish, got, clock } = await connected();
    server.fullRooms.add('kpi:acme');
    server.cutAll();
    publish(1);
    await clock.until(() => client.health.statistics.reconnects === 1);
    await settle(8_000);
    publish(2);
    expect(got).toEqual([]);
    server.fullRooms.clear();
    await clock.until(() => got.length === 2);
    expect(got).toEqual([1, 2]);
  });

  test('a position that the server cannot read costs a gap, not the session', async () => {
    const { client, server, settle, clock, gaps, got, publish } = await connected();
    server.tell('position', { position: 'nonsense' });
    await settle();
    server.cutAll();
    publish('lost');
    await clock.until(() => client.health.statistics.reconnects === 1);
    await settle();
    expect(gaps).toMatchObject([{ from: 'nonsense', reason: 'log_lost' }]);
    expect(client.position).toBe(server.log().last);
    client.subscribe('chat:acme', () => {});
    await settle();
    publish('new');
    await settle();
    expect(got).toEqual(['new']);
  });
});

describe('since', () => {
  test('replays the past of a room once, and resumes from the present afterwards', async () => {
    const { client, server, settle, publish, got } = await connected();
    const start = client.position!;
    publish('a', 'chat:acme');
    publish(1);
    const since = publish('b', 'chat:acme');
    const present = publish(2);
    await settle();
    const chat: unknown[] = [];
    client.subscribe('chat:acme', ({ data }) => chat.push(data), { since: start });
    await settle();
    expect([chat, got, client.position]).toEqual([['a', 'b'], [1, 2], present]);
    server.cutAll();
    publish('c', 'chat:acme');
    await settle();
    // Nothing has told yet that the replay was over, so the room goes on from where it got to, and the others from the present.
    expect(server.commandsOf('authenticate').at(-1)!.data).toMatchObject({ rooms: ['kpi:acme'], since: present });
    expect(server.commandsOf('subscribe').at(-1)!.data).toEqual({ rooms: ['chat:acme'], since });
    expect([chat, got]).toEqual([['a', 'b', 'c'], [1, 2]]);
    publish(3);
    await settle();
    server.cutAll();
    await settle(2_000);
    expect(server.commandsOf('authenticate').at(-1)!.data!.rooms).toEqual(['kpi:acme', 'chat:acme']);
  });

  test('is asked for again when the connection breaks before the answer', async () => {
    const { client, server, settle, publish, got } = await connected();
    const start = client.position!;
    publish('a', 'chat:acme');
    publish(1);
    await settle();
    const chat: unknown[] = [];
    let cuts = 1;
    server.fate = (_direction, text) => (text.includes('"subscribed"') && cuts-- > 0 ? 'cut-before' : 'pass');
    client.subscribe('chat:acme', ({ data }) => chat.push(data), { since: start });
    await settle(3_000);
    expect([chat, got]).toEqual([['a'], [1]]);
  });

  test('a break in the midst of the replay loses and doubles nothing', async () => {
    const { client, server, settle, publish, got } = await connected();
    const start = client.position!;
    for (const number of [1, 2, 3, 4]) publish(number, number % 2 ? 'chat:acme' : 'kpi:acme');
    await settle();
    const chat: unknown[] = [];
    let cuts = 1;
    server.fate = (_direction, text) => (text.includes('"replayed"') && cuts-- > 0 ? 'cut-after' : 'pass');
    client.subscribe('chat:acme', ({ data }) => chat.push(data), { since: start });
    await settle(3_000);
    expect([chat, got]).toEqual([
      [1, 3],
      [2, 4],
    ]);
  });

  test('is for the room that asked alone', async () => {
    const { client, settle, publish } = await connected();
    const start = client.position!;
    publish('a', 'chat:acme:sales');
    await settle();
    const [above, below]: unknown[][] = [[], []];
    client.subscribe('chat:acme:sales', ({ data }) => below!.push(data));
    client.subscribe('chat:acme', ({ data }) => above!.push(data), { since: start });
    await settle();
    publish('b', 'chat:acme:sales');
    await settle();
    expect([above, below]).toEqual([['a', 'b'], ['b']]);
  });

  test('shows the past again to whoever comes back and asks for it', async () => {
    const { client, settle, publish } = await connected();
    const start = client.position!;
    publish('a', 'chat:acme');
    for (let visit = 0; visit < 3; visit++) {
      const chat: unknown[] = [];
      const use = client.subscribe('chat:acme', ({ data }) => chat.push(data), { since: start });
      await settle();
      expect(chat).toEqual(['a']);
      use.unsubscribe();
      await settle();
    }
  });
});
