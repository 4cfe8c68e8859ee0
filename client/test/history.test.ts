import { expect, test } from 'vitest';
import { historyOf } from '../src/history.js';
import type { HistoryPage } from '../src/history.js';
import { where } from '../src/where.js';
import { createWorld } from './fake-server.js';

async function entered(features = ['history']) {
  const world = createWorld();
  world.server.features = features;
  const client = world.client();
  await world.settle();
  for (let n = 1; n <= 7; n++) world.server.publish({ room: 'kpi:acme:sales', data: { n } });
  world.server.publish({ room: 'chat:acme', data: { n: 99 } });
  const settled = async <T>(promise: Promise<T>) => {
    promise.catch(() => {});
    await world.settle();
    return promise;
  };
  return { ...world, client, settled };
}

test('pages follow each other in either direction', async () => {
  const { client, settled } = await entered();
  for (const [reverse, expected] of [[false, [1, 2, 3, 4, 5, 6, 7]], [true, [7, 6, 5, 4, 3, 2, 1]]] as const) {
    const seen: number[] = [];
    for (let since: string | null = null, end = false; !end; ) {
      const page: HistoryPage<{ n: number }> = await settled(historyOf<{ n: number }>(client, 'kpi:acme', { since, limit: 3, reverse }));
      seen.push(...page.publications.map(({ data }) => data.n));
      expect(page.publications.length).toBeLessThanOrEqual(3);
      ({ next: since, end } = page);
    }
    expect(seen).toEqual(expected);
  }
});

test('publications are as handlers get them, and a filter holds back', async () => {
  const { client, server, settled } = await entered();
  const page = await settled(historyOf(client, 'kpi:acme', { filter: where('n>6.0') }));
  expect(page.publications).toMatchObject([{ room: 'kpi:acme:sales', data: { n: 7 }, priority: 'medium', headers: {}, replayed: false, requiresAck: false }]);
  expect(server.commandsOf('history').at(-1)?.data).toEqual({ room: 'kpi:acme', filter: 'n > 6' });
});

test('a server without it is not asked', async () => {
  const { client, server, settled } = await entered([]);
  await expect(settled(historyOf(client, 'kpi:acme'))).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  expect(server.commandsOf('history')).toEqual([]);
});
