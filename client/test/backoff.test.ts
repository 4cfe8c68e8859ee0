import { expect, test } from 'vitest';
import { backoffMs } from '../src/backoff.js';
import { seeded } from './fake-server.js';

test('the first attempt is made at once, unless the server asks for a pause', () => {
  expect(backoffMs(1, {}, 0, 0.9)).toBe(0);
  expect(backoffMs(1, {}, 700, 0.9)).toBe(700);
});

test('waits lie between the hint and an upper end that doubles up to the cap', () => {
  for (let seed = 0; seed < 500; seed++) {
    const random = seeded(seed);
    const attempt = 2 + Math.floor(random() * 2_000);
    const law = { baseMs: 1 + random() * 5_000, capMs: 5_000 + random() * 60_000 };
    const floorMs = random() < 0.5 ? 0 : random() * 90_000;
    const upperMs = Math.min(law.capMs, law.baseMs * 2 ** (attempt - 2));
    const waitMs = backoffMs(attempt, law, floorMs, random());
    expect(waitMs).toBeGreaterThanOrEqual(floorMs);
    expect(waitMs).toBeLessThanOrEqual(Math.max(floorMs, upperMs));
  }
});

test('waits spread over the whole range', () => {
  const random = seeded(7);
  const waits = Array.from({ length: 2_000 }, () => backoffMs(4, { baseMs: 1_000, capMs: 30_000 }, 0, random()));
  const quarters = [0, 1, 2, 3].map((quarter) => waits.filter((ms) => Math.floor(ms / 1_000) === quarter).length);
  for (const count of quarters) expect(count).toBeGreaterThan(400);
});

test('by default the range grows from one second to thirty', () => {
  expect([2, 3, 4, 7, 100].map((attempt) => backoffMs(attempt, {}, undefined, 1))).toEqual([1_000, 2_000, 4_000, 30_000, 30_000]);
});
