// What both transports over plain HTTP share: addresses, requests that are sent again, commands in their order, and what a failed answer
// means.

import type { TransportEvents } from '../types.js';

export interface HttpOptions {
  /** The address of the endpoint; made from the client's own by putting `/sse` or `/poll` in place of its last part when left out. */
  url?: string;
  /** Default: the global one. */
  fetch?: typeof fetch;
}

/** Names the session in the first answer and in every request after it. Whoever knows it can speak for the session, so it is no part of addresses. */
export const SESSION = 'X-Roomcast-Session';
const NUMBER = 'X-Roomcast-Number';

/** Commands sent in one request, and about how many characters of them. */
const COMMANDS_MAX = 64;
const CHARACTERS_MAX = 100_000;
/** How often a request for a session is sent before the connection counts as broken: it may have come to a node that just died. */
const ATTEMPTS = 3;

export function endpoint(url: string, last: string): string {
  const address = new URL(url, globalThis.location?.href);
  address.protocol = address.protocol.replace('ws', 'http');
  address.pathname = address.pathname.replace(/[^/]*$/, last);
  return address.href;
}

/** For requests that may be sent again, because the server knows which it has had. */
export async function again(request: () => Promise<Response>, signal: AbortSignal): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const answer = await request().catch((error: unknown) => {
      if (signal.aborted || attempt === ATTEMPTS) throw error;
    });
    // 502 to 504: somebody on the way does not know what became of it.
    if (answer && (answer.status < 502 || answer.status > 504 || attempt === ATTEMPTS)) return answer;
  }
}

/**
 * Takes commands: `begin` sends the first and answers with the session's name, further ones follow in their order, one request at a time
 * with all that came meanwhile. Each is numbered, so that one that is sent again is carried out once.
 */
export function commands(
  ask: typeof fetch,
  address: string,
  signal: AbortSignal,
  begin: (command: string) => Promise<string>,
  failed: (error: unknown) => void,
): (command: string) => void {
  const waiting: string[] = [];
  let session = '';
  let number = 0;
  let busy = false;

  function next(): string {
    let characters = 0;
    const count = waiting.slice(0, COMMANDS_MAX).findIndex((command) => (characters += command.length) > CHARACTERS_MAX);
    const batch = waiting.splice(0, count < 0 ? COMMANDS_MAX : Math.max(count, 1));
    return batch.length > 1 ? `[${batch.join()}]` : batch[0]!;
  }

  async function flush() {
    busy = true;
    while (waiting.length) {
      if (!session) session = await begin(waiting.shift()!);
      if (!waiting.length) break;
      const request = { method: 'POST', body: next(), headers: { [SESSION]: session, [NUMBER]: `${++number}` }, signal };
      const answer = await again(() => ask(address, request), signal);
      if (answer.status !== 202) throw new Unexpected(answer);
    }
    busy = false;
  }

  return (command) => {
    waiting.push(command);
    if (!busy) flush().catch(failed);
  };
}

/** An answer that is none of the protocol's own ends the connection like a broken one. */
export class Unexpected extends Error {
  readonly status: number;
  readonly retryAfterS: number;

  constructor({ status, headers }: Response) {
    super(`the server answered with status ${status}`);
    this.status = status;
    this.retryAfterS = Number(headers.get('Retry-After'));
  }
}

export function closeFor(error: unknown, events: TransportEvents): void {
  const { status, retryAfterS } = error instanceof Unexpected ? error : { status: 0, retryAfterS: 0 };
  // As a WebSocket ends whose message is too long, so that it is not sent again and again.
  if (status === 413) return events.onClose(1009, '{"code":"MESSAGE_TOO_LARGE"}');
  events.onClose(1006, retryAfterS > 0 ? JSON.stringify({ retry_after_ms: retryAfterS * 1_000 }) : '');
}
