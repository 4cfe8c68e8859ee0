// How many calls are expected at which time of the day. Pure.

import { CLOSES_S, INTERVAL_S, OPENS_S, SERVICE_LEVEL_TARGET, SERVICE_LEVEL_THRESHOLD_S } from './company.js';
import { agentsNeeded } from './erlang.js';

/** @import { QueuePlan } from './company.js' */

/** @param {number} hour @param {number} centre @param {number} width */
const hump = (hour, centre, width) => Math.exp(-(((hour - centre) / width) ** 2));

/** The day's shape from 0 to 1: a steep morning, a dip at lunch, a lower afternoon, an evening that fades. @param {number} timeS */
export function shape(timeS) {
  if (timeS < OPENS_S || timeS >= CLOSES_S) return 0;
  const hour = timeS / 3600;
  return Math.min(1, 0.12 + 0.87 * hump(hour, 10.5, 1.7) + 0.66 * hump(hour, 14.8, 2.1) + 0.22 * hump(hour, 18.2, 1.4));
}

/** @param {QueuePlan} plan @param {number} timeS */
export function callsPerS(plan, timeS) {
  return (plan.peakCallsPerMinute / 60) * shape(timeS);
}

/** Agents that the forecast asks for on the phone at this time. @param {QueuePlan} plan @param {number} timeS */
export function required(plan, timeS) {
  const demand = { callsPerS: callsPerS(plan, timeS), handleS: plan.handleS, thresholdS: SERVICE_LEVEL_THRESHOLD_S };
  return agentsNeeded(demand, SERVICE_LEVEL_TARGET);
}

/** Expected calls of every interval of the day, taken at its middle. @param {QueuePlan} plan */
export function intervals(plan) {
  const count = (CLOSES_S - OPENS_S) / INTERVAL_S;
  return Array.from({ length: count }, (_, index) => callsPerS(plan, OPENS_S + (index + 0.5) * INTERVAL_S) * INTERVAL_S);
}
