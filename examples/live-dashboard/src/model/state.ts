// All that the page knows, and how a publication changes it. Pure.

import type { AgentRow, AttendanceCheck, Backlog, KpiComputed, KpiUpdate } from '../../shapes.ts';
import { acknowledged, begunAnew, noticed } from './alerts.ts';
import type { Alerts } from './alerts.ts';
import { numberOf, read } from './reading.ts';
import type { Message, Reading } from './reading.ts';
import { queueKey } from './scope.ts';
import { extended } from './series.ts';
import { EMPTY_STRIP, arrived } from './strip.ts';
import type { Strip } from './strip.ts';

export interface QueueState {
  department: string;
  queue: string;
  /** The last of them is the present state. */
  updates: readonly KpiUpdate[];
  computed: KpiComputed | null;
  backlog: Backlog | null;
}

export interface Check {
  key: number;
  department: string;
  arrived: boolean;
  data: AttendanceCheck;
}

export interface DashboardState {
  /** In the simulated day; `null` before the first publication. */
  clock: { day: string; timeS: number } | null;
  /** By `queueKey`, in the order of their names. */
  queues: ReadonlyMap<string, QueueState>;
  /** By department. */
  rosters: ReadonlyMap<string, readonly AgentRow[]>;
  /** Newest first. */
  checks: readonly Check[];
  alerts: Alerts;
  strip: Strip;
}

const CHECKS_MAX = 40;

export const EMPTY_STATE: DashboardState = {
  clock: null, queues: new Map(), rosters: new Map(), checks: [], alerts: new Map(), strip: EMPTY_STRIP,
};

export interface Received extends Message {
  replayed: boolean;
  /** How things stood when the page opened, told by the server. */
  latest?: boolean;
}

export function received(state: DashboardState, { event, room, data, replayed, latest }: Received): DashboardState {
  // Numbers are watched from the first that is news: of what was before only the last of each event is told.
  const strip = latest ? state.strip : arrived(state.strip, { room, event, replayed, number: numberOf(data) });
  const reading = read({ event, room, data });
  return reading === null ? { ...state, strip } : said({ ...state, strip }, reading);
}

function said(state: DashboardState, reading: Reading): DashboardState {
  switch (reading.kind) {
    case 'kpi':
      return updated(state, reading);
    case 'computed':
      return withQueue(state, reading.department, reading.queue, { computed: reading.data });
    case 'backlog':
      return withQueue(state, reading.department, reading.queue, { backlog: reading.data.backlog });
    case 'snapshot':
      return Object.entries(reading.data.queues).reduce((next, [queue, backlog]) => withQueue(next, reading.department, queue, { backlog }), state);
    case 'attendance':
      return { ...state, rosters: new Map(state.rosters).set(reading.department, reading.data.agents) };
    case 'check':
      return checked(state, reading.department, reading.arrived, reading.data);
    case 'alert':
      return { ...state, alerts: noticed(state.alerts, reading, reading.change, reading.data) };
    case 'acknowledged':
      return { ...state, alerts: acknowledged(state.alerts, reading.data) };
  }
}

function updated(state: DashboardState, { department, queue, run, data }: Extract<Reading, { kind: 'kpi' }>): DashboardState {
  const updates = extended(state.queues.get(queueKey(department, queue))?.updates ?? [], data);
  const next = withQueue(state, department, queue, { updates });
  return {
    ...next,
    clock: { day: data.day, timeS: data.time_s },
    alerts: begunAnew(next.alerts, { department, queue, run }, data.day),
  };
}

function checked(state: DashboardState, department: string, came: boolean, data: AttendanceCheck): DashboardState {
  const check = { key: (state.checks[0]?.key ?? 0) + 1, department, arrived: came, data };
  return { ...state, checks: [check, ...state.checks].slice(0, CHECKS_MAX) };
}

function withQueue(state: DashboardState, department: string, queue: string, change: Partial<QueueState>): DashboardState {
  const key = queueKey(department, queue);
  const known = state.queues.get(key);
  const next: QueueState = { department, queue, updates: [], computed: null, backlog: null, ...known, ...change };
  const queues = new Map(state.queues).set(key, next);
  return { ...state, queues: known === undefined ? new Map([...queues].sort(([a], [b]) => (a < b ? -1 : 1))) : queues };
}
