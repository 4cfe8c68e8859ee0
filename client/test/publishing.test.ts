import { describe, expect, test } from 'vitest';
import type { RoomcastFault } from '../src/types.js';
import { createWorld } from './fake-server.js';

const publication = (data: unknown) => ({ room: 'kpi:acme', event: 'kpi:update', data });

function begin(options = {}) {
  const world = createWorld();
  const client = world.client(options);
  return { ...world, client, logged: () => world.server.log().all.map(({ push }) => push.data) };
}

const fault = (promise: Promise<unknown>) => promise.then(() => undefined, (reason: RoomcastFault) => reason);

describe('the outbox', () => {
  test('keeps publications while offline and sends them in order', async () => {
    const { client, server, settle, clock, logged } = begin();
    server.door = 'refused';
    const lengths: number[] = [];
    client.on('outbox', (length) => lengths.push(length));
    const outcomes = [1, 2, 3].map((data) => client.publish(publication(data)));
    await settle();
    expect([logged(), client.health.statistics.queued]).toEqual([[], 3]);
    server.door = 'open';
    await clock.until(() => logged().length === 3);
    await settle();
    expect(logged()).toEqual([1, 2, 3]);
    expect(await Promise.all(outcomes)).toEqual(server.log().all.map(({ id }) => ({ id, duplicate: false })));
    expect(lengths[0]).toBe(3);
    expect(lengths.at(-1)).toBe(0);
  });

  test('sends after the rooms were asked for again', async () => {
    const { client, server, settle } = begin();
    const got: unknown[] = [];
    client.subscribe('kpi:acme', ({ data }) => got.push(data));
    client.publish(publication(1));
    await settle();
    server.cutAll();
    await settle(0);
    client.subscribe('chat:acme', () => {});
    client.publish(publication(2));
    await settle();
    expect(server.received.map(({ event }) => event).filter((event) => event !== 'client:ping').slice(-3)).toEqual(['authenticate', 'subscribe', 'publish']);
    expect(got).toEqual([1, 2]);
  });

  test('is bounded by count', async () => {
    const { client } = begin({ outboxMax: 2, autoConnect: false });
    const outcomes = [1, 2, 3].map((data) => fault(client.publish(publication(data))));
    expect(await outcomes[2]).toMatchObject({ code: 'QUEUE_FULL' });
    expect(client.health.statistics.queued).toBe(2);
  });

  test('is bounded by bytes', async () => {
    const { client } = begin({ outboxBytesMax: 500, autoConnect: false });
    client.publish(publication('é'.repeat(100)));
    expect(await fault(client.publish(publication('é'.repeat(100))))).toMatchObject({ code: 'QUEUE_FULL' });
    client.publish(publication('e'.repeat(50)));
  });

  test('has room again for what was sent', async () => {
    const { client, settle, logged } = begin({ outboxMax: 1 });
    for (let data = 0; data < 5; data++) {
      client.publish(publication(data));
      await settle();
    }
    expect(logged()).toEqual([0, 1, 2, 3, 4]);
  });

  test('sends what was said, not what the object became', async () => {
    const { client, settle, logged } = begin();
    const data = { count: 1 };
    client.publish(publication(data));
    data.count = 2;
    await settle();
    expect(logged()).toEqual([{ count: 1 }]);
  });

  test('refuses what is no JSON', async () => {
    const { client } = begin();
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    await expect(client.publish(publication(circle))).rejects.toThrow('circular');
  });
});

describe('sent again', () => {
  test.each(['before the server has it', 'before the answer'])('with the same key when the connection breaks %s', async (when) => {
    const { client, server, settle, clock, logged } = begin();
    await settle();
    let cuts = 1;
    server.fate = (direction, text) => {
      const hit = when === 'before the answer' ? direction === 'out' && text.includes('"published"') : direction === 'in' && text.includes('"publish"');
      return hit && cuts-- > 0 ? 'cut-before' : 'pass';
    };
    const outcomes = [1, 2, 3].map((data) => client.publish(publication(data)));
    await clock.until(() => logged().length === 3);
    await settle();
    expect(logged()).toEqual([1, 2, 3]);
    const keys = server.commandsOf('publish').map(({ data }) => data!.idempotency_key);
    expect(new Set(keys).size).toBe(3);
    expect((await outcomes[0])!.duplicate).toBe(when === 'before the answer');
  });

  test('when no answer comes on a live connection', async () => {
    const { client, server, settle, clock, logged } = begin();
    await settle();
    let losses = 1;
    server.fate = (_direction, text) => (text.includes('"published"') && losses-- > 0 ? 'lose' : 'pass');
    const outcome = client.publish(publication(1));
    client.publish(publication(2));
    await clock.until(() => logged().length === 2);
    expect(await outcome).toMatchObject({ duplicate: true });
    expect(logged()).toEqual([1, 2]);
  });

  test.each(['RATE_LIMIT_EXCEEDED', 'BROKER_UNAVAILABLE'])('after %s, and nothing overtakes', async (code) => {
    const { client, server, settle, clock, logged } = begin();
    await settle();
    let refusals = 3;
    server.refuse = ({ event }) => (event === 'publish' && refusals-- > 0 ? { code, retry_after_ms: 200 } : undefined);
    [1, 2, 3].forEach((data) => client.publish(publication(data)));
    await clock.until(() => logged().length === 3);
    expect(logged()).toEqual([1, 2, 3]);
    expect(server.commandsOf('publish')).toHaveLength(6);
  });

  test('several may be under way at once', async () => {
    const { client, server, settle, logged } = begin({ publishWindow: 4 });
    await settle();
    for (let data = 0; data < 10; data++) client.publish(publication(data));
    await settle(3);
    expect(logged()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    server.cutAll();
    await settle();
    expect(logged()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('at the pace that the server allows, with hardly more refusals than publications', async () => {
    const { client, server, settle, clock, logged } = begin({ publishWindow: 50 });
    await settle();
    let allowed = 20;
    let last = clock.now;
    server.refuse = ({ event }) => {
      allowed = Math.min(20, allowed + (clock.now - last) / 10);
      last = clock.now;
      if (event !== 'publish' || allowed < 1) return event === 'publish' ? { code: 'RATE_LIMIT_EXCEEDED', retry_after_ms: 10 } : undefined;
      allowed--;
      return undefined;
    };
    for (let data = 0; data < 200; data++) client.publish(publication(data));
    await clock.until(() => logged().length === 200);
    expect(server.commandsOf('publish').length).toBeLessThan(450);
  });

  test('never what ended the connection by its size', async () => {
    const { client, server, settle, logged } = begin({ publishWindow: 2 });
    await settle();
    server.fate = (direction, text, session) => {
      if (direction === 'in' && text.length > 1_000) session.close(1009, { code: 'MESSAGE_TOO_LARGE' });
      return 'pass';
    };
    const [large, small] = [client.publish(publication('x'.repeat(2_000))), client.publish(publication('small'))];
    expect(await fault(Promise.race([large, settle(200).then(() => Promise.reject(new Error('too late')))]))).toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
    await settle();
    expect(await small).toMatchObject({ duplicate: false });
    expect(logged()).toEqual(['small']);
  });
});

describe('answers', () => {
  test('a refusal is told, and the next one goes on', async () => {
    const { client, settle, logged } = begin();
    const refused = fault(client.publish({ ...publication(1), room: 'kpi:globex' }));
    const next = client.publish(publication(2));
    await settle();
    expect(await refused).toMatchObject({ code: 'UNAUTHORIZED' });
    await next;
    expect(logged()).toEqual([2]);
  });

  test("the caller's own key is kept", async () => {
    const { client, settle } = begin();
    const outcomes = [1, 2].map((data) => client.publish({ ...publication(data), idempotencyKey: 'mine' }));
    await settle();
    expect((await Promise.all(outcomes)).map(({ duplicate }) => duplicate)).toEqual([false, true]);
  });

  test('keys of two clients never meet', async () => {
    const { client, settle, server, environment } = begin();
    const { createClientIn } = await import('../src/client.js');
    const { fakeTransport } = await import('./fake-server.js');
    const other = createClientIn(environment, { url: 'ws://fake', token: server.token(), transport: fakeTransport(server) });
    client.publish(publication(1));
    other.publish(publication(2));
    await settle();
    expect(new Set(server.commandsOf('publish').map(({ data }) => data!.idempotency_key)).size).toBe(2);
  });
});

describe('ephemeral publications', () => {
  const ephemeral = { ...publication(1), log: false };

  test('go at once', async () => {
    const { client, settle } = begin();
    const got: unknown[] = [];
    client.subscribe('kpi:acme', (received) => got.push(received.id));
    await settle();
    const outcome = client.publish(ephemeral);
    await settle();
    expect(await outcome).toEqual({ id: null, duplicate: false });
    expect(got).toEqual([undefined]);
  });

  test('or not at all', async () => {
    const { client, server, settle, clock } = begin();
    expect(await fault(client.publish(ephemeral))).toMatchObject({ code: 'DISCONNECTED' });
    await settle();
    const under = fault(client.publish(ephemeral));
    await clock.advance(0);
    server.cutAll();
    await settle();
    expect(await under).toMatchObject({ code: 'DISCONNECTED' });
    server.fate = (_direction, text) => (text.includes('publish') ? 'lose' : 'pass');
    const lost = fault(client.publish(ephemeral));
    await clock.advance(10_000);
    expect(await lost).toMatchObject({ code: 'TIMEOUT' });
  });
});
