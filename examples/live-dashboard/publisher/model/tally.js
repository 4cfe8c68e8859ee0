// What has been counted, minute by minute, so that any window of the day is a sum of minutes. Pure.

import { INTERVAL_S, OPENS_S } from './company.js';

/** @import { Counts } from '../../shapes.ts' */

/** @returns {Counts} */
export const nothing = () => ({
  offered: 0, forecast: 0, answered: 0, in_time: 0, abandoned: 0, wait_s: 0, handle_s: 0, busy_s: 0, staffed_s: 0,
});

const FIELDS = /** @type {(keyof Counts)[]} */ (Object.keys(nothing()));

/** @param {Counts} sum @param {Counts} more */
function accumulate(sum, more) {
  for (const field of FIELDS) sum[field] += more[field];
  return sum;
}

export class Tally {
  /** From opening on; calls may outlast the closing time. @type {Counts[]} */
  #minutes = [];

  /** The row of this time, to be counted into. @param {number} timeS */
  at(timeS) {
    const index = Math.floor((timeS - OPENS_S) / 60);
    while (this.#minutes.length <= index) this.#minutes.push(nothing());
    return this.#minutes[index] ?? nothing();
  }

  /** Sum of the last so many minutes, the present one included. @param {number} count */
  recent(count) {
    return this.#minutes.slice(-count).reduce(accumulate, nothing());
  }

  today() {
    return this.#minutes.reduce(accumulate, nothing());
  }

  /** Sums by interval, up to the present one. */
  intervals() {
    const width = INTERVAL_S / 60;
    const count = Math.ceil(this.#minutes.length / width);
    return Array.from({ length: count }, (_, index) => this.#minutes.slice(index * width, (index + 1) * width).reduce(accumulate, nothing()));
  }
}
