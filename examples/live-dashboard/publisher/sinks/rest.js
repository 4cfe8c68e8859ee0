// Publishes by REST: POST /api/ws/publish/batch. Needs no Redis, so it also feeds a single node with the embedded broker.

import { Refused } from '../outbox.js';

/** @import { NumberedPublication } from '../numbering.js' */
/** @import { Outcome, Sink } from '../outbox.js' */

const TIMEOUT_MS = 5_000;
/** Codes of answers after which the same request may succeed. */
const PASSING = new Set(['BROKER_UNAVAILABLE', 'RATE_LIMIT_EXCEEDED', 'INTERNAL_ERROR']);

/** @implements {Sink} */
export class RestSink {
  #address;
  #token;

  /** @param {string} gateway Such as `http://127.0.0.1:8080`. @param {string} token A service token or an API key with the scope `publish`. */
  constructor(gateway, token) {
    this.#address = new URL('/api/ws/publish/batch', gateway);
    this.#token = token;
  }

  /** @param {readonly NumberedPublication[]} batch */
  async publish(batch) {
    const response = await fetch(this.#address, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ publications: batch.map(asRequest) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const answer = await response.json();
    if (!response.ok) throw failure(this.#address, response.status, answer);
    return answer.results.map(outcome);
  }

  async close() {}
}

/** @param {NumberedPublication} publication */
function asRequest({ room, event, data, priority, key }) {
  return { event, data, priority, idempotency_key: key, target: { room } };
}

/** @param {{ code?: string, detail?: string }} result @returns {Outcome} */
function outcome({ code, detail }) {
  if (code === undefined) return 'accepted';
  return PASSING.has(code) ? 'retry' : { refused: `${code}: ${detail}` };
}

/** @param {URL} address @param {number} status @param {{ code?: string, detail?: string }} problem */
function failure(address, status, { code = String(status), detail = 'no explanation' }) {
  const message = `${address.origin} answered ${status} ${code}: ${detail}`;
  return status >= 500 || PASSING.has(code) ? new Error(message) : new Refused(message);
}
