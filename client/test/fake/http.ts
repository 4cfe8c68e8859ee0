// The fallback transports' side of the fake server: a `fetch` that answers as docs in src/transport/{sse,long-poll}.ts say.

import type { FakeServer, Line } from './server.js';

interface Session {
  line: Line;
  close: { code: number; reason: string } | undefined;
  /** Takes a message, or tells of the close. */
  wake: () => void;
  messages: string[];
  /** The number of the request with commands that comes next. */
  next: number;
  /** Answers to polls given so far, and the last of them. */
  cursor: number;
  kept: string;
}

interface Asked {
  method: string;
  url: string;
  body: string | null;
  headers: Headers;
}

export interface FakeHttp {
  fetch: typeof fetch;
  requests: Asked[];
  /** What becomes of a request for a session: it is lost on its way, its answer is, or it comes to a node that knows of nothing. */
  fate: (asked: Asked) => 'pass' | 'lost' | 'unanswered' | 'unknown' | 'too long' | undefined;
}

const encoder = new TextEncoder();

export function fakeHttp(server: FakeServer): FakeHttp {
  const sessions = new Map<string, Session>();
  const requests: FakeHttp['requests'] = [];

  function begin(command: string): [string, Session] {
    const session: Session = { messages: [], close: undefined, wake: () => {}, line: undefined as never, next: 1, cursor: 0, kept: '' };
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

  /** Waits until there is something to say; an answer that did not come is given again. */
  async function poll(session: Session, cursor: number): Promise<Response> {
    if (cursor === session.cursor - 1 && session.kept) return json(session.kept);
    if (cursor !== session.cursor) return new Response('', { status: 409 });
    session.kept = '';
    if (!session.messages.length && !session.close) {
      await new Promise<void>((resolve) => {
        session.wake = resolve;
      });
    }
    const messages = session.messages.splice(0).map((text) => JSON.parse(text) as unknown);
    session.kept = JSON.stringify({ cursor: String(++session.cursor), messages, close: session.close });
    return json(session.kept);
  }

  function take(session: Session, body: string, number: number): Response {
    if (number > session.next) return new Response('', { status: 409 });
    if (number === session.next) {
      session.next++;
      const commands: unknown = JSON.parse(body);
      for (const command of Array.isArray(commands) ? commands : [commands]) session.line.receive(JSON.stringify(command));
    }
    return new Response('', { status: 202 });
  }

  async function answer({ method, url, body, headers }: Asked, signal: AbortSignal | null): Promise<Response> {
    if (server.door === 'refused') return new Response('', { status: 503, headers: { 'Retry-After': '7' } });
    const name = headers.get('X-Roomcast-Session');
    const session = sessions.get(name ?? '');
    if (name && !session) return new Response('', { status: 404 });
    if (session && method === 'POST') return take(session, body!, Number(headers.get('X-Roomcast-Number')));
    if (session) return poll(session, Number(headers.get('X-Roomcast-Cursor')));
    const [made, fresh] = begin(body!);
    const named = { 'X-Roomcast-Session': made };
    if (new URL(url).pathname === '/poll') return new Response((await poll(fresh, 0)).body, { headers: named });
    return new Response(stream(fresh, signal), { headers: { ...named, 'Content-Type': 'text/event-stream' } });
  }

  const http: FakeHttp = {
    requests,
    fate: () => 'pass',
    fetch: async (input, { method = 'GET', body = null, signal = null, headers } = {}) => {
      const asked = { method, url: String(input), body: body as string | null, headers: new Headers(headers) };
      requests.push(asked);
      const fate = asked.headers.has('X-Roomcast-Session') ? http.fate(asked) : 'pass';
      if (fate === 'lost') throw new TypeError('the network failed');
      if (fate === 'too long') return new Response('', { status: 413 });
      if (fate === 'unknown') return new Response('', { status: 503, headers: { 'Retry-After': '1' } });
      const answered = await answer(asked, signal);
      if (fate === 'unanswered') throw new TypeError('the network failed');
      return answered;
    },
  };
  return http;
}

const json = (text: string) => new Response(text, { headers: { 'Content-Type': 'application/json' } });
