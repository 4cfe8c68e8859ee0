// Subscriptions with filters: which of them share one on the server, what each handler gets, and how they come back.

import { expect, test } from 'vitest';
import { where } from '../src/where.js';
import { createWorld } from './fake-server.js';

async function entered() {
  const world = createWorld();
  const client = world.client();
  await world.settle();
  const got: string[] = [];
  const note = (who: string) => ({ data }: { data: unknown }) => void got.push(`${who} ${(data as { n: number }).n}`);
  const publish = (...numbers: number[]) => numbers.forEach((n) => world.server.publish({ room: 'kpi:acme:sales', data: { n } }));
  return { ...world, client, got, note, publish };
}

test('filters of the same meaning share one subscription, others have their own', async () => {
  const { client, server, settle, note, got, publish } = await entered();
  client.subscribe('kpi:acme', note('a'), { filter: where('n >= 2 and n <= 9') });
  client.subscribe('kpi:org:acme', note('b'), { filter: where('n<=9 AND n>=2.0') });
  client.subscribe('kpi:acme', note('c'), { filter: where('n = 1') });
  await settle();
  expect(server.commandsOf('subscribe').map(({ data }) => data)).toEqual([
    { rooms: [{ room: 'kpi:acme', filter: 'n <= 9 and n >= 2' }, { room: 'kpi:acme', filter: 'n = 1' }] },
  ]);
  publish(1, 2, 10);
  await settle();
  expect(got).toEqual(['c 1', 'a 2', 'b 2']);
});

test('where rooms overlap each handler gets what its own filter passes', async () => {
  const { client, settle, note, got, publish } = await entered();
  client.subscribe('kpi:acme', note('all'));
  client.subscribe('kpi:acme:sales', note('large'), { filter: where('n > 5') });
  await settle();
  publish(1, 7);
  await settle();
  expect(got).toEqual(['all 1', 'all 7', 'large 7']);
});

test('ending one of them leaves the others', async () => {
  const { client, server, settle, note, got, publish } = await entered();
  const plain = client.subscribe('kpi:acme', note('all'));
  const large = client.subscribe('kpi:acme', note('large'), { filter: where('n > 5') });
  client.subscribe('kpi:acme', note('small'), { filter: where('n < 5') });
  await settle();
  plain.unsubscribe();
  large.unsubscribe();
  await settle();
  expect(server.commandsOf('unsubscribe').at(-1)?.data).toEqual({ rooms: ['kpi:acme', { room: 'kpi:acme', filter: 'n > 5' }] });
  publish(1, 7);
  await settle();
  expect(got).toEqual(['small 1']);
});

test('all of them come back in one command and miss nothing', async () => {
  const { client, server, settle, note, got, publish, clock } = await entered();
  client.subscribe('kpi:acme', note('large'), { filter: where('n > 5') });
  client.subscribe('chat:acme', note('chat'));
  await settle();
  publish(6);
  await settle();
  server.cutAll();
  publish(7, 1, 8);
  await clock.advance(10_000);
  expect(got).toEqual(['large 6', 'large 7', 'large 8']);
  const { data } = server.commandsOf('authenticate').at(-1)!;
  expect(data).toMatchObject({ rooms: [{ room: 'kpi:acme', filter: 'n > 5' }, 'chat:acme'], since: expect.any(String) });
  expect(server.commandsOf('subscribe')).toHaveLength(1);
});
