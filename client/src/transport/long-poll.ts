// Messages from the server as answers that wait until there is something to say.
//
//   POST /poll   body: the `authenticate` command     answer: 200, X-Roomcast-Session: <session>, {"cursor": "…", "messages": [<message>, …]}
//   GET  /poll   X-Roomcast-Session: <session>        answer: 200, {"cursor": "…", "messages": […]} once there are any, or none
//                X-Roomcast-Cursor: <cursor>          after some 25 s; a cursor takes what came before it for received, and
//                                                     brings the same answer again until then
//   POST /poll   X-Roomcast-Session: <session>        answer: 202; what it brings comes by a GET
//                X-Roomcast-Number: 1, 2, …           counts these requests, so that one that is sent again is carried out once
//                body: a further command, or an array of some
//
// The last answer has `"close": {"code": 4000, "reason": "…"}` as in a close frame. Another status than these means a broken
// connection, with `Retry-After` in seconds where the server gives it. Every request may come to another node.

import type { Transport } from '../types.js';
import { again, closeFor, commands, endpoint, SESSION, Unexpected } from './http.js';
import type { HttpOptions } from './http.js';
import { onceClosed } from './sse.js';

const CURSOR = 'X-Roomcast-Cursor';

interface Batch {
  cursor: string;
  messages: unknown[];
  close?: { code: number; reason: string };
}

/** An answer that breaks off is as good as none. */
const whole = async (answer: Response) => new Response(await answer.arrayBuffer(), answer);

/** For where not even streams pass. */
export function longPoll(options: HttpOptions = {}): Transport {
  const ask = options.fetch ?? globalThis.fetch?.bind(globalThis);
  return {
    name: 'longpoll',
    supported: () => !!ask,
    open(url, told) {
      const address = options.url ?? endpoint(url, 'poll');
      const ending = new AbortController();
      const { signal } = ending;
      const events = onceClosed(told, ending);
      const failed = (error: unknown) => closeFor(error, events);

      async function batch(answer: Response): Promise<Batch> {
        if (answer.status !== 200) throw new Unexpected(answer);
        return answer.json();
      }

      function take({ messages, close }: Batch) {
        for (const message of messages) events.onMessage(JSON.stringify(message));
        if (close) events.onClose(close.code, close.reason);
      }

      async function begin(command: string) {
        const answer = await ask(address, { method: 'POST', body: command, signal });
        const session = answer.headers.get(SESSION);
        const first = await batch(answer);
        if (!session) throw new Unexpected(answer);
        take(first);
        poll(session, first.cursor).catch(failed);
        return session;
      }

      async function poll(session: string, cursor: string) {
        while (!signal.aborted) {
          const request: RequestInit = { headers: { [SESSION]: session, [CURSOR]: cursor }, cache: 'no-store', signal };
          const next = await batch(await again(async () => whole(await ask(address, request)), signal));
          take(next);
          ({ cursor } = next);
        }
      }

      queueMicrotask(() => events.onOpen());
      return {
        send: commands(ask, address, signal, begin, failed),
        close: (code = 1000) => events.onClose(code, ''),
      };
    },
  };
}
