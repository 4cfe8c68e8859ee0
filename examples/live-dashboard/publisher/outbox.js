// What still has to be published, in order. A batch that fails stays in front and is sent again with the same keys. Pure: the
// sink is a parameter, and so is the wait.

/** @import { NumberedPublication } from './numbering.js' */

/** Publications in one batch. */
const BATCH_MAX = 100;
const PAUSE_FIRST_MS = 250;
const PAUSE_MAX_MS = 5_000;

/**
 * One outcome for each publication of the batch, in order.
 * @typedef {'accepted' | { later: string } | { refused: string }} Outcome
 */
/**
 * @typedef {{ publish(batch: readonly NumberedPublication[]): Promise<Outcome[]>, close(): Promise<void> }} Sink Throws where nothing is known of the whole batch.
 */

/** Retrying cannot help: the credentials or the room are wrong. */
export class Refused extends Error {}

export class Outbox {
  /** @type {NumberedPublication[]} */
  #pending = [];
  #failures = 0;

  /** @param {Sink} sink @param {number} max Publications kept. */
  constructor(sink, max) {
    this.sink = sink;
    this.max = max;
  }

  get length() {
    return this.#pending.length;
  }

  /** Whether the simulation must stand still until something got out. */
  get full() {
    return this.#pending.length >= this.max;
  }

  /** @param {readonly NumberedPublication[]} publications */
  add(publications) {
    this.#pending.push(...publications);
  }

  /**
   * Sends one batch of at most `most`. Answers how many were accepted, and what went wrong if something did.
   * @param {number} most
   * @returns {Promise<{ accepted: number, trouble: string | null, pauseMs: number }>}
   */
  async send(most) {
    const batch = this.#pending.slice(0, Math.min(most, BATCH_MAX));
    if (batch.length === 0) return { accepted: 0, trouble: null, pauseMs: 0 };
    try {
      return this.#settle(batch, await this.sink.publish(batch));
    } catch (error) {
      if (error instanceof Refused) throw error;
      return this.#fail(0, error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {readonly NumberedPublication[]} batch @param {readonly Outcome[]} outcomes */
  #settle(batch, outcomes) {
    const keep = batch.filter((_, index) => outcomes[index] !== 'accepted');
    outcomes.forEach((outcome, index) => {
      if (outcome !== 'accepted' && 'refused' in outcome) throw new Refused(`${batch[index]?.event} into ${batch[index]?.room}: ${outcome.refused}`);
    });
    this.#pending.splice(0, batch.length, ...keep);
    const accepted = batch.length - keep.length;
    const later = outcomes.find((outcome) => outcome !== 'accepted' && 'later' in outcome);
    if (typeof later === 'object' && 'later' in later) return this.#fail(accepted, later.later);
    this.#failures = 0;
    return { accepted, trouble: null, pauseMs: 0 };
  }

  /** @param {number} accepted @param {string} trouble */
  #fail(accepted, trouble) {
    const pauseMs = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    return { accepted, trouble, pauseMs };
  }
}
