// Gives every publication its number in its room, and a key by which it is logged once however often it is sent. Pure.

/** @import { Publication } from './programme.js' */
/** @import { Numbered } from '../shapes.ts' */

/** @typedef {Omit<Publication, 'data'> & { data: object & Numbered, key: string }} NumberedPublication */

export class Numbering {
  #count = 0;
  /** @type {Map<string, number>} */
  #rooms = new Map();

  /** @param {string} run Names this start of the publisher; no two starts share one. */
  constructor(run) {
    this.run = run;
  }

  /** @param {Publication} publication @returns {NumberedPublication} */
  number(publication) {
    const seq = (this.#rooms.get(publication.room) ?? 0) + 1;
    this.#rooms.set(publication.room, seq);
    this.#count += 1;
    return { ...publication, data: { run: this.run, seq, ...publication.data }, key: `${this.run}-${this.#count}` };
  }
}
