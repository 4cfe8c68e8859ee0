import { describe, expect, test } from 'vitest';
import { onReceipt, publishForReceipt } from '../src/receipts.js';
import type { Receipt, RoomcastFault } from '../src/types.js';
import { createWorld } from './fake-server.js';

const alarm = { room: 'kpi:acme', event: 'alert:triggered', data: 'fire' };

async function connected(features = ['ack']) {
  const world = createWorld();
  world.server.features.push(...features);
  const client = world.client();
  await world.settle();
  const counts = { matched: 2, written: 2, acked: 1, outstanding: 0, expired: 1 };
  const tell = (id: string) => world.server.publish({ room: 'user:acme:alice', event: 'receipt', data: { id, ...counts } });
  return { ...world, client, counts, tell };
}

const outcome = (promise: Promise<unknown>) => promise.catch((fault: RoomcastFault) => fault);

describe('publishForReceipt', () => {
  test('asks for acknowledgements and waits for the receipt of this very publication', async () => {
    const { client, server, settle, tell, counts } = await connected();
    let receipt: Receipt | undefined;
    void publishForReceipt(client, alarm).then((told) => (receipt = told));
    await settle();
    const { id, push } = server.log().all[0]!;
    expect([push.requires_ack, receipt]).toEqual([true, undefined]);
    tell('19aa56d6000-1-1');
    await settle();
    expect(receipt).toBeUndefined();
    tell(id);
    await settle();
    expect(receipt).toEqual({ id, ...counts });
  });

  test('knows a receipt that is here before the reply is', async () => {
    const { client, server, settle, tell } = await connected();
    // All have acknowledged it before its publisher hears that it is logged.
    server.refuse = ({ event, data }) => {
      if (event === 'publish') tell(server.publish(data as never).id!);
      return undefined;
    };
    const receipt = publishForReceipt(client, alarm);
    await settle();
    const { id } = server.log().all[0]!;
    expect(await receipt).toMatchObject({ id });
  });

  test('waits over a reconnect', async () => {
    const { client, server, settle, tell, clock } = await connected();
    const receipt = publishForReceipt(client, alarm);
    await settle();
    const { id } = server.log().all.at(-1)!;
    server.cutAll();
    tell(id);
    await clock.until(() => client.state === 'connected');
    await settle();
    expect(await receipt).toMatchObject({ id });
  });

  test('waits no longer than its signal says', async () => {
    const { client, settle } = await connected();
    const leaving = new AbortController();
    const receipt = outcome(publishForReceipt(client, alarm, { signal: leaving.signal }));
    await settle();
    leaving.abort(new Error('enough'));
    expect(await receipt).toMatchObject({ message: 'enough' });
    expect(await outcome(publishForReceipt(client, alarm, { signal: leaving.signal }))).toMatchObject({ message: 'enough' });
  });

  test('says so where nobody counts, and what publishing says', async () => {
    const { client, server, settle } = await connected([]);
    const receipt = outcome(publishForReceipt(client, alarm));
    await settle();
    expect(await receipt).toMatchObject({ code: 'UNSUPPORTED' });
    server.refuse = ({ event }) => (event === 'publish' ? { code: 'UNAUTHORIZED' } : undefined);
    const refused = outcome(publishForReceipt(client, alarm));
    await settle();
    expect(await refused).toMatchObject({ code: 'UNAUTHORIZED' });
  });
});

test('onReceipt tells every receipt once, until it is ended', async () => {
  const { client, settle, tell } = await connected();
  const told: string[] = [];
  const end = onReceipt(client, ({ id }) => told.push(id));
  tell('19aa56d6000-1-1');
  tell('19aa56d6000-2-1');
  await settle();
  end();
  tell('19aa56d6000-3-1');
  await settle();
  expect(told).toEqual(['19aa56d6000-1-1', '19aa56d6000-2-1']);
});

test('what comes again is acknowledged again and handled once', async () => {
  const { client, server, settle } = await connected();
  const got: unknown[] = [];
  client.subscribe('kpi:acme', ({ data }) => got.push(data));
  await settle();
  const { id } = server.publish({ ...alarm, requires_ack: true } as never) as { id: string };
  await settle();
  const [session] = server.sessions;
  server.out(session!, { ...server.log().all.at(-1)!.push, redelivered: 1 });
  await settle();
  expect([got, server.acks]).toEqual([['fire'], [id, id]]);
});
