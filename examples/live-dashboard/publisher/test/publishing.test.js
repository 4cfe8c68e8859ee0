import { describe, expect, it } from 'vitest';
import { Day } from '../model/day.js';
import { Random } from '../model/random.js';
import { Numbering } from '../numbering.js';
import { Outbox, Refused } from '../outbox.js';
import { due } from '../programme.js';
import { run } from '../run.js';

/** @import { Outcome } from '../outbox.js' */
/** @import { NumberedPublication } from '../numbering.js' */

/** A sink that remembers what it was given and answers as it is told, accepting everything after that. */
class Recording {
  /** @type {NumberedPublication[][]} */
  batches = [];

  /** @param {((batch: readonly NumberedPublication[]) => Outcome[])[]} answers */
  constructor(answers = []) {
    this.answers = answers;
  }

  /** @param {readonly NumberedPublication[]} batch @returns {Promise<Outcome[]>} */
  async publish(batch) {
    this.batches.push([...batch]);
    const answer = this.answers.shift();
    return answer === undefined ? batch.map(() => /** @type {const} */ ('accepted')) : answer(batch);
  }

  async close() {}
}

const away = () => {
  throw new Error('away');
};

/** @param {number} count @param {Numbering} [numbering] */
const some = (count, numbering = new Numbering('r')) =>
  Array.from({ length: count }, () => numbering.number({ room: 'kpi:o:d:q', event: 'kpi:update', data: {}, priority: 'medium' }));

describe('numbers', () => {
  it('count per room without a hole, and keys never come twice', () => {
    const numbering = new Numbering('r');
    const all = ['a:o', 'b:o', 'a:o', 'a:o', 'b:o'].map((room) => numbering.number({ room, event: 'e', data: {}, priority: 'low' }));
    expect(all.map(({ data }) => data.seq)).toEqual([1, 1, 2, 3, 2]);
    expect(new Set(all.map(({ key }) => key)).size).toBe(5);
  });
});

describe('the programme', () => {
  const day = new Day('2026-03-02', new Random(7), 'run');
  day.advance(2.75 * 3600);

  it('gives every state at the first tick, so that a page is full at once', () => {
    const events = due(day, 0, 'acme').map(({ event, room }) => `${event} ${room}`);
    expect(events.filter((event) => event.startsWith('kpi:update kpi:acme:'))).toHaveLength(9);
    expect(events.filter((event) => event.startsWith('kpi:computed'))).toHaveLength(9);
    expect(events.filter((event) => event.startsWith('attendance:update'))).toHaveLength(3);
    expect(events.filter((event) => event.startsWith('backlog:snapshot'))).toHaveLength(3);
  });

  it('gives every state again within eight ticks', () => {
    day.advance(0);
    const later = Array.from({ length: 8 }, (_, index) => due(day, index + 1, 'acme')).flat();
    const rooms = (/** @type {string} */ event) => new Set(later.filter((one) => one.event === event).map(({ room }) => room)).size;
    expect([rooms('kpi:update'), rooms('kpi:computed'), rooms('attendance:update'), rooms('backlog:snapshot')]).toEqual([9, 9, 3, 3]);
    const open = day.desks.flatMap(({ alerts }) => alerts.open.map(({ id }) => id));
    expect(open.length).toBeGreaterThan(0);
    expect(new Set(later.filter(({ event }) => event === 'alert:triggered').map(({ data }) => 'id' in data && data.id))).toEqual(new Set(open));
  });
});

describe('the outbox', () => {
  it('sends what failed again, with the same keys and in front', async () => {
    const sink = new Recording([away]);
    const outbox = new Outbox(sink, 100);
    outbox.add(some(3));
    expect(await outbox.send(10)).toMatchObject({ accepted: 0, trouble: 'away' });
    expect(await outbox.send(10)).toMatchObject({ accepted: 3, trouble: null });
    expect(sink.batches[1]?.map(({ key }) => key)).toEqual(sink.batches[0]?.map(({ key }) => key));
    expect(outbox.length).toBe(0);
  });

  it('keeps only what was not accepted', async () => {
    const sink = new Recording([() => ['accepted', { later: 'full' }, 'accepted']]);
    const outbox = new Outbox(sink, 100);
    outbox.add(some(3));
    expect(await outbox.send(10)).toMatchObject({ accepted: 2, trouble: 'full' });
    await outbox.send(10);
    expect(sink.batches[1]?.map(({ data }) => data.seq)).toEqual([2]);
  });

  it('waits longer after each failure, up to a bound, and not at all after a success', async () => {
    const outbox = new Outbox(new Recording(Array.from({ length: 8 }, () => away)), 100);
    outbox.add(some(1));
    const pauses = [];
    for (let attempt = 0; attempt < 9; attempt += 1) pauses.push((await outbox.send(1)).pauseMs);
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000, 5000, 0]);
  });

  it('ends the run where trying again cannot help', async () => {
    const outbox = new Outbox(new Recording([() => [{ refused: 'INVALID_ROOM' }]]), 100);
    outbox.add(some(1));
    await expect(outbox.send(1)).rejects.toThrow(Refused);
  });
});

describe('a run', () => {
  const plan = { org: 'acme', speed: 30, fromS: 9 * 3600, seed: 7, rate: 50, run: 'r', startMs: 0 };

  /** Time that passes only by waiting; it ends after so many milliseconds. @param {number} endMs */
  function world(endMs) {
    const end = new AbortController();
    let nowMs = 0;
    return {
      now: () => nowMs,
      wait: async (/** @type {number} */ ms) => {
        nowMs += ms;
        if (nowMs >= endMs) end.abort();
      },
      log: () => {},
      signal: end.signal,
    };
  }

  it('publishes every number of every room, in order, whatever fails in between', async () => {
    const sink = new Recording([away, (batch) => batch.map((_, index) => (index % 3 === 0 ? { later: 'full' } : 'accepted')), away]);
    const accepted = await run(plan, sink, world(30_000));
    const keys = new Set(sink.batches.flat().map(({ key }) => key));
    expect(accepted).toBeGreaterThan(100);
    expect(keys.size).toBeGreaterThanOrEqual(accepted);
    const last = new Map(sink.batches.flat().map(({ room, data }) => [room, data.seq]));
    for (const [room, seq] of last) {
      const numbers = new Set(sink.batches.flat().filter((one) => one.room === room).map(({ data }) => data.seq));
      expect(numbers.size, room).toBe(Math.max(...numbers));
      expect(seq).toBeGreaterThan(0);
    }
  });

  it('stays within its rate and goes on to the next day', async () => {
    const sink = new Recording();
    await run({ ...plan, fromS: 19.5 * 3600, speed: 600, rate: 20 }, sink, world(40_000));
    expect(Math.max(...sink.batches.map((batch) => batch.length))).toBeLessThanOrEqual(20);
    const days = new Set(sink.batches.flat().map(({ data }) => 'day' in data && data.day));
    expect([...days].slice(0, 2)).toEqual(['1970-01-01', '1970-01-02']);
  });
});
