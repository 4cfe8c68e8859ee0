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

  /**
   * @param {string} gateway Such as `http://127.0.0.1:8080`.
   * @param {string} token A service token or an API key with the scope `publish`.
   */
  constructor(gateway, token) {
    this.#address = new URL('/api/ws/publish/batch', gateway);
    this.#token = token;
  }

  /** @param {readonly NumberedPublication[]} batch */
  async publish(batch) {
    const response = await this.#post({ publications: batch.map(asRequest) });
    const answer = await response.json();
    if (!response.ok) throw failure(this.#address, response.status, answer);
    return answer.results.map(outcome);
  }

  async close() {}

  /** @param {object} body */
  async #post(body) {
    const headers = { authorization: `Bearer ${this.#token}`, 'content-type': 'application/json' };
    try {
      return await fetch(this.#address, { method: 'POST', headers, body: JSON.stringify(body), signal: AbortSignal.timeout(TIMEOUT_MS) });
    } catch (error) {
      throw new Error(`${this.#address.origin} cannot be reached (${reason(error)})`, { cause: error });
    }
  }
}

/** What `fetch` hides behind "fetch failed". @param {unknown} error */
function reason(error) {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && 'code' in cause ? String(cause.code) : error.message;
}

/** @param {NumberedPublication} publication */
function asRequest({ room, event, data, priority, key }) {
  return { event, data, priority, idempotency_key: key, target: { room } };
}

/** @param {{ code?: string, detail?: string }} result @returns {Outcome} */
function outcome({ code, detail }) {
  if (code === undefined) return 'accepted';
  const message = `${code}: ${detail}`;
  return PASSING.has(code) ? { later: message } : { refused: message };
}

/** @param {URL} address @param {number} status @param {{ code?: string, detail?: string }} problem */
function failure(address, status, { code = String(status), detail = 'no explanation' }) {
  const message = `${address.origin} answered ${status} ${code}: ${detail}`;
  return status >= 500 || PASSING.has(code) ? new Error(message) : new Refused(message);
}
