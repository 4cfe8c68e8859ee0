// What both transports over plain HTTP share: addresses, posts one after the other, and what a failed answer means.

import type { TransportEvents } from '../types.js';

export interface HttpOptions {
  /** The address of the endpoint; made from the client's own by putting `/sse` or `/poll` in place of its last part when left out. */
  url?: string;
  /** Default: the global one. */
  fetch?: typeof fetch;
}

/** Names the session in the first answer. Whoever knows it can speak for the session. */
export const SESSION = 'X-Roomcast-Session';

export function endpoint(url: string, last: string): string {
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace('ws', 'http');
  address.pathname = address.pathname.replace(/[^/]*$/, last);
  return address.href;
}

/** Runs tasks one after the other; the first that fails ends them all. */
export function inTurn(failed: (error: unknown) => void): (task: () => Promise<void>) => void {
  let last = Promise.resolve();
  return (task) => {
    last = last.then(task);
    last.catch(failed);
  };
}

/** An answer that is none of the protocol's own ends the connection like a broken one. */
export class Unexpected extends Error {
  readonly retryAfterS: number;

  constructor(answer: Response) {
    super(`the server answered with status ${answer.status}`);
    this.retryAfterS = Number(answer.headers.get('Retry-After'));
  }
}

export function closeFor(error: unknown, events: TransportEvents): void {
  const seconds = error instanceof Unexpected ? error.retryAfterS : 0;
  events.onClose(1006, seconds > 0 ? JSON.stringify({ retry_after_ms: seconds * 1_000 }) : '');
}
