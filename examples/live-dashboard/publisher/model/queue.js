// One queue, second by second: calls come, wait, give up or are answered. Pure.

import { SERVICE_LEVEL_THRESHOLD_S } from './company.js';
import { callsPerS, required } from './forecast.js';
import { Tally } from './tally.js';

/** @import { Staffing } from '../../shapes.ts' */
/** @import { Agent } from './agent.js' */
/** @import { QueuePlan } from './company.js' */
/** @import { Random } from './random.js' */

/** Share of the handle time that is wrapping up. */
const WRAP_SHARE = 0.2;

/** @typedef {{ arrivedS: number, leavesS: number }} Caller */
/** @typedef {{ fromS: number, toS: number, factor: number }} Surge More calls than forecast for a while. */

export class Queue {
  tally = new Tally();
  /** @type {Caller[]} */
  #waiting = [];

  /** @param {QueuePlan} plan @param {readonly Agent[]} agents @param {readonly Surge[]} surges @param {Random} random */
  constructor(plan, agents, surges, random) {
    this.plan = plan;
    this.agents = agents;
    this.surges = surges;
    this.random = random;
  }

  get waiting() {
    return this.#waiting.length;
  }

  /** @param {number} timeS */
  longestWaitS(timeS) {
    const first = this.#waiting[0];
    return first === undefined ? 0 : timeS - first.arrivedS;
  }

  /** @param {number} timeS */
  step(timeS) {
    for (const agent of this.agents) agent.step(timeS);
    this.#arrive(timeS);
    this.#giveUp(timeS);
    this.#answer(timeS);
    this.#account(timeS);
  }

  /** @param {number} timeS @returns {Staffing} */
  staffing(timeS) {
    const staffing = { required: required(this.plan, timeS), available: 0, on_call: 0, after_call: 0, break: 0, training: 0, absent: 0 };
    for (const { doing } of this.agents) if (doing !== 'off') staffing[doing] += 1;
    return staffing;
  }

  /** @param {number} timeS */
  #arrive(timeS) {
    const expected = callsPerS(this.plan, timeS);
    const surge = this.surges.find(({ fromS, toS }) => timeS >= fromS && timeS < toS);
    const count = this.random.poisson(expected * (surge?.factor ?? 1));
    const row = this.tally.at(timeS);
    row.forecast += expected;
    row.offered += count;
    for (let n = 0; n < count; n += 1) {
      this.#waiting.push({ arrivedS: timeS, leavesS: timeS + this.random.exponential(this.plan.patienceS) });
    }
  }

  /** @param {number} timeS */
  #giveUp(timeS) {
    const staying = this.#waiting.filter(({ leavesS }) => leavesS > timeS);
    this.tally.at(timeS).abandoned += this.#waiting.length - staying.length;
    this.#waiting = staying;
  }

  /** First come, first served, by whoever has been free for longest. @param {number} timeS */
  #answer(timeS) {
    if (this.#waiting.length === 0) return;
    const free = this.agents.filter(({ doing }) => doing === 'available').sort((a, b) => a.sinceS - b.sinceS);
    const served = this.#waiting.splice(0, free.length);
    served.forEach((caller, index) => this.#serve(caller, free[index], timeS));
  }

  /** @param {Caller} caller @param {Agent | undefined} agent @param {number} timeS */
  #serve(caller, agent, timeS) {
    const handleS = Math.max(20, this.random.logNormal(this.plan.handleS, 0.55));
    const waitS = timeS - caller.arrivedS;
    const row = this.tally.at(timeS);
    agent?.take(timeS, handleS * (1 - WRAP_SHARE), handleS * WRAP_SHARE);
    row.answered += 1;
    row.wait_s += waitS;
    row.handle_s += handleS;
    if (waitS <= SERVICE_LEVEL_THRESHOLD_S) row.in_time += 1;
  }

  /** @param {number} timeS */
  #account(timeS) {
    const row = this.tally.at(timeS);
    for (const { doing } of this.agents) {
      if (doing === 'on_call' || doing === 'after_call') row.busy_s += 1;
      if (doing === 'on_call' || doing === 'after_call' || doing === 'available') row.staffed_s += 1;
    }
  }
}
