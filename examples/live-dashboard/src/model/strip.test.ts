import { describe, expect, it } from 'vitest';
import type { Strip } from './strip.ts';
import { EMPTY_STRIP, STRIP_ROWS, arrived, cutHere, gapAdmitted } from './strip.ts';

const take = (strip: Strip, seq: number, { replayed = false, room = 'kpi:o:d:q', run = 'a' } = {}) =>
  arrived(strip, { room, event: 'kpi:update', replayed, number: { run, seq } });
const taken = (...numbers: number[]) => numbers.reduce((strip, seq) => take(strip, seq), EMPTY_STRIP);
const kinds = ({ cells }: Strip) => cells.map(({ kind }) => kind).join(' ');

describe('the strip', () => {
  it('has one cell for each publication and begins with whatever number comes first', () => {
    const strip = taken(7, 8, 9);
    expect(kinds(strip)).toBe('live live live');
    expect(strip).toMatchObject({ received: 3, replayed: 0, missing: 0, twice: 0 });
  });

  it('tells replayed ones and where the connection was lost', () => {
    const strip = take(take(cutHere(taken(1)), 2, { replayed: true }), 3);
    expect(kinds(strip)).toBe('live cut replayed live');
    expect(strip).toMatchObject({ received: 3, replayed: 1, missing: 0 });
  });

  it('shows a hole before the publication that reveals it', () => {
    const strip = taken(1, 4);
    expect(kinds(strip)).toBe('live missing missing live');
    expect(strip.missing).toBe(2);
    expect(strip.cells[1]?.title).toContain('number 2, missing');
  });

  it('fills a hole when what was missing comes late', () => {
    const strip = take(taken(1, 4), 3, { replayed: true });
    expect(kinds(strip)).toBe('live missing replayed live');
    expect(strip).toMatchObject({ missing: 1, twice: 0 });
  });

  it('counts what comes twice', () => {
    expect(taken(1, 2, 2)).toMatchObject({ received: 3, twice: 1, missing: 0 });
  });

  it('counts rooms and runs apart', () => {
    const rooms = take(take(taken(1, 2), 9, { room: 'kpi:o:d:other' }), 3);
    expect(rooms.missing).toBe(0);
    expect(take(take(rooms, 1, { run: 'b' }), 2, { run: 'b' }).missing).toBe(0);
  });

  it('counts a whole hole and draws part of it', () => {
    const strip = taken(1, 10_001);
    expect(strip.missing).toBe(9_999);
    expect(strip.cells.length).toBeLessThan(100);
  });

  it('takes what has no number as received, and notes admitted gaps', () => {
    const strip = gapAdmitted(arrived(EMPTY_STRIP, { room: 'alerts:o', event: 'alert:acknowledged', replayed: false, number: null }), 'trimmed');
    expect(kinds(strip)).toBe('live gap');
    expect(strip).toMatchObject({ received: 1, gaps: 1 });
  });

  it('stays bounded, and keeps every cell in its row', () => {
    let strip = EMPTY_STRIP;
    for (let seq = 1; seq <= 5_000; seq += 1) {
      strip = take(strip, seq);
      expect((strip.cells[0]?.key ?? 0) % STRIP_ROWS).toBe(0);
    }
    expect(strip.cells.length).toBeLessThanOrEqual(720);
    expect(strip.received).toBe(5_000);
  });
});
