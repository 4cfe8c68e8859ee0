// Lets the day go on and sends what is due, once per second of real time. Time and chance come as parameters; main.js brings
// the real ones.

import { Day } from './model/day.js';
import { OPENS_S } from './model/company.js';
import { Random } from './model/random.js';
import { Numbering } from './numbering.js';
import { Outbox } from './outbox.js';
import { due } from './programme.js';

/** @import { Sink } from './outbox.js' */

/** Publications kept while nothing gets out: some minutes of them. Then the simulated day stands still, and nothing is dropped. */
const OUTBOX_MAX = 5_000;
const TICK_MS = 1_000;
const DAY_MS = 86_400_000;

/**
 * @typedef {object} World
 * @property {() => number} now Unix milliseconds.
 * @property {(ms: number) => Promise<void>} wait Settles early when the run is aborted.
 * @property {(line: string) => void} log
 * @property {AbortSignal} signal Ends the run.
 */

/** @typedef {{ org: string, speed: number, fromS: number, seed: number, rate: number, run: string, startMs: number }} Plan */

/**
 * Runs until the signal. Answers how many publications were accepted.
 * @param {Plan} plan
 * @param {Sink} sink
 * @param {World} world
 */
export async function run(plan, sink, world) {
  const outbox = new Outbox(sink, OUTBOX_MAX);
  const days = new Days(plan);
  const numbering = new Numbering(plan.run);
  let accepted = 0;
  for (let tick = 0; !world.signal.aborted; ) {
    const startedMs = world.now();
    if (!outbox.full) {
      days.advance(tick === 0 ? 0 : plan.speed);
      outbox.add(due(days.today, tick, plan.org).map((publication) => numbering.number(publication)));
      tick += 1;
    }
    accepted += await flush(outbox, plan.rate, world);
    await world.wait(Math.max(0, startedMs + TICK_MS - world.now()));
  }
  return accepted;
}

/**
 * Sends at most `rate` publications, or until the sink fails; then it waits as long as the outbox says.
 * @param {Outbox} outbox
 * @param {number} rate
 * @param {World} world
 */
async function flush(outbox, rate, world) {
  let sent = 0;
  while (sent < rate && outbox.length > 0 && !world.signal.aborted) {
    const { accepted, trouble, pauseMs } = await outbox.send(rate - sent);
    sent += accepted;
    if (trouble !== null) {
      world.log(`${trouble}; ${outbox.length} publications wait, the next attempt comes in ${pauseMs} ms with the same keys`);
      await world.wait(pauseMs);
      break;
    }
  }
  return sent;
}

/** One day after the other, the first one entered at its given time. */
class Days {
  #random;
  #count = 0;

  /** @param {Plan} plan */
  constructor(plan) {
    this.plan = plan;
    this.#random = new Random(plan.seed);
    this.today = this.#next();
    this.today.advance(plan.fromS - OPENS_S);
    // What happened before anybody looked is past: it stands in the states, and needs no events.
    this.today.advance(0);
  }

  /** @param {number} seconds */
  advance(seconds) {
    if (this.today.over) this.today = this.#next();
    this.today.advance(seconds);
  }

  #next() {
    const date = new Date(this.plan.startMs + this.#count * DAY_MS).toISOString().slice(0, 10);
    this.#count += 1;
    return new Day(date, this.#random.fork(), this.plan.run);
  }
}
