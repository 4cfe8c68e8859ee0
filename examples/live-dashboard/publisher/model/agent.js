// One agent: what the schedule says, what really happens, and what the agent does at a time. Pure.

/** @import { AgentState } from '../../shapes.ts' */
/** @import { Random } from './random.js' */

/** @typedef {{ kind: 'break' | 'training', fromS: number, toS: number }} Pause */
/** @typedef {{ fromS: number, toS: number, pauses: Pause[] }} Shift */
/** @typedef {AgentState | 'off'} Doing `off`: neither there nor scheduled. */

/** @param {Shift} shift @param {number} timeS */
const pauseAt = (shift, timeS) => shift.pauses.find((pause) => timeS >= pause.fromS && timeS < pause.toS);

/** @param {Shift} shift @param {number} timeS */
const within = (shift, timeS) => timeS >= shift.fromS && timeS < shift.toS;

/**
 * What comes of a schedule: people are late, breaks run over, some do not come at all.
 * @param {Shift} planned
 * @param {Random} random
 * @returns {Shift}
 */
export function lived(planned, random) {
  if (random.happens(0.03)) return { fromS: planned.toS, toS: planned.toS, pauses: [] };
  const late = random.happens(0.2) ? random.exponential(420) : -random.between(0, 180);
  const pauses = planned.pauses.map((pause) => {
    const start = pause.fromS + random.between(-60, 120);
    return { ...pause, fromS: start, toS: start + (pause.toS - pause.fromS) + (random.happens(0.25) ? random.exponential(300) : 0) };
  });
  return { fromS: planned.fromS + late, toS: planned.toS + random.between(-60, 240), pauses };
}

export class Agent {
  /** @type {Doing} */
  doing = 'off';
  sinceS = 0;
  #callEndsS = 0;
  #wrapEndsS = 0;
  #scheduledS = 0;
  #adheredS = 0;

  /** @param {{ id: string, name: string, queue: string, planned: Shift, lived: Shift }} given */
  constructor(given) {
    this.id = given.id;
    this.name = given.name;
    this.queue = given.queue;
    this.planned = given.planned;
    this.lived = given.lived;
  }

  get adherence() {
    return this.#scheduledS === 0 ? 1 : this.#adheredS / this.#scheduledS;
  }

  get present() {
    return this.doing !== 'off' && this.doing !== 'absent';
  }

  /** Goes on to this second. A call that has begun is always finished first. @param {number} timeS */
  step(timeS) {
    const next = this.#next(timeS);
    if (next !== this.doing) this.#become(next, timeS);
    if (within(this.planned, timeS)) this.#account(timeS);
  }

  /** Takes a call. @param {number} timeS @param {number} talkS @param {number} wrapS */
  take(timeS, talkS, wrapS) {
    this.#callEndsS = timeS + talkS;
    this.#wrapEndsS = this.#callEndsS + wrapS;
    this.#become('on_call', timeS);
  }

  /** @param {number} timeS @returns {Doing} */
  #next(timeS) {
    if (timeS < this.#callEndsS) return 'on_call';
    if (timeS < this.#wrapEndsS) return 'after_call';
    if (!within(this.lived, timeS)) return within(this.planned, timeS) ? 'absent' : 'off';
    return pauseAt(this.lived, timeS)?.kind ?? 'available';
  }

  /** @param {Doing} doing @param {number} timeS */
  #become(doing, timeS) {
    this.doing = doing;
    this.sinceS = timeS;
  }

  /** @param {number} timeS */
  #account(timeS) {
    const pausing = this.doing === 'break' || this.doing === 'training';
    const planned = pauseAt(this.planned, timeS) !== undefined;
    this.#scheduledS += 1;
    if (this.present && pausing === planned) this.#adheredS += 1;
  }
}
