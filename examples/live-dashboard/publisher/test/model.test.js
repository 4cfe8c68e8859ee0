import { describe, expect, it } from 'vitest';
import { CLOSES_S, INTERVAL_S, OPENS_S } from '../model/company.js';
import { Day } from '../model/day.js';
import { agentsNeeded, chanceToWait, serviceLevel } from '../model/erlang.js';
import { intervals } from '../model/forecast.js';
import { Random } from '../model/random.js';

/** @param {number} seed @param {number} seconds */
function dayAfter(seed, seconds) {
  const day = new Day('2026-03-02', new Random(seed), 'run');
  day.advance(seconds);
  return day;
}

describe('Erlang C', () => {
  it('gives the values of the published tables', () => {
    expect(chanceToWait(1, 0.5)).toBeCloseTo(0.5, 4);
    expect(chanceToWait(5, 4)).toBeCloseTo(0.5541, 4);
    expect(chanceToWait(10, 8)).toBeCloseTo(0.4092, 4);
  });

  it('lets everybody wait where the load is more than the agents can carry', () => {
    expect(chanceToWait(4, 4)).toBe(1);
    expect(serviceLevel(4, { callsPerS: 1, handleS: 5, thresholdS: 20 })).toBe(0);
  });

  it('asks for the fewest agents that reach the target', () => {
    const demand = { callsPerS: 100 / 1800, handleS: 180, thresholdS: 20 };
    const agents = agentsNeeded(demand, 0.8);
    expect(serviceLevel(agents, demand)).toBeGreaterThanOrEqual(0.8);
    expect(serviceLevel(agents - 1, demand)).toBeLessThan(0.8);
    expect(agentsNeeded({ ...demand, callsPerS: 0 }, 0.8)).toBe(0);
  });
});

describe('chance', () => {
  it('has the means it promises', () => {
    const random = new Random(1);
    /** @param {() => number} draw */
    const mean = (draw) => Array.from({ length: 20_000 }, draw).reduce((sum, value) => sum + value) / 20_000;
    expect(mean(() => random.poisson(0.4))).toBeCloseTo(0.4, 1);
    expect(mean(() => random.exponential(10)) / 10).toBeCloseTo(1, 1);
    expect(mean(() => random.logNormal(200, 0.5)) / 200).toBeCloseTo(1, 1);
  });
});

describe('a day', () => {
  it('is the same for the same seed and another for another', () => {
    const [one, same, other] = [dayAfter(3, 7200), dayAfter(3, 7200), dayAfter(4, 7200)];
    expect(one.desks.map((desk) => one.kpi(desk))).toEqual(same.desks.map((desk) => same.kpi(desk)));
    expect(one.desks.map((desk) => one.kpi(desk))).not.toEqual(other.desks.map((desk) => other.kpi(desk)));
  });

  it('does not depend on the size of the steps', () => {
    const whole = dayAfter(5, 3600);
    const steps = dayAfter(5, 0);
    for (let step = 0; step < 120; step += 1) steps.advance(30);
    expect(steps.desks.map((desk) => steps.kpi(desk))).toEqual(whole.desks.map((desk) => whole.kpi(desk)));
  });

  it('loses no call: each is answered, gave up, or waits', () => {
    const day = dayAfter(7, 5 * 3600);
    for (const desk of day.desks) {
      const { today, waiting } = day.kpi(desk);
      expect(today.answered + today.abandoned + waiting).toBe(today.offered);
      expect(today.in_time).toBeLessThanOrEqual(today.answered);
      expect(today.busy_s).toBeLessThanOrEqual(today.staffed_s);
    }
  });

  it('comes near the forecast, and its intervals add up to the day', () => {
    const day = dayAfter(7, CLOSES_S - OPENS_S);
    for (const desk of day.desks) {
      const { today } = day.kpi(desk);
      const { offered, forecast } = day.computed(desk);
      expect(today.offered / today.forecast).toBeGreaterThan(0.8);
      expect(today.offered / today.forecast).toBeLessThan(1.3);
      expect(offered.reduce((sum, calls) => sum + calls)).toBe(today.offered);
      expect(forecast).toHaveLength((CLOSES_S - OPENS_S) / INTERVAL_S);
      expect(intervals(desk.queue.plan).reduce((sum, calls) => sum + calls)).toBeCloseTo(today.forecast, -1);
    }
  });

  it('has people who come, pause and go', () => {
    const day = dayAfter(7, 4 * 3600);
    const states = new Set(day.roster('service').map(({ state }) => state));
    expect(states).toContain('on_call');
    expect(states).toContain('break');
    expect(day.checks.some(({ present }) => present)).toBe(true);
    expect(day.roster('service').every(({ adherence }) => adherence >= 0 && adherence <= 1)).toBe(true);
  });

  it('ends, and goes no further', () => {
    const day = dayAfter(7, 24 * 3600);
    expect(day.over).toBe(true);
    expect(day.timeS).toBe(CLOSES_S + 300);
  });
});
