// A collection in a bad world: random writes by everybody, cuts, lost answers, gaps and refusals. In the end the mirror must show what the
// server has, and every write must have been answered and carried out at most once. The same seed makes the same run.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { collection } from '../src/index.js';
import { createWorld, seeded } from './fake-server.js';
import { FakeCollections } from './fake/collections.js';

const room = 'sync:acme:tasks';
const seeds = Array.from({ length: 40 }, (_, index) => index + 1);

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

test.each(seeds)('seed %i', async (seed) => {
  const random = seeded(seed);
  vi.spyOn(Math, 'random').mockImplementation(random);
  const one = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
  const world = createWorld({ seed });
  const server = new FakeCollections(world.server);
  server.pageMax = 2;
  // Slow enough that things happen between the pages of a snapshot.
  world.server.latencyMs = 1 + (seed % 40);
  const tasks = collection<number>(world.client({ backoff: { attemptsMax: Infinity } }), room, { optimistic: seed % 2 === 0 });
  const settled: string[] = [];
  let asked = 0;
  let values = 0;

  const pass = async (ms: number) => {
    await world.settle(ms);
    vi.advanceTimersByTime(ms);
  };
  const keep = (write: Promise<unknown>) => {
    asked++;
    write.then(
      () => settled.push('done'),
      ({ code }) => settled.push(code),
    );
  };
  const key = () => one(['a', 'b', 'c', 'd', 'e']);
  const theirs = (op: 'insert' | 'update' | 'delete') => () => {
    try {
      server.write(room, { op, key: key(), value: ++values });
    } catch {
      // Somebody else's conflict.
    }
  };
  const deeds: (() => void)[] = [
    theirs('insert'),
    theirs('insert'),
    theirs('update'),
    theirs('delete'),
    () => keep(tasks.insert(key(), ++values)),
    () => keep(tasks.update(key(), ++values)),
    () => keep(tasks.remove(key())),
    () => void (random() < 0.3 && world.server.cutAll()),
    () => {
      if (random() > 0.3) return;
      world.server.cutAll();
      for (const op of ['insert', 'update', 'delete'] as const) theirs(op)();
      world.server.log().trim(0);
    },
  ];
  // Some worlds are so bad that nothing stands for long, others so good that what goes wrong early is not mended by accident.
  const badness = (seed % 5) * 0.03;
  world.server.fate = () => (random() < badness ? one(['cut-before', 'cut-after']) : 'pass');
  world.server.refuse = ({ event }) => (event.startsWith('sync:') && random() < badness ? { code: 'BROKER_UNAVAILABLE' } : undefined);
  for (let step = 0; step < 80; step++) {
    one(deeds)();
    await pass(Math.floor(random() * 200));
  }
  world.server.fate = undefined;
  world.server.refuse = undefined;
  for (let minute = 0; minute < 5; minute++) await pass(60_000);

  expect(settled).toHaveLength(asked);
  expect(settled.filter((outcome) => outcome !== 'done' && outcome !== 'CONFLICT' && outcome !== 'BROKER_UNAVAILABLE')).toEqual([]);
  expect(tasks.synced).toBe(true);
  const byKey = (one: { key: string }, other: { key: string }) => one.key.localeCompare(other.key);
  expect([...tasks.items].sort(byKey)).toEqual(server.itemsIn(room).sort(byKey));
  // The server carries out a key once, so a write that is sent again under another key would be carried out twice.
  const keys = new Set(world.server.commandsOf('sync:write').map(({ data }) => data?.idempotency_key));
  expect(keys.size).toBeLessThanOrEqual(asked);
});
