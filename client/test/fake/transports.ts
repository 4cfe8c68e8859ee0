// Ways to the fake server: as a transport of its own, and as a class like the browser's WebSocket.

import type { WebSocketLike } from '../../src/index.js';
import type { Transport } from '../../src/types.js';
import type { FakeServer, Line } from './server.js';

/** Straight to the server, without anything in between. */
export function fakeTransport(server: FakeServer, name = 'fake'): Transport {
  return {
    name,
    supported: () => true,
    open(_url, events) {
      const Socket = fakeWebSocket(server);
      const socket = new Socket(_url, []);
      socket.onopen = () => events.onOpen();
      socket.onmessage = ({ data }) => events.onMessage(data);
      socket.onclose = ({ code, reason }) => events.onClose(code, reason);
      return socket;
    },
  };
}

interface FakeWebSocket extends WebSocketLike {
  onopen: (() => void) | null;
  onmessage: ((event: { data: string }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: (() => void) | null;
}

export type FakeWebSocketClass = new (url: string, protocols: string[]) => FakeWebSocket;

export function fakeWebSocket(server: FakeServer): FakeWebSocketClass {
  return class implements FakeWebSocket {
    onopen: FakeWebSocket['onopen'] = null;
    onmessage: FakeWebSocket['onmessage'] = null;
    onclose: FakeWebSocket['onclose'] = null;
    onerror: FakeWebSocket['onerror'] = null;
    private line: Line | undefined;
    private closed = false;

    constructor(
      readonly url: string,
      readonly protocols: string[],
    ) {
      const { clock, latencyMs, door } = server;
      if (door === 'open') clock.after(latencyMs, () => this.enter());
      if (door === 'refused') clock.after(latencyMs, () => this.end(1006, ''));
    }

    send(text: string): void {
      if (!this.line) throw new Error('still connecting');
      if (!this.closed) this.line.receive(text);
    }

    close(code = 1000): void {
      this.line?.end();
      this.end(code, '');
    }

    private enter(): void {
      if (this.closed) return;
      this.line = server.connect({
        message: (data) => this.closed || this.onmessage?.({ data }),
        close: (code, reason) => this.end(code, reason),
      });
      this.onopen?.();
    }

    private end(code: number, reason: string): void {
      if (this.closed) return;
      this.closed = true;
      if (code === 1006) this.onerror?.();
      this.onclose?.({ code, reason });
    }
  };
}
