import { describe, expect, it } from 'vitest';
import type { AlertNotice } from '../../shapes.ts';
import type { Alerts } from './alerts.ts';
import { acknowledged, begunAnew, noticed, ranked } from './alerts.ts';

const ORIGIN = { department: 'sales', queue: 'orders', run: 'r' };
const NONE: Alerts = new Map();
const notice = (change: Partial<AlertNotice> = {}): AlertNotice =>
  ({ id: 'a', rule: 'service_level', severity: 'warning', value: 0.6, threshold: 0.7, since_s: 60, day: 'd', time_s: 60, ...change });
const triggered = noticed(NONE, ORIGIN, 'triggered', notice());
const ack = { id: 'a', severity: 'warning', acknowledged_by: 'sam' } as const;

describe('alerts', () => {
  it('stay acknowledged when they are restated', () => {
    const alerts = noticed(acknowledged(triggered, ack), ORIGIN, 'triggered', notice({ value: 0.5 }));
    expect(alerts.get('a')).toMatchObject({ status: 'acknowledged', acknowledgedBy: 'sam', value: 0.5 });
  });

  it('are open again when they grow worse', () => {
    const alerts = noticed(acknowledged(triggered, ack), ORIGIN, 'escalated', notice({ severity: 'critical' }));
    expect(alerts.get('a')).toMatchObject({ status: 'open', acknowledgedBy: null, severity: 'critical' });
  });

  it('are not acknowledged by a word that was about the milder one', () => {
    const critical = noticed(triggered, ORIGIN, 'escalated', notice({ severity: 'critical' }));
    expect(acknowledged(critical, ack).get('a')?.status).toBe('open');
  });

  it('stay resolved, whatever comes later', () => {
    const over = noticed(triggered, ORIGIN, 'resolved', notice({ time_s: 120 }));
    expect(noticed(over, ORIGIN, 'triggered', notice()).get('a')).toMatchObject({ status: 'resolved', resolvedS: 120 });
    expect(acknowledged(over, ack).get('a')?.status).toBe('resolved');
  });

  it('go with the day and the run they belong to', () => {
    expect(begunAnew(triggered, ORIGIN, 'd').size).toBe(1);
    expect(begunAnew(triggered, ORIGIN, 'next').size).toBe(0);
    expect(begunAnew(triggered, { ...ORIGIN, run: 'other' }, 'd').size).toBe(0);
    expect(begunAnew(triggered, { ...ORIGIN, queue: 'other', run: 'other' }, 'd').size).toBe(1);
  });

  it('come in the order in which they need somebody', () => {
    let alerts = NONE;
    for (const [id, severity, since_s] of [['old', 'warning', 1], ['new', 'warning', 2], ['bad', 'critical', 1], ['done', 'critical', 3]] as const) {
      alerts = noticed(alerts, ORIGIN, 'triggered', notice({ id, severity, since_s }));
    }
    alerts = noticed(alerts, ORIGIN, 'resolved', notice({ id: 'done', severity: 'critical' }));
    alerts = acknowledged(alerts, { id: 'new', severity: 'warning', acknowledged_by: 'sam' });
    expect(ranked(alerts.values()).map(({ id }) => id)).toEqual(['bad', 'old', 'new', 'done']);
  });

  it('are forgotten some time after they were resolved', () => {
    let alerts = NONE;
    for (let n = 0; n < 100; n += 1) alerts = noticed(alerts, ORIGIN, 'resolved', notice({ id: `a${n}`, time_s: n }));
    expect(alerts.size).toBe(20);
    expect(alerts.has('a99')).toBe(true);
  });
});
