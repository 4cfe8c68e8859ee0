// Publications as they come are only known to be JSON. Here they become what the page works with, or nothing: whoever can
// publish can publish nonsense, and nonsense must not break the page.

import type {
  AlertAcknowledgement, AlertNotice, AttendanceCheck, AttendanceUpdate, Backlog, BacklogSnapshot, BacklogUpdate, KpiComputed, KpiUpdate, Numbered,
} from '../../shapes.ts';
import { addressOf } from './scope.ts';

/** Where it belongs and what it says. */
export type Reading =
  | { kind: 'kpi'; department: string; queue: string; run: string; data: KpiUpdate }
  | { kind: 'computed'; department: string; queue: string; data: KpiComputed }
  | { kind: 'backlog'; department: string; queue: string; data: BacklogUpdate }
  | { kind: 'snapshot'; department: string; data: BacklogSnapshot }
  | { kind: 'attendance'; department: string; data: AttendanceUpdate }
  | { kind: 'check'; department: string; arrived: boolean; data: AttendanceCheck }
  | { kind: 'alert'; department: string; queue: string; run: string; change: 'triggered' | 'escalated' | 'resolved'; data: AlertNotice }
  | { kind: 'acknowledged'; data: AlertAcknowledgement };

export interface Message {
  event: string;
  room: string;
  data: unknown;
}

const NUMBERED: Numbered = { run: '', seq: 0 };
const STAMP = { day: '', time_s: 0 };
const COUNTS = { offered: 0, forecast: 0, answered: 0, in_time: 0, abandoned: 0, wait_s: 0, handle_s: 0, busy_s: 0, staffed_s: 0 };
const STAFFING = { required: 0, available: 0, on_call: 0, after_call: 0, break: 0, training: 0, absent: 0 };
const KPI: KpiUpdate = { ...STAMP, waiting: 0, longest_wait_s: 0, staffing: STAFFING, recent: COUNTS, today: COUNTS };
const COMPUTED: KpiComputed = { ...STAMP, opens_s: 0, interval_s: 0, forecast: [0], offered: [0], answered: [0], in_time: [0], abandoned: [0] };
const BACKLOG: Backlog = { open: 0, ages: [0, 0, 0, 0], oldest_s: 0, done_today: 0 };
const BACKLOG_UPDATE: BacklogUpdate = { ...STAMP, backlog: BACKLOG };
const SNAPSHOT: BacklogSnapshot = { ...STAMP, queues: {} };
const ATTENDANCE: AttendanceUpdate = { ...STAMP, agents: [{ id: '', name: '', queue: '', state: 'available', since_s: 0, adherence: 0 }] };
const CHECK: AttendanceCheck = { ...STAMP, agent: { id: '', name: '', queue: '' }, scheduled_s: 0 };
const ALERT: AlertNotice = { ...STAMP, id: '', rule: 'staffing', severity: 'warning', value: 0, threshold: 0, since_s: 0 };
const ACKNOWLEDGEMENT: AlertAcknowledgement = { id: '', severity: 'warning', acknowledged_by: '' };

/** Whether a value has every field of the example, of the same type. An example of a list with one item stands for any number of such. */
export function like<T>(value: unknown, example: T): value is T {
  if (Array.isArray(example)) {
    return Array.isArray(value) && (example.length === 1 || value.length === example.length) && value.every((item) => like(item, example[0]));
  }
  if (typeof example === 'number') return Number.isFinite(value);
  if (typeof example !== 'object' || example === null) return typeof value === typeof example;
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(example).every(([name, part]) => like((value as Record<string, unknown>)[name], part));
}

/** The publication's number, where it has one: what people publish has none. */
export function numberOf(data: unknown): Numbered | null {
  return like(data, NUMBERED) ? data : null;
}

export function read({ event, room, data }: Message): Reading | null {
  const { department, queue } = addressOf(room);
  if (event === 'alert:acknowledged') return like(data, ACKNOWLEDGEMENT) ? { kind: 'acknowledged', data } : null;
  if (department === null) return null;
  return queue === null ? readOfDepartment(event, department, data) : readOfQueue(event, department, queue, data);
}

function readOfDepartment(event: string, department: string, data: unknown): Reading | null {
  switch (event) {
    case 'attendance:update':
      return like(data, ATTENDANCE) ? { kind: 'attendance', department, data } : null;
    case 'attendance:checkin':
    case 'attendance:checkout':
      return like(data, CHECK) ? { kind: 'check', department, arrived: event === 'attendance:checkin', data } : null;
    case 'backlog:snapshot':
      if (!like(data, SNAPSHOT) || !Object.values(data.queues).every((backlog) => like(backlog, BACKLOG))) return null;
      return { kind: 'snapshot', department, data };
    default:
      return null;
  }
}

function readOfQueue(event: string, department: string, queue: string, data: unknown): Reading | null {
  const run = numberOf(data)?.run ?? '';
  switch (event) {
    case 'kpi:update':
      return like(data, KPI) ? { kind: 'kpi', department, queue, run, data } : null;
    case 'kpi:computed':
      return like(data, COMPUTED) ? { kind: 'computed', department, queue, data } : null;
    case 'backlog:update':
      return like(data, BACKLOG_UPDATE) ? { kind: 'backlog', department, queue, data } : null;
    case 'alert:triggered':
    case 'alert:escalated':
    case 'alert:resolved': {
      const change = event === 'alert:triggered' ? 'triggered' : event === 'alert:escalated' ? 'escalated' : 'resolved';
      return like(data, ALERT) ? { kind: 'alert', department, queue, run, change, data } : null;
    }
    default:
      return null;
  }
}
