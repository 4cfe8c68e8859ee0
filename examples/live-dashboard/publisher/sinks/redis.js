// Publishes with nothing but Redis, in the two ways of docs/publishing.md: KPIs and alerts by the function, which answers with
// the position in the log; the rest by the ingest stream, which the nodes take from.

import { createClient } from 'redis';

/** @import { NumberedPublication } from '../numbering.js' */
/** @import { Outcome, Sink } from '../outbox.js' */

const TIMEOUT_MS = 3_000;
const PAUSE_MAX_MS = 1_000;
const BY_FUNCTION = /^(kpi|alert):/;

/** @implements {Sink} */
export class RedisSink {
  #client;
  #opening;

  /** @param {string} url @param {string} prefix What the gateway's keys begin with, `rc` by default. */
  constructor(url, prefix) {
    this.prefix = prefix;
    // Commands fail at once while Redis is away: the outbox keeps them, in order and bounded, and a second queue would not help.
    this.#client = createClient({
      url,
      disableOfflineQueue: true,
      socket: { connectTimeout: TIMEOUT_MS, reconnectStrategy: (attempt) => Math.min(PAUSE_MAX_MS, 50 * 2 ** Math.min(attempt, 5)) },
    });
    // What goes wrong is told by the commands that fail; without a listener the first lost connection would end the process.
    this.#client.on('error', () => {});
    this.#opening = this.#client.connect().catch(() => {});
  }

  /** @param {readonly NumberedPublication[]} batch */
  async publish(batch) {
    if (!this.#client.isReady) await within(TIMEOUT_MS, this.#opening);
    const sent = batch.map((publication) => this.#client.sendCommand(this.#command(publication)).then(accepted, outcome));
    return within(TIMEOUT_MS, Promise.all(sent));
  }

  async close() {
    this.#client.destroy();
  }

  /** @param {NumberedPublication} publication */
  #command({ room, event, data, priority, key }) {
    const options = ['priority', priority, 'idempotency_key', key];
    const json = JSON.stringify(data);
    if (!BY_FUNCTION.test(event)) return ['XADD', `${this.prefix}:ingest`, '*', 'room', room, 'event', event, 'data', json, ...options];
    const base = `${this.prefix}:{${room.split(':')[1]}}`;
    return ['FCALL', 'roomcast_publish', '1', base, room, event, json, ...options];
  }
}

/** @returns {Outcome} */
const accepted = () => 'accepted';

/**
 * Only a refusal of the function is final; all else (no node has loaded it yet, Redis is loading, full, a replica) passes.
 * @param {unknown} error
 * @returns {Outcome}
 */
function outcome(error) {
  const message = error instanceof Error ? error.message : String(error);
  return message.startsWith('REFUSED') ? { refused: message } : { later: `Redis: ${message}` };
}

/** @template T @param {number} ms @param {Promise<T>} promise @returns {Promise<T>} The same, unless it takes too long. */
async function within(ms, promise) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Redis did not answer within ${ms} ms`)), ms);
  });
  try {
    return /** @type {T} */ (await Promise.race([promise, late]));
  } finally {
    clearTimeout(timer);
  }
}
