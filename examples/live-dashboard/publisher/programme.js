// Which publications are due at a tick. Whole states come round again and again, so that a page that opens is full within
// seconds without asking anybody; events come when they happen. Pure.

import { DEPARTMENTS } from './model/company.js';

/** @import { AlertNotice, AttendanceCheck } from '../shapes.ts' */
/** @import { Alert } from './model/alerts.js' */
/** @import { Check, Day, Desk } from './model/day.js' */

/** Every so many ticks each whole state comes again. */
const KPI_EVERY = 2;
const COMPUTED_EVERY = 8;
const ATTENDANCE_EVERY = 4;
const SNAPSHOT_EVERY = 6;
const BACKLOG_EVERY = 5;
const OPEN_ALERTS_EVERY = 8;

/** @typedef {'low' | 'medium' | 'high'} Priority */
/** @typedef {{ room: string, event: string, data: object, priority: Priority }} Publication */

/**
 * All that is due after `day` went on to this tick.
 * @param {Day} day
 * @param {number} tick From 0; at 0 everything is due.
 * @param {string} org
 * @returns {Publication[]}
 */
export function due(day, tick, org) {
  const desks = day.desks.map((desk, index) => ({ desk, turn: tick === 0 ? 0 : tick + index }));
  const departments = DEPARTMENTS.map((department, index) => ({ department, turn: tick === 0 ? 0 : tick + index }));
  return [
    ...day.alertChanges.map(({ desk, change }) => alert(day, desk, change.event, change.alert, org)),
    ...day.checks.map((check) => checked(day, check, org)),
    ...desks.filter(at(KPI_EVERY)).map(({ desk }) => kpi(day, desk, org)),
    ...desks.filter(at(COMPUTED_EVERY)).map(({ desk }) => computed(day, desk, org)),
    ...departments.filter(at(ATTENDANCE_EVERY)).map(({ department }) => attendance(day, department, org)),
    ...departments.filter(at(SNAPSHOT_EVERY)).map(({ department }) => snapshot(day, department, org)),
    ...desks.filter(at(BACKLOG_EVERY)).map(({ desk }) => backlog(day, desk, org)),
    ...desks.filter(at(OPEN_ALERTS_EVERY)).flatMap(({ desk }) => desk.alerts.open.map((open) => alert(day, desk, 'alert:triggered', open, org))),
  ];
}

/** @param {number} every @returns {(item: { turn: number }) => boolean} */
const at = (every) => ({ turn }) => turn % every === 0;

/** @param {string} channel @param {string} org @param {Desk} desk */
const room = (channel, org, { queue: { plan } }) => `${channel}:${org}:${plan.department}:${plan.name}`;

/** @param {Day} day @param {Desk} desk @param {string} org @returns {Publication} */
const kpi = (day, desk, org) => ({ room: room('kpi', org, desk), event: 'kpi:update', data: day.kpi(desk), priority: 'medium' });

/** @param {Day} day @param {Desk} desk @param {string} org @returns {Publication} */
const computed = (day, desk, org) => ({ room: room('kpi', org, desk), event: 'kpi:computed', data: day.computed(desk), priority: 'low' });

/** @param {Day} day @param {Desk} desk @param {string} org @returns {Publication} */
function backlog(day, desk, org) {
  const data = { ...day.stamp(), backlog: desk.written.backlog(day.timeS) };
  return { room: room('backlog', org, desk), event: 'backlog:update', data, priority: 'medium' };
}

/** @param {Day} day @param {string} department @param {string} org @returns {Publication} */
function snapshot(day, department, org) {
  const desks = day.desks.filter(({ queue }) => queue.plan.department === department);
  const queues = Object.fromEntries(desks.map(({ queue, written }) => [queue.plan.name, written.backlog(day.timeS)]));
  return { room: `backlog:${org}:${department}`, event: 'backlog:snapshot', data: { ...day.stamp(), queues }, priority: 'medium' };
}

/** @param {Day} day @param {string} department @param {string} org @returns {Publication} */
function attendance(day, department, org) {
  const data = { ...day.stamp(), agents: day.roster(department) };
  return { room: `attendance:${org}:${department}`, event: 'attendance:update', data, priority: 'medium' };
}

/** @param {Day} day @param {Check} check @param {string} org @returns {Publication} */
function checked(day, { agent, department, present }, org) {
  /** @type {AttendanceCheck} */
  const data = {
    ...day.stamp(),
    agent: { id: agent.id, name: agent.name, queue: agent.queue },
    scheduled_s: present ? agent.planned.fromS : agent.planned.toS,
  };
  return { room: `attendance:${org}:${department}`, event: present ? 'attendance:checkin' : 'attendance:checkout', data, priority: 'medium' };
}

/** @param {Day} day @param {Desk} desk @param {string} event @param {Alert} alert @param {string} org @returns {Publication} */
function alert(day, desk, event, { id, rule, severity, value, threshold, sinceS }, org) {
  /** @type {AlertNotice} */
  const data = { ...day.stamp(), id, rule, severity, value: Math.round(value * 1000) / 1000, threshold, since_s: sinceS };
  return { room: room('alerts', org, desk), event, data, priority: 'high' };
}
