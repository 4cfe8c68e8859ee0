// Messages from the server as a stream of server-sent events, messages to it as posts.
//
//   POST /sse   body: the `authenticate` command      answer: 200, text/event-stream, X-Roomcast-Session: <session>
//               data: <message>                       one event for each message; id: its position, where it has one
//               event: close                          the last event; data: {"code": 4000, "reason": "…"} as in a close frame
//   POST /sse   X-Roomcast-Session: <session>         answer: 202; what it brings comes by the stream
//               X-Roomcast-Number: 1, 2, …            counts these requests, so that one that is sent again is carried out once
//               body: a further command, or an array of some
//
// Another status than these means a broken connection, with `Retry-After` in seconds where the server gives it. Requests may come to
// another node than the stream's.

import type { Transport, TransportEvents } from '../types.js';
import { closeFor, commands, endpoint, SESSION, Unexpected } from './http.js';
import type { HttpOptions } from './http.js';

/** One event of the stream. */
interface ServerEvent {
  event: string;
  data: string;
}

/** For where WebSockets do not pass. */
export function sse(options: HttpOptions = {}): Transport {
  const post = options.fetch ?? globalThis.fetch?.bind(globalThis);
  return {
    name: 'sse',
    supported: () => !!post && typeof ReadableStream === 'function',
    open(url, told) {
      const address = options.url ?? endpoint(url, 'sse');
      const ending = new AbortController();
      const events = onceClosed(told, ending);
      const { signal } = ending;
      const failed = (error: unknown) => closeFor(error, events);

      async function begin(command: string) {
        const answer = await post(address, { method: 'POST', body: command, signal });
        const session = answer.headers.get(SESSION);
        if (answer.status !== 200 || !answer.body || !session) throw new Unexpected(answer);
        read(answer.body, events).catch(failed);
        return session;
      }

      // There is nothing to open before there is something to say.
      queueMicrotask(() => events.onOpen());
      return {
        send: commands(post, address, signal, begin, failed),
        close: (code = 1000) => events.onClose(code, ''),
      };
    },
  };
}

/** Passes on until closed, once; nothing goes on behind a closed connection. */
export function onceClosed(events: TransportEvents, ending: AbortController): TransportEvents {
  const open = () => !ending.signal.aborted;
  return {
    onOpen: () => open() && events.onOpen(),
    onMessage: (text) => open() && events.onMessage(text),
    onClose(code, reason) {
      if (!open()) return;
      ending.abort();
      events.onClose(code, reason);
    },
  };
}

async function read(body: ReadableStream<Uint8Array>, events: TransportEvents): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  const parse = eventParser(({ event, data }) => {
    if (event !== 'close') return events.onMessage(data);
    const { code, reason } = JSON.parse(data) as { code: number; reason: string };
    events.onClose(code, reason);
  });
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return events.onClose(1006, '');
    parse(value);
  }
}

/** Reads the format of section 9.2 of the HTML standard, as far as it is used here, from pieces cut anywhere. */
export function eventParser(tell: (event: ServerEvent) => void): (piece: string) => void {
  let rest = '';
  let event = '';
  let data: string[] = [];
  const line = (text: string) => {
    if (text === '') {
      if (data.length) tell({ event, data: data.join('\n') });
      event = '';
      data = [];
    }
    const [, field, value = ''] = /^([^:]+)(?:: ?(.*))?$/s.exec(text) ?? [];
    if (field === 'event') event = value;
    if (field === 'data') data.push(value);
  };
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop()!;
    lines.forEach(line);
  };
}
