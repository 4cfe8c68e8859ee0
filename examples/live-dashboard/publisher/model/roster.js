// Who works when: shifts that cover the forecast, with staggered breaks. Pure.

import { CLOSES_S, OPENS_S, agentName } from './company.js';
import { Agent, lived } from './agent.js';
import { required } from './forecast.js';

/** @import { QueuePlan } from './company.js' */
/** @import { Random } from './random.js' */
/** @import { Pause, Shift } from './agent.js' */

const HOUR_S = 3600;

/** The shifts, and which share of the day's greatest need each of them brings. Part-timers carry the morning's peak. */
const SHIFTS = [
  { fromS: OPENS_S, hours: 8.5, share: 0.42 },
  { fromS: OPENS_S, hours: 5, share: 0.36 },
  { fromS: 9.5 * HOUR_S, hours: 4.5, share: 0.42 },
  { fromS: CLOSES_S - 8 * HOUR_S, hours: 8, share: 0.56 },
];

/**
 * A short break, and on long days lunch and another short one; now and then a training.
 * @param {number} fromS
 * @param {number} hours
 * @param {number} stagger From 0 to 1.
 * @param {Random} random
 */
function pauses(fromS, hours, stagger, random) {
  /** @type {(kind: Pause['kind'], afterH: number, lengthMin: number) => Pause} */
  const pause = (kind, afterH, lengthMin) => {
    const start = fromS + (afterH + stagger * 1.4) * HOUR_S;
    return { kind, fromS: start, toS: start + lengthMin * 60 };
  };
  if (hours < 6) return [pause('break', 1.4, 15)];
  const all = [pause('break', 1.2, 15), pause('break', 3.1, 30), pause('break', 6, 15)];
  return random.happens(0.12) ? [...all, pause('training', 4.6, 45)] : all;
}

/** The agents of a queue. @param {QueuePlan} plan @param {number} firstNumber @param {Random} random */
export function agentsOf(plan, firstNumber, random) {
  const peak = mostRequired(plan);
  /** @type {Agent[]} */
  const agents = [];
  for (const { fromS, hours, share } of SHIFTS) {
    const count = Math.max(1, Math.round(peak * share));
    for (let index = 0; index < count; index += 1) {
      /** @type {Shift} */
      const planned = { fromS, toS: fromS + hours * HOUR_S, pauses: pauses(fromS, hours, index / count, random) };
      const number = firstNumber + agents.length;
      agents.push(new Agent({ id: `agent-${number}`, name: agentName(number), queue: plan.name, planned, lived: lived(planned, random) }));
    }
  }
  return agents;
}

/** @param {QueuePlan} plan */
function mostRequired(plan) {
  let most = 0;
  for (let timeS = OPENS_S; timeS < CLOSES_S; timeS += 1800) most = Math.max(most, required(plan, timeS));
  return most;
}
