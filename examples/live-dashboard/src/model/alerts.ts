// The alerts that stand, by what was published about them.

import type { AlertAcknowledgement, AlertNotice, AlertRule, Severity } from '../../shapes.ts';

export interface Alert {
  id: string;
  department: string;
  queue: string;
  rule: AlertRule;
  severity: Severity;
  value: number;
  threshold: number;
  day: string;
  sinceS: number;
  run: string;
  /** `acknowledged`: somebody takes care of it; it stands until it is resolved. */
  status: 'open' | 'acknowledged' | 'resolved';
  acknowledgedBy: string | null;
  resolvedS: number | null;
}

export type Alerts = ReadonlyMap<string, Alert>;

const RESOLVED_MAX = 20;

export interface Origin {
  department: string;
  queue: string;
  run: string;
}

/** Triggered anew or restated, worse, or over. Restating changes nothing but the value, so that pages opened later know of it too. */
export function noticed(alerts: Alerts, origin: Origin, change: 'triggered' | 'escalated' | 'resolved', notice: AlertNotice): Alerts {
  const known = alerts.get(notice.id);
  // What is over stays over; its id is never used again.
  if (known?.status === 'resolved') return alerts;
  const worse = known !== undefined && known.severity !== notice.severity;
  // Who acknowledged a warning has not yet seen that it became critical.
  const status = change === 'resolved' ? 'resolved' : worse || known === undefined ? 'open' : known.status;
  const { department, queue, run } = origin;
  const alert: Alert = {
    department,
    queue,
    run,
    id: notice.id,
    rule: notice.rule,
    severity: notice.severity,
    value: notice.value,
    threshold: notice.threshold,
    day: notice.day,
    sinceS: notice.since_s,
    status,
    acknowledgedBy: status === 'open' ? null : (known?.acknowledgedBy ?? null),
    resolvedS: change === 'resolved' ? notice.time_s : null,
  };
  return bounded(new Map(alerts).set(alert.id, alert));
}

export function acknowledged(alerts: Alerts, { id, severity, acknowledged_by }: AlertAcknowledgement): Alerts {
  const known = alerts.get(id);
  if (known?.status !== 'open' || known.severity !== severity) return alerts;
  return new Map(alerts).set(id, { ...known, status: 'acknowledged', acknowledgedBy: acknowledged_by });
}

/** A queue that has begun a new day, or whose publisher was started anew, leaves its old alerts behind: nobody will resolve them. */
export function begunAnew(alerts: Alerts, { department, queue, run }: Origin, day: string): Alerts {
  const elsewhere = (alert: Alert) => alert.department !== department || alert.queue !== queue;
  const kept = [...alerts].filter(([, alert]) => elsewhere(alert) || (alert.run === run && alert.day === day));
  return kept.length === alerts.size ? alerts : new Map(kept);
}

/** What needs somebody first: open before acknowledged before resolved, critical before warning, then the newest. */
export function ranked(alerts: Iterable<Alert>): Alert[] {
  return [...alerts].sort((a, b) => rank(a) - rank(b) || latest(b) - latest(a));
}

function rank({ status, severity }: Alert): number {
  if (status === 'resolved') return 4;
  return (status === 'open' ? 0 : 2) + (severity === 'critical' ? 0 : 1);
}

function latest({ resolvedS, sinceS }: Alert): number {
  return resolvedS ?? sinceS;
}

function bounded(alerts: Map<string, Alert>): Alerts {
  const resolved = [...alerts.values()].filter(({ status }) => status === 'resolved');
  resolved.sort((a, b) => latest(a) - latest(b));
  for (const { id } of resolved.slice(0, Math.max(0, resolved.length - RESOLVED_MAX))) alerts.delete(id);
  return alerts;
}
