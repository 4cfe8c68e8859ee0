// The native transport: one WebSocket, one JSON text per message.

import type { Transport } from '../types.js';

/** The part of a WebSocket that is used: the browser's, or one such as the package `ws` has. */
export interface WebSocketLike {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
}

export interface WebSocketOptions {
  /** Where there is no global one, such as in Node before 22. */
  WebSocket?: new (url: string, protocols: string[]) => WebSocketLike;
}

/** Carries messages over a WebSocket. The token travels in the first message, never in the address. */
export function webSocket(options: WebSocketOptions = {}): Transport {
  const Socket = options.WebSocket ?? (globalThis.WebSocket as WebSocketOptions['WebSocket']);
  return {
    name: 'websocket',
    supported: () => !!Socket,
    open(url, events) {
      const { href } = new URL(url, globalThis.location?.href);
      // Only some browsers take http here.
      const socket = new Socket!(href.replace(/^http/, 'ws'), ['roomcast.v1']);
      socket.onopen = () => events.onOpen();
      socket.onmessage = ({ data }: { data: unknown }) => typeof data === 'string' && events.onMessage(data);
      socket.onclose = ({ code, reason }: { code: number; reason: string }) => events.onClose(code, reason);
      // A close follows, and the error itself says nothing that a page may know.
      socket.onerror = () => {};
      return socket;
    },
  };
}
