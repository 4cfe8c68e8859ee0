// The fallback transports' side of the fake server: a `fetch` that answers as docs in src/transport/{sse,long-poll}.ts say.

import type { FakeServer, Line } from './server.js';

interface Session {
  line: Line;
  close: { code: number; reason: string } | undefined;
  /** Takes a message, or tells of the close. */
  wake: () => void;
  messages: string[];
}

export interface FakeHttp {
  fetch: typeof fetch;
  requests: { method: string; url: string; body: string | null }[];
}

const encoder = new TextEncoder();

export function fakeHttp(server: FakeServer): FakeHttp {
  const sessions = new Map<string, Session>();
  const requests: FakeHttp['requests'] = [];

  function begin(command: string): [string, Session] {
    const session: Session = { messages: [], close: undefined, wake: () => {}, line: undefined as never };
    session.line = server.connect({
      message(text) {
        session.messages.push(text);
        session.wake();
      },
      close(code, reason) {
        session.close = { code, reason };
        session.wake();
      },
    });
    const name = `s${sessions.size + 1}`;
    sessions.set(name, session);
    session.line.receive(command);
    return [name, session];
  }

  function stream(session: Session, signal: AbortSignal | null): ReadableStream<Uint8Array> {
    return new ReadableStream({
      start(controller) {
        const say = (text: string) => controller.enqueue(encoder.encode(text));
        signal?.addEventListener('abort', () => session.line.end());
        say(': welcome\n\n');
        session.wake = () => {
          // Cut anywhere, as networks do.
          for (const text of session.messages.splice(0)) [`data: ${text.slice(0, 9)}`, `${text.slice(9)}\r`, '\n\r\n'].forEach(say);
          if (!session.close) return;
          say(`event: close\ndata: ${JSON.stringify(session.close)}\n\n`);
          controller.close();
          session.wake = () => {};
        };
        session.wake();
      },
    });
  }

  /** Waits until there is something to say. */
  async function batch(session: Session, more: object = {}): Promise<Response> {
    if (!session.messages.length && !session.close) {
      await new Promise<void>((resolve) => {
        session.wake = resolve;
      });
    }
    const messages = session.messages.splice(0).map((text) => JSON.parse(text) as unknown);
    return Response.json({ ...more, cursor: String(messages.length), messages, close: session.close });
  }

  async function answer(method: string, url: URL, body: string, signal: AbortSignal | null): Promise<Response> {
    if (server.door === 'refused') return new Response('', { status: 503, headers: { 'Retry-After': '7' } });
    const [, kind, name] = url.pathname.split('/');
    const session = sessions.get(name ?? '');
    if (name && !session) return new Response('', { status: 404 });
    if (session && method === 'POST') {
      session.line.receive(body);
      return new Response('', { status: 202 });
    }
    if (session) return batch(session);
    const [made, fresh] = begin(body);
    if (kind === 'poll') return batch(fresh, { session: made });
    return new Response(stream(fresh, signal), { headers: { 'X-Roomcast-Session': made, 'Content-Type': 'text/event-stream' } });
  }

  return {
    requests,
    fetch: async (input, { method = 'GET', body = null, signal = null } = {}) => {
      const url = String(input);
      requests.push({ method, url, body: body as string | null });
      return answer(method, new URL(url), String(body), signal);
    },
  };
}
