// A day of the whole company. Pure: chance comes from the seed, time from `advance`.

import { Alerts } from './alerts.js';
import { CLOSES_S, INTERVAL_S, OPENS_S, QUEUES } from './company.js';
import { intervals } from './forecast.js';
import { Queue } from './queue.js';
import { agentsOf } from './roster.js';
import { Written } from './written.js';

/** @import { AgentRow, KpiComputed, KpiUpdate } from '../../shapes.ts' */
/** @import { Change } from './alerts.js' */
/** @import { Agent } from './agent.js' */
/** @import { Random } from './random.js' */
/** @import { Surge } from './queue.js' */

/** After closing, so that the last callers are served. */
const END_S = CLOSES_S + 300;
const RECENT_MINUTES = 30;

/** @typedef {{ queue: Queue, written: Written, alerts: Alerts }} Desk What belongs to one queue. */
/** @typedef {{ desk: Desk, change: Change }} AlertChange */
/** @typedef {{ agent: Agent, department: string, present: boolean }} Check */

export class Day {
  /** @type {AlertChange[]} */
  alertChanges = [];
  /** @type {Check[]} */
  checks = [];

  /**
   * @param {string} date Such as `2026-03-02`.
   * @param {Random} random
   * @param {string} run What ids of alerts begin with, because another run has other alerts.
   */
  constructor(date, random, run) {
    this.date = date;
    this.timeS = OPENS_S;
    let agents = 0;
    /** @type {Desk[]} */
    this.desks = QUEUES.map((plan) => {
      const team = agentsOf(plan, agents, random.fork());
      agents += team.length;
      return {
        queue: new Queue(plan, team, surges(random.fork()), random.fork()),
        written: new Written(plan, OPENS_S, random.fork()),
        alerts: new Alerts(`${run}-${date}-${plan.department}-${plan.name}`),
      };
    });
  }

  get over() {
    return this.timeS >= END_S;
  }

  /**
   * Lets so many seconds pass, up to the day's end. What happened stands in `alertChanges` and `checks` until the next call.
   * @param {number} seconds
   */
  advance(seconds) {
    this.alertChanges = [];
    this.checks = [];
    const untilS = Math.min(END_S, this.timeS + seconds);
    while (this.timeS < untilS) this.#second();
  }

  /** @param {Desk} desk @returns {KpiUpdate} */
  kpi({ queue }) {
    return {
      ...this.stamp(),
      ...this.#situation(queue),
      waiting: queue.waiting,
      today: rounded(queue.tally.today()),
    };
  }

  /** @param {Desk} desk @returns {KpiComputed} */
  computed({ queue }) {
    const rows = queue.tally.intervals();
    return {
      ...this.stamp(),
      opens_s: OPENS_S,
      interval_s: INTERVAL_S,
      forecast: intervals(queue.plan).map((calls) => Math.round(calls * 10) / 10),
      offered: rows.map(({ offered }) => offered),
      answered: rows.map(({ answered }) => answered),
      in_time: rows.map(({ in_time }) => in_time),
      abandoned: rows.map(({ abandoned }) => abandoned),
    };
  }

  /** Everybody of a department who is there or ought to be. @param {string} department @returns {AgentRow[]} */
  roster(department) {
    const team = this.desks.filter(({ queue }) => queue.plan.department === department).flatMap(({ queue }) => queue.agents);
    return team.flatMap(({ id, name, queue, doing, sinceS, adherence }) =>
      doing === 'off' ? [] : [{ id, name, queue, state: doing, since_s: sinceS, adherence: Math.round(adherence * 1000) / 1000 }]);
  }

  stamp() {
    return { day: this.date, time_s: this.timeS };
  }

  /** @param {Queue} queue */
  #situation(queue) {
    return {
      longest_wait_s: queue.longestWaitS(this.timeS),
      staffing: queue.staffing(this.timeS),
      recent: rounded(queue.tally.recent(RECENT_MINUTES)),
    };
  }

  #second() {
    for (const desk of this.desks) {
      const { queue, written } = desk;
      const before = queue.agents.map(({ present }) => present);
      queue.step(this.timeS);
      written.step(this.timeS, queue.agents.filter(({ doing }) => doing === 'available').length);
      this.#noteChecks(queue, before);
      if (this.timeS % 60 === 0) this.alertChanges.push(...desk.alerts.judge(this.#situation(queue), this.timeS).map((change) => ({ desk, change })));
    }
    this.timeS += 1;
  }

  /** @param {Queue} queue @param {readonly boolean[]} before */
  #noteChecks({ agents, plan }, before) {
    agents.forEach((agent, index) => {
      if (agent.present !== before[index]) this.checks.push({ agent, department: plan.department, present: agent.present });
    });
  }
}

/** One or two stretches of unforeseen calls, as after a mailing or an outage. @param {Random} random @returns {Surge[]} */
function surges(random) {
  const count = random.happens(0.4) ? 2 : 1;
  return Array.from({ length: count }, () => {
    const fromS = random.between(OPENS_S + 1800, CLOSES_S - 7200);
    return { fromS, toS: fromS + random.between(1200, 3000), factor: random.between(1.3, 1.7) };
  });
}

/** Whole numbers, which is all that anybody reads. @param {import('../../shapes.ts').Counts} counts */
function rounded(counts) {
  const { forecast, wait_s, handle_s } = counts;
  return { ...counts, forecast: Math.round(forecast), wait_s: Math.round(wait_s), handle_s: Math.round(handle_s) };
}
