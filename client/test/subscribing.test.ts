import { describe, expect, test } from 'vitest';
import type { RoomcastFault } from '../src/types.js';
import { createWorld } from './fake-server.js';

const ignore = () => {};

async function connected(options = {}) {
  const world = createWorld();
  const client = world.client(options);
  await world.settle();
  return { ...world, client, asked: (event: string) => world.server.commandsOf(event).map(({ data }) => data) };
}

describe('batches', () => {
  test('what is subscribed to in one tick is one command', async () => {
    const { client, settle, asked } = await connected();
    for (const room of ['kpi:acme', 'chat:acme:*:support', 'alerts:acme']) client.subscribe(room, ignore);
    await settle();
    expect(asked('subscribe')).toEqual([{ rooms: ['kpi:acme', 'chat:acme:*:support', 'alerts:acme'] }]);
  });

  test('more than 256 rooms are several commands', async () => {
    const { client, server, settle, asked } = await connected();
    server.subscriptionsMax = 1_000;
    for (let number = 0; number < 600; number++) client.subscribe(`kpi:acme:d${number}`, ignore);
    await settle();
    expect(asked('subscribe').map((data) => (data!.rooms as string[]).length)).toEqual([256, 256, 88]);
    server.cutAll();
    await settle();
    expect((asked('authenticate')[1]!.rooms as string[]).length).toBe(256);
    expect(asked('subscribe').slice(3).map((data) => [(data!.rooms as string[]).length, data!.since])).toEqual([
      [256, client.position],
      [88, client.position],
    ]);
  });

  test('rooms with the same position share a command, others have their own', async () => {
    const { client, server, settle, asked } = await connected();
    const [a, b] = [server.publish({ room: 'kpi:acme' }).id!, server.publish({ room: 'kpi:acme' }).id!];
    client.subscribe('kpi:acme:x', ignore, { since: a });
    client.subscribe('kpi:acme:y', ignore, { since: b });
    client.subscribe('kpi:acme:z', ignore, { since: a });
    client.subscribe('kpi:acme:w', ignore);
    await settle();
    expect(asked('subscribe')).toEqual([
      { rooms: ['kpi:acme:x', 'kpi:acme:z'], since: a },
      { rooms: ['kpi:acme:y'], since: b },
      { rooms: ['kpi:acme:w'] },
    ]);
  });
});

describe('uses of one room', () => {
  test('share one subscription, which ends with the last', async () => {
    const { client, server, settle, asked } = await connected();
    const got: string[] = [];
    const first = client.subscribe('kpi:acme', () => got.push('first'));
    const second = client.subscribe('kpi:org:acme:**', () => got.push('second'));
    await settle();
    server.publish({ room: 'kpi:acme' });
    await settle();
    expect(got).toEqual(['first', 'second']);
    first.unsubscribe();
    await settle();
    expect(asked('unsubscribe')).toEqual([]);
    second.unsubscribe();
    second.unsubscribe();
    await settle();
    expect(asked('subscribe')).toEqual([{ rooms: ['kpi:acme'] }]);
    expect(asked('unsubscribe')).toEqual([{ rooms: ['kpi:acme'] }]);
    expect([first.status, second.status]).toEqual(['ended', 'ended']);
  });

  test('a use that joins is active at once', async () => {
    const { client, settle } = await connected();
    client.subscribe('kpi:acme', ignore);
    await settle();
    const joined = client.subscribe('kpi:acme', ignore);
    expect(joined.status).toBe('active');
    await joined.ready;
  });

  test('leaving and coming back at once sends nothing', async () => {
    const { client, server, settle } = await connected();
    client.subscribe('kpi:acme', ignore);
    await settle();
    const before = server.received.length;
    for (let round = 0; round < 3; round++) {
      const use = client.subscribe('kpi:acme', ignore);
      use.unsubscribe();
      client.subscribe('chat:acme', ignore).unsubscribe();
    }
    await settle();
    expect(server.received.length).toBe(before);
  });

  test('mounting twice, as in strict mode, subscribes once', async () => {
    const { client, settle, asked } = await connected();
    client.subscribe('kpi:acme', ignore).unsubscribe();
    client.subscribe('kpi:acme', ignore);
    await settle();
    expect(asked('subscribe')).toHaveLength(1);
    expect(asked('unsubscribe')).toHaveLength(0);
  });

  test('coming back while the server still lets go is in the right order', async () => {
    const { client, server, settle, clock, asked } = await connected();
    const first = client.subscribe('kpi:acme', ignore);
    await settle();
    first.unsubscribe();
    await clock.advance(0);
    const got: unknown[] = [];
    const second = client.subscribe('kpi:acme', ({ data }) => got.push(data));
    await settle();
    expect([asked('subscribe').length, asked('unsubscribe').length, second.status]).toEqual([2, 1, 'active']);
    server.publish({ room: 'kpi:acme', data: 1 });
    await settle();
    expect(got).toEqual([1]);
  });

  test('leaving before the answer lets go after it', async () => {
    const { client, server, settle, clock } = await connected();
    const use = client.subscribe('kpi:acme', ignore);
    await clock.advance(0);
    use.unsubscribe();
    await expect(use.ready).rejects.toMatchObject({ code: 'SUBSCRIPTION_FAILED' });
    await settle();
    expect([...server.sessions][0]!.patterns.has('kpi:acme')).toBe(false);
  });

  test.each([0, 1, 2, 3])('the past asked for %i ms after leaving comes', async (waitMs) => {
    const { client, server, settle, clock } = await connected();
    const since = client.position!;
    server.publish({ room: 'chat:acme', data: 'past' });
    for (const leave of [ignore, () => server.publish({ room: 'chat:acme', data: 'meanwhile' })]) {
      const first = client.subscribe('chat:acme', ignore);
      await clock.advance(leave === ignore ? waitMs : 50);
      first.unsubscribe();
      leave();
      await clock.advance(waitMs);
      const got: unknown[] = [];
      const again = client.subscribe('chat:acme', ({ data }) => got.push(data), { since });
      await settle();
      expect([again.status, got]).toEqual(['active', leave === ignore ? ['past'] : ['past', 'meanwhile']]);
      again.unsubscribe();
      await settle();
    }
    expect([...server.sessions][0]!.patterns.has('chat:acme')).toBe(false);
  });

  test('a filter by event is each use its own', async () => {
    const { client, server, settle } = await connected();
    const got: string[] = [];
    for (const event of ['kpi:update', 'kpi:*', 'backlog:*', undefined]) client.subscribe('kpi:acme', () => got.push(String(event)), { event });
    await settle();
    server.publish({ room: 'kpi:acme', event: 'kpi:update' });
    server.publish({ room: 'kpi:acme', event: 'kpi:alert' });
    await settle();
    expect(got).toEqual(['kpi:update', 'kpi:*', 'undefined', 'kpi:*', 'undefined']);
  });
});

describe('dispatch', () => {
  test('a publication goes to whom it reaches and to nobody else', async () => {
    const { client, server, settle } = await connected();
    const got: Record<string, unknown[]> = {};
    for (const room of ['kpi:acme', 'kpi:acme:sales', 'kpi:acme:*:support', 'chat:acme']) {
      client.subscribe(room, ({ data }) => (got[room] ??= []).push(data));
    }
    await settle();
    server.publish({ room: 'kpi:acme', data: 'root' });
    server.publish({ room: 'kpi:acme:sales', data: 'sales' });
    server.publish({ room: 'kpi:acme:sales:support', data: 'support' });
    server.publish({ room: 'kpi:acme', data: 'all', cascade: true });
    await settle();
    expect(got).toEqual({
      'kpi:acme': ['root', 'sales', 'support', 'all'],
      'kpi:acme:sales': ['sales', 'support', 'all'],
      'kpi:acme:*:support': ['support', 'all'],
    });
  });

  test("the org's and the user's own rooms go to handlers of events", async () => {
    const { client, server, settle } = await connected();
    const [rooms, events, all]: unknown[][] = [[], [], []];
    client.subscribe('kpi:acme', ({ data }) => rooms!.push(data));
    client.onEvent('system:*', ({ data }) => events!.push(data));
    client.on('publication', ({ data }) => all!.push(data));
    await settle();
    server.publish({ room: 'org:acme', event: 'system:broadcast', data: 'everybody', cascade: true });
    server.publish({ room: 'user:acme:alice', event: 'system:notification', data: 'alice' });
    server.publish({ room: 'user:acme:bob', event: 'system:notification', data: 'bob' });
    await settle();
    expect([rooms, events, all]).toEqual([[], ['everybody', 'alice'], ['everybody', 'alice']]);
  });
});

describe('refusals', () => {
  test('one bad room does not harm the others of its batch', async () => {
    const { client, settle, server } = await connected();
    const faults: RoomcastFault[] = [];
    const good = client.subscribe('kpi:acme', ignore);
    const bad = client.subscribe('kpi:globex', ignore, { onError: (fault) => faults.push(fault) });
    const other = client.subscribe('chat:acme', ignore);
    await settle();
    expect([good.status, bad.status, other.status]).toEqual(['active', 'failed', 'active']);
    expect(faults).toMatchObject([{ code: 'UNAUTHORIZED' }]);
    await expect(bad.ready).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    const before = server.commandsOf('subscribe').length;
    const again = client.subscribe('kpi:globex', ignore);
    await settle();
    expect([again.status, server.commandsOf('subscribe').length]).toEqual(['failed', before + 1]);
  });

  test('without a handler of its own a refusal goes to the listeners', async () => {
    const { client, settle } = await connected();
    const faults: RoomcastFault[] = [];
    client.on('error', (fault) => faults.push(fault));
    client.subscribe('kpi:*', ignore);
    await settle();
    expect(faults).toMatchObject([{ code: 'INVALID_ROOM' }]);
  });

  test('as many as the session may have are let in', async () => {
    const { client, server, settle } = await connected();
    server.subscriptionsMax = 3;
    const uses = [1, 2, 3, 4, 5].map((number) => client.subscribe(`kpi:acme:d${number}`, ignore, { onError: ignore }));
    await settle();
    expect(uses.map(({ status }) => status)).toEqual(['active', 'active', 'active', 'failed', 'failed']);
  });

  test('a full room is asked for again and again', async () => {
    const { client, server, settle, clock } = await connected();
    const faults: string[] = [];
    client.on('error', ({ code }) => faults.push(code));
    server.fullRooms.add('kpi:acme');
    const [full, other] = [client.subscribe('kpi:acme', ignore), client.subscribe('chat:acme', ignore)];
    await settle();
    expect([full.status, other.status]).toEqual(['pending', 'active']);
    await clock.advance(20_000);
    const asked = server.commandsOf('subscribe').length;
    expect(asked).toBeGreaterThan(3);
    expect(asked).toBeLessThan(8);
    expect(new Set(faults)).toEqual(new Set(['ROOM_FULL']));
    server.fullRooms.clear();
    await clock.until(() => full.status === 'active');
  });

  test.each(['RATE_LIMIT_EXCEEDED', 'BROKER_UNAVAILABLE', 'INTERNAL_ERROR', 'SOMETHING_NEW'])('%s passes', async (code) => {
    const { client, server, settle, clock } = await connected();
    let refusals = 2;
    server.refuse = ({ event }) => (event === 'subscribe' && refusals-- > 0 ? { code, retry_after_ms: 300 } : undefined);
    const uses = [client.subscribe('kpi:acme', ignore), client.subscribe('chat:acme', ignore)];
    await settle();
    expect(uses.map(({ status }) => status)).toEqual(['pending', 'pending']);
    await clock.until(() => uses.every(({ status }) => status === 'active'));
    expect(server.commandsOf('subscribe')).toHaveLength(3);
  });

  test('a subscription that a renewed token no longer grants ends', async () => {
    const grants = ['kpi:acme', 'chat:acme'];
    const world = createWorld();
    const client = world.client({ token: () => world.server.token({ grants: [...grants] }) });
    const faults: string[] = [];
    const use = client.subscribe('kpi:acme', ignore, { onError: ({ code }) => faults.push(code) });
    client.subscribe('chat:acme', ignore);
    await world.settle();
    grants.shift();
    world.server.tell('token:expiring', { expires_at: 0 });
    await world.settle(6_000);
    expect([use.status, faults]).toEqual(['ended', ['UNAUTHORIZED']]);
    world.server.cutAll();
    await world.settle();
    expect(world.server.commandsOf('authenticate').at(-1)!.data!.rooms).toEqual(['chat:acme']);
  });

  test('an answer that never comes makes the client begin anew', async () => {
    const { client, server, clock, settle } = await connected();
    server.fate = (_direction, text) => (text.includes('"subscribed"') ? 'lose' : 'pass');
    const use = client.subscribe('kpi:acme', ignore);
    await clock.until(() => client.state === 'reconnecting');
    server.thaw();
    await settle();
    expect(use.status).toBe('active');
  });
});

test('what is subscribed to before a session stands follows right after it', async () => {
  const { server, settle, client } = createWorldWithClient();
  const session: number[] = [];
  client.on('session', () => session.push(server.commandsOf('subscribe').length));
  client.subscribe('kpi:acme', ignore);
  await settle();
  expect(server.received.map(({ event }) => event).slice(0, 3)).toEqual(['authenticate', 'client:ping', 'subscribe']);
  expect(session).toHaveLength(1);
});

function createWorldWithClient() {
  const world = createWorld();
  return { ...world, client: world.client() };
}
