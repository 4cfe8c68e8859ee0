// When a queue needs somebody's attention. A rule fires at a threshold, grows worse at a second one, and clears at a third, so
// that a value on the edge does not flicker. Pure.

import { nothing } from './tally.js';

/** @import { AlertRule, KpiUpdate, Severity } from '../../shapes.ts' */

/** Calls below which shares say nothing. */
const CALLS_MIN = 20;

/** What rules look at. @typedef {Pick<KpiUpdate, 'longest_wait_s' | 'staffing' | 'recent'>} Situation */

/**
 * @typedef {object} Rule
 * @property {AlertRule} name
 * @property {(situation: Situation) => number | null} measure `null` while it says nothing.
 * @property {number} warning
 * @property {number} critical Below `warning` where less is worse.
 * @property {number} clear
 */

/** @type {readonly Rule[]} */
export const RULES = [
  { name: 'service_level', measure: ({ recent }) => share(recent.in_time, recent), warning: 0.7, critical: 0.5, clear: 0.78 },
  { name: 'abandonment', measure: ({ recent }) => share(recent.abandoned, recent), warning: 0.1, critical: 0.18, clear: 0.07 },
  { name: 'longest_wait', measure: ({ longest_wait_s }) => longest_wait_s, warning: 180, critical: 360, clear: 60 },
  { name: 'staffing', measure: staffed, warning: 0.75, critical: 0.5, clear: 0.95 },
];

/** @typedef {{ id: string, rule: AlertRule, severity: Severity, value: number, threshold: number, sinceS: number }} Alert */
/** @typedef {{ event: 'alert:triggered' | 'alert:escalated' | 'alert:resolved', alert: Alert }} Change */

/** The open alerts of one queue. */
export class Alerts {
  /** @type {Map<AlertRule, Alert>} */
  #open = new Map();
  #count = 0;

  /** @param {string} prefix What ids begin with. */
  constructor(prefix) {
    this.prefix = prefix;
  }

  get open() {
    return [...this.#open.values()];
  }

  /** @param {Situation} situation @param {number} timeS @returns {Change[]} */
  judge(situation, timeS) {
    return RULES.flatMap((rule) => {
      const change = this.#judge(rule, rule.measure(situation), timeS);
      return change === null ? [] : [change];
    });
  }

  /**
   * What says nothing any more is no reason for an alert either.
   * @param {Rule} rule
   * @param {number | null} value
   * @param {number} timeS
   * @returns {Change | null}
   */
  #judge(rule, value, timeS) {
    const open = this.#open.get(rule.name);
    const severity = value === null ? null : severityOf(rule, value);
    if (open === undefined) return value === null || severity === null ? null : this.#trigger(rule, severity, value, timeS);
    if (value === null || !beyond(rule, value, rule.clear)) return this.#resolve({ ...open, value: value ?? open.value });
    const alert = { ...open, value };
    this.#open.set(rule.name, alert);
    return open.severity === 'warning' && severity === 'critical' ? this.#escalate(rule, alert) : null;
  }

  /** @param {Alert} alert @returns {Change} */
  #resolve(alert) {
    this.#open.delete(alert.rule);
    return { event: 'alert:resolved', alert };
  }

  /** @param {Rule} rule @param {Severity} severity @param {number} value @param {number} timeS @returns {Change} */
  #trigger(rule, severity, value, timeS) {
    this.#count += 1;
    const alert = { id: `${this.prefix}-${this.#count}`, rule: rule.name, severity, value, threshold: rule[severity], sinceS: timeS };
    this.#open.set(rule.name, alert);
    return { event: 'alert:triggered', alert };
  }

  /** @param {Rule} rule @param {Alert} alert @returns {Change} */
  #escalate(rule, alert) {
    /** @type {Alert} */
    const worse = { ...alert, severity: 'critical', threshold: rule.critical };
    this.#open.set(rule.name, worse);
    return { event: 'alert:escalated', alert: worse };
  }
}

/** @param {Rule} rule @param {number} value @param {number} limit */
function beyond(rule, value, limit) {
  return rule.critical < rule.warning ? value < limit : value > limit;
}

/** @param {Rule} rule @param {number} value @returns {Severity | null} */
function severityOf(rule, value) {
  if (beyond(rule, value, rule.critical)) return 'critical';
  return beyond(rule, value, rule.warning) ? 'warning' : null;
}

/** @param {number} part @param {ReturnType<typeof nothing>} counts */
function share(part, { answered, abandoned }) {
  const calls = answered + abandoned;
  return calls < CALLS_MIN ? null : part / calls;
}

/**
 * Agents on the phone by what the forecast asks for; small teams are spared, where one break is half of them.
 * @param {Situation} situation
 */
function staffed({ staffing }) {
  const there = staffing.available + staffing.on_call + staffing.after_call;
  return staffing.required < 4 ? null : there / staffing.required;
}
