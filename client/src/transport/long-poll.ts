// Messages from the server as answers that wait until there is something to say. The gateway does not serve this yet.
//
//   POST /poll            body: the `authenticate` command     answer: 200, {"session": "…", "cursor": "…", "messages": [<message>, …]}
//   GET  /poll/<session>?cursor=<cursor>                       answer: 200, {"cursor": "…", "messages": […]} once there are any, or none
//                                                              after some 25 s; a cursor takes what came before it for received
//   POST /poll/<session>  body: a further command              answer: 202; what it brings comes by a GET
//
// The last answer has `"close": {"code": 4000, "reason": "…"}` as in a close frame. Another status than these means a broken
// connection, with `Retry-After` in seconds where the server gives it.

import type { Transport } from '../types.js';
import { closeFor, endpoint, inTurn, Unexpected } from './http.js';
import type { HttpOptions } from './http.js';
import { onceClosed } from './sse.js';

interface Batch {
  session?: string;
  cursor: string;
  messages: unknown[];
  close?: { code: number; reason: string };
}

/** For where not even streams pass. The gateway does not serve this yet. */
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
      const turn = inTurn(failed);
      let session: string | undefined;

      async function batch(answer: Response): Promise<Batch> {
        if (answer.status !== 200) throw new Unexpected(answer);
        return answer.json();
      }

      function take({ messages, close }: Batch) {
        for (const message of messages) events.onMessage(JSON.stringify(message));
        if (close) events.onClose(close.code, close.reason);
      }

      async function begin(command: string) {
        const first = await batch(await ask(address, { method: 'POST', body: command, signal }));
        session = first.session;
        take(first);
        poll(first.cursor).catch(failed);
      }

      async function poll(cursor: string) {
        while (!signal.aborted) {
          const next = await batch(await ask(`${address}/${session}?cursor=${encodeURIComponent(cursor)}`, { cache: 'no-store', signal }));
          take(next);
          ({ cursor } = next);
        }
      }

      async function go(command: string) {
        const answer = await ask(`${address}/${session}`, { method: 'POST', body: command, signal });
        if (answer.status !== 202) throw new Unexpected(answer);
      }

      queueMicrotask(() => events.onOpen());
      return {
        send: (text) => turn(() => (session ? go(text) : begin(text))),
        close: (code = 1000) => events.onClose(code, ''),
      };
    },
  };
}
