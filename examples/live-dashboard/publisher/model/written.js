// Written work of one queue: cases come in all day, and agents without a call work them off. Pure.

import { shape } from './forecast.js';

/** @import { Backlog } from '../../shapes.ts' */
/** @import { QueuePlan } from './company.js' */
/** @import { Random } from './random.js' */

const HOUR_S = 3600;
/** Upper ends of the age groups but for the last, which has none. */
const AGE_LIMITS_S = [HOUR_S, 4 * HOUR_S, 24 * HOUR_S];
/** Cases that a queue holds at most; beyond it the oldest are closed unread, as in real life. */
const CASES_MAX = 500;
/** Share of a free agent's time that goes into cases. */
const ATTENTION = 0.35;

export class Written {
  /** When each open case came in, oldest first; negative for earlier days. @type {number[]} */
  #cases;
  #doneToday = 0;
  #workedS = 0;

  /** @param {QueuePlan} plan @param {number} timeS @param {Random} random */
  constructor(plan, timeS, random) {
    this.plan = plan;
    this.random = random;
    const inherited = Math.round(plan.casesPerHour * random.between(0.8, 2));
    this.#cases = Array.from({ length: inherited }, () => timeS - random.exponential(7 * HOUR_S)).sort((a, b) => a - b);
  }

  /** @param {number} timeS @param {number} freeAgents */
  step(timeS, freeAgents) {
    const arrived = this.random.poisson((this.plan.casesPerHour / HOUR_S) * (0.5 + shape(timeS)));
    for (let n = 0; n < arrived; n += 1) this.#cases.push(timeS);
    if (this.#cases.length > CASES_MAX) this.#cases.splice(0, this.#cases.length - CASES_MAX);
    this.#workedS += freeAgents * ATTENTION;
    if (this.#workedS < this.plan.caseS) return;
    this.#workedS -= this.plan.caseS;
    if (this.#cases.shift() !== undefined) this.#doneToday += 1;
  }

  /** @param {number} timeS @returns {Backlog} */
  backlog(timeS) {
    /** @type {Backlog['ages']} */
    const ages = [0, 0, 0, 0];
    for (const arrivedS of this.#cases) {
      const group = AGE_LIMITS_S.findIndex((limit) => timeS - arrivedS < limit);
      ages[/** @type {0 | 1 | 2 | 3} */ (group === -1 ? 3 : group)] += 1;
    }
    return { open: this.#cases.length, ages, oldest_s: Math.round(timeS - (this.#cases[0] ?? timeS)), done_today: this.#doneToday };
  }
}
