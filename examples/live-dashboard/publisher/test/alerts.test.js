import { describe, expect, it } from 'vitest';
import { Alerts } from '../model/alerts.js';
import { nothing } from '../model/tally.js';

/** A queue in which so many of 100 calls were answered in time. @param {number} inTime */
const queue = (inTime) => ({
  longest_wait_s: 0,
  staffing: { required: 2, available: 2, on_call: 0, after_call: 0, break: 0, training: 0, absent: 0 },
  recent: { ...nothing(), answered: 100, in_time: inTime },
});

describe('alerts', () => {
  it('are triggered once, escalate once, and clear with room to spare', () => {
    const alerts = new Alerts('a');
    const said = [90, 69, 65, 45, 40, 72, 77, 79, 90].map((inTime, index) => alerts.judge(queue(inTime), index * 60));
    expect(said.map((changes) => changes.map(({ event }) => event))).toEqual([
      [], ['alert:triggered'], [], ['alert:escalated'], [], [], [], ['alert:resolved'], [],
    ]);
    expect(alerts.open).toEqual([]);
  });

  it('keep their id and the time they began, and a later one gets another id', () => {
    const alerts = new Alerts('a');
    const [first] = alerts.judge(queue(60), 60);
    const [worse] = alerts.judge(queue(30), 120);
    expect(first?.alert).toMatchObject({ id: 'a-1', severity: 'warning', threshold: 0.7, sinceS: 60 });
    expect(worse?.alert).toMatchObject({ id: 'a-1', severity: 'critical', threshold: 0.5, sinceS: 60, value: 0.3 });
    alerts.judge(queue(90), 180);
    expect(alerts.judge(queue(60), 240)[0]?.alert.id).toBe('a-2');
  });

  it('clear when too few calls are left to say anything', () => {
    const alerts = new Alerts('a');
    alerts.judge(queue(60), 60);
    expect(alerts.judge({ ...queue(0), recent: nothing() }, 120).map(({ event }) => event)).toEqual(['alert:resolved']);
  });

  it('say nothing of shares of a few calls', () => {
    expect(new Alerts('a').judge({ ...queue(0), recent: { ...nothing(), answered: 5 } }, 60)).toEqual([]);
  });
});
