import { describe, expect, it } from 'vitest';
import type { KpiUpdate } from '../../shapes.ts';
import { abandonment, answerSpeedS, backlogs, overForecast, serviceLevel, together } from './measures.ts';
import { combined, extended, summed } from './series.ts';

const COUNTS = { offered: 10, forecast: 8, answered: 8, in_time: 6, abandoned: 2, wait_s: 80, handle_s: 800, busy_s: 800, staffed_s: 1_000 };
const STAFFING = { required: 2, available: 1, on_call: 1, after_call: 0, break: 0, training: 0, absent: 0 };
const kpi = (time_s: number, change: Partial<KpiUpdate> = {}): KpiUpdate =>
  ({ day: 'd', time_s, waiting: 1, longest_wait_s: 5, staffing: STAFFING, recent: COUNTS, today: COUNTS, ...change });

describe('figures of several queues', () => {
  it('are sums, and ratios are taken from the sums', () => {
    const small = { ...COUNTS, offered: 1, answered: 0, in_time: 0, abandoned: 1, wait_s: 0 };
    const sum = together([kpi(0), kpi(0, { recent: small, longest_wait_s: 9 })]);
    expect(sum).toMatchObject({ queues: 2, waiting: 2, longestWaitS: 9, staffing: { required: 4, available: 2 } });
    expect(serviceLevel(sum.recent)).toBeCloseTo(6 / 11);
    expect(abandonment(sum.recent)).toBeCloseTo(3 / 11);
    expect(answerSpeedS(sum.recent)).toBe(10);
    expect(overForecast(COUNTS)).toBe(0.25);
  });

  it('have no ratio where there was no call', () => {
    expect(serviceLevel(together([]).recent)).toBeNull();
  });

  it('leave what they sum up as it was', () => {
    const one = kpi(0);
    together([one, one]);
    expect(one.recent.offered).toBe(10);
  });

  it('add backlogs up, the oldest being the oldest of all', () => {
    const one = { open: 3, ages: [1, 1, 1, 0] as [number, number, number, number], oldest_s: 7_200, done_today: 4 };
    expect(backlogs([one, { ...one, oldest_s: 60 }])).toEqual({ open: 6, ages: [2, 2, 2, 0], oldest_s: 7_200, done_today: 8 });
  });
});

describe('series', () => {
  it('are bounded, and begin anew with the day', () => {
    let series: readonly KpiUpdate[] = [];
    for (let time = 0; time < 400; time += 1) series = extended(series, kpi(time));
    expect(series).toHaveLength(180);
    expect(series.at(-1)?.time_s).toBe(399);
    expect(extended(series, kpi(0, { day: 'next' }))).toHaveLength(1);
  });

  it('take no step back', () => {
    expect(extended([kpi(10)], kpi(9))).toEqual([kpi(10)]);
  });

  it('of several queues begin when all have spoken, and each counts with what it said last', () => {
    const one = [kpi(0, { waiting: 1 }), kpi(20, { waiting: 2 })];
    const other = [kpi(10, { waiting: 10 }), kpi(30, { waiting: 20 })];
    expect(combined([one, other, []]).map(({ timeS, figures }) => [timeS, figures.waiting])).toEqual([[10, 11], [20, 12], [30, 22]]);
    expect(combined([])).toEqual([]);
  });

  it('of intervals are added up one by one, the shorter ones ending earlier', () => {
    const day = { day: 'd', time_s: 0, opens_s: 100, interval_s: 10, forecast: [1, 2, 3], answered: [1], in_time: [1], abandoned: [0] };
    expect(summed([{ ...day, offered: [1, 2] }, { ...day, offered: [5] }])).toMatchObject({ starts: [100, 110, 120], forecast: [2, 4, 6], offered: [6, 2] });
    expect(summed([])).toBeNull();
  });
});
