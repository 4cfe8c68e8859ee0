import { describe, expect, test } from 'vitest';
import { createWorld, Refusal } from './fake-server.js';

async function connected(options = {}, features: string[] = []) {
  const world = createWorld();
  world.server.features = features;
  const client = world.client(options);
  await world.settle();
  return { ...world, client };
}

describe('handlers', () => {
  test('of events match by wildcard, over all subscriptions', async () => {
    const { client, server, settle } = await connected();
    const got: string[] = [];
    client.subscribe('activity:acme', () => {});
    client.subscribe('kpi:acme', () => {});
    for (const pattern of ['kpi:update', 'kpi:*', 'activity.*', '*']) client.onEvent(pattern, ({ event }) => got.push(`${pattern} ${event}`));
    await settle();
    server.publish({ room: 'kpi:acme', event: 'kpi:update' });
    server.publish({ room: 'activity:acme', event: 'activity.created' });
    await settle();
    expect(got).toEqual(['kpi:update kpi:update', 'kpi:* kpi:update', '* kpi:update', 'activity.* activity.created', '* activity.created']);
  });

  test('that throw disturb nobody', async () => {
    const { client, server, settle, reported } = await connected();
    const got: string[] = [];
    const broken = (name: string) => () => {
      got.push(name);
      throw new Error(name);
    };
    client.subscribe('kpi:acme', broken('first'), { onGap: broken('gap') });
    client.subscribe('kpi:acme', broken('second'));
    client.onEvent('*', broken('event'));
    client.on('publication', broken('publication'));
    client.on('state', broken('state'));
    client.on('error', broken('error'));
    client.onPush('position', broken('push'));
    client.subscribe('kpi:*', () => {}, { onError: broken('onError') });
    await settle();
    server.publish({ room: 'kpi:acme' });
    server.tell('position', { position: server.log().last });
    server.tell('gap', { from: null, to: server.log().last, reason: 'fork' });
    server.cutAll();
    await settle(2_000);
    expect(new Set(got)).toEqual(new Set(['first', 'second', 'event', 'publication', 'state', 'push', 'onError', 'gap']));
    expect(reported).toHaveLength(got.length);
    expect(client.state).toBe('connected');
  });

  test('may do anything to the client', async () => {
    const { client, server, settle } = await connected();
    const got: string[] = [];
    const first = client.subscribe('kpi:acme', () => {
      got.push('first');
      first.unsubscribe();
      second.unsubscribe();
      client.subscribe('kpi:acme', () => got.push('third'));
      client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 2 });
    });
    const second = client.subscribe('kpi:acme', () => got.push('second'));
    await settle();
    server.publish({ room: 'kpi:acme', data: 1 });
    await settle();
    expect(got).toEqual(['first', 'third']);
    expect(server.commandsOf('subscribe')).toHaveLength(1);
  });

  test('hear nothing after they have left', async () => {
    const { client, server, settle } = await connected();
    const got: string[] = [];
    client.subscribe('kpi:acme', () => {});
    const handler = () => got.push('event');
    const [one, two] = [client.onEvent('*', handler), client.onEvent('*', handler)];
    const leave = client.on('publication', () => got.push('publication'));
    await settle();
    one();
    one();
    leave();
    server.publish({ room: 'kpi:acme' });
    await settle();
    expect(got).toEqual(['event']);
    two();
  });

  test('disconnect in the midst ends what comes behind, and it is not lost', async () => {
    const { client, server, settle } = await connected();
    const got: unknown[] = [];
    client.subscribe('kpi:acme', ({ data }) => {
      got.push(data);
      if (data === 1) client.disconnect();
    });
    await settle();
    server.publish({ room: 'kpi:acme', data: 1 });
    server.publish({ room: 'kpi:acme', data: 2 });
    await settle();
    expect(got).toEqual([1]);
    client.connect();
    await settle();
    expect(got).toEqual([1, 2]);
  });
});

describe('acknowledgements', () => {
  const wanted = (data: unknown) => ({ room: 'kpi:acme', data, requires_ack: true });

  test('are sent together, once the handlers have returned', async () => {
    const { client, server, settle } = await connected({}, ['ack']);
    client.subscribe('kpi:acme', () => expect(server.acks).toEqual([]));
    await settle();
    const ids = [server.publish(wanted(1)).id, server.publish({ room: 'kpi:acme' }).id, server.publish(wanted(2)).id];
    await settle();
    expect(server.acks).toEqual([ids[0], ids[2]]);
  });

  test('are sent again for what comes again', async () => {
    const { client, server, settle } = await connected({}, ['ack']);
    const got: unknown[] = [];
    client.subscribe('kpi:acme', ({ data }) => got.push(data));
    await settle();
    const before = client.position;
    const { id } = server.publish(wanted(1));
    await settle();
    server.tell('position', { position: before });
    await settle();
    server.cutAll();
    await settle();
    expect([server.acks, got]).toEqual([[id, id], [1]]);
  });

  test('can be given by hand', async () => {
    const { client, server, settle } = await connected({ autoAck: false }, ['ack']);
    client.subscribe('kpi:acme', (publication) => publication.data === 2 && client.ack(publication));
    await settle();
    server.publish(wanted(1));
    const { id } = server.publish(wanted(2));
    await settle();
    expect(server.acks).toEqual([id]);
  });

  test('are not for servers that do not know them', async () => {
    const { client, server, settle } = await connected();
    client.subscribe('kpi:acme', (publication) => client.ack(publication));
    await settle();
    server.publish(wanted(1));
    await settle();
    expect(server.commandsOf('ack')).toEqual([]);
  });
});

describe('beyond the base protocol', () => {
  test('commands are answered', async () => {
    const { client, server, settle } = await connected({}, ['presence']);
    server.commands.set('presence:watch', ({ room }) => ({ event: 'presence:snapshot', data: { room, members: [] } }));
    const answer = client.request('presence:watch', { room: 'kpi:acme' });
    await settle();
    expect(await answer).toEqual({ room: 'kpi:acme', members: [] });
    expect(client.session?.features).toEqual(['presence']);
  });

  test('refusals carry what else the server said', async () => {
    const { client, server, settle } = await connected();
    server.commands.set('sync:write', () => {
      throw new Refusal('CONFLICT', 'somebody else was first', { current: { key: 'a', version: 2 } });
    });
    const answer = client.request('sync:write', {}).catch((fault) => fault);
    await settle();
    expect(await answer).toMatchObject({ code: 'CONFLICT', message: 'somebody else was first', data: { current: { version: 2 } } });
  });

  test('commands need a connection, and are not sent again', async () => {
    const { client, server, settle, clock } = await connected();
    server.commands.set('slow', () => ({ event: 'slow', data: {} }));
    const cut = client.request('slow', {}).catch(({ code }) => code);
    await clock.advance(0);
    server.cutAll();
    await settle(1);
    const away = client.request('slow', {}).catch(({ code }) => code);
    await settle();
    expect(await Promise.all([cut, away])).toEqual(['DISCONNECTED', 'DISCONNECTED']);
    server.freeze();
    const late = client.request('slow', {}).catch(({ code }) => code);
    await clock.advance(10_000);
    expect(await late).toBe('TIMEOUT');
    expect(server.commandsOf('slow')).toEqual([]);
  });

  test('no more than so many answers are waited for', async () => {
    const { client } = await connected();
    const codes = await Promise.all(
      Array.from({ length: 5_000 }, (_, index) => (index < 4_096 ? undefined : index)).map((index) => {
        const answer = client.request('slow', {}).catch(({ code }) => code);
        return index === undefined ? undefined : answer;
      }),
    );
    expect(new Set(codes)).toEqual(new Set([undefined, 'QUEUE_FULL']));
    client.disconnect();
  });

  test('pushes are heard by name, and what is not known is passed over', async () => {
    const { client, server, settle } = await connected();
    const got: unknown[] = [];
    const leave = client.onPush('presence:diff', (data) => got.push(data));
    server.tell('presence:diff', { room: 'kpi:acme', version: 1 });
    server.tell('something:new', { a: 1 });
    server.tell('nothing', undefined);
    await settle();
    leave();
    server.tell('presence:diff', { version: 2 });
    await settle();
    expect(got).toEqual([{ room: 'kpi:acme', version: 1 }]);
    expect(client.state).toBe('connected');
  });

  test('what is no message is passed over', async () => {
    const { client, server, settle } = await connected();
    const [session] = server.sessions;
    for (const text of ['', 'hello', '[]', 'null', '7', '{}', '{"event":7}', '{"id":99,"event":"published"}', '{"event":"error","data":null}']) session!.peer.message(text);
    await settle();
    expect(client.state).toBe('connected');
  });
});
