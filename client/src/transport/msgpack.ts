// The native transport in MessagePack: the same messages in binary frames, with bytes as they are.

import { fromBase64, toBase64 } from '../binary.js';
import type { Transport } from '../types.js';
import { pack, unpack } from './packing.js';
import { webSocket } from './web-socket.js';
import type { WebSocketLike, WebSocketOptions } from './web-socket.js';

/** A WebSocket that takes and gives bytes. */
interface BinarySocket extends Omit<WebSocketLike, 'send'> {
  binaryType?: string;
  send(data: string | Uint8Array<ArrayBuffer>): void;
}

/**
 * Carries messages over a WebSocket in MessagePack (`roomcast.v1.msgpack`). Smaller than JSON, and bytes travel without base64. Servers that do not
 * speak it end the connection: `fallback(msgpack(), webSocket())` goes on in JSON then.
 */
export function msgpack({ WebSocket }: WebSocketOptions = {}): Transport {
  const Socket = (WebSocket ?? globalThis.WebSocket) as unknown as (new (url: string, protocols: string[]) => BinarySocket) | undefined;

  /** To the transport in text it is one that takes and gives text. */
  class Packed implements WebSocketLike {
    onopen: WebSocketLike['onopen'] = null;
    onmessage: WebSocketLike['onmessage'] = null;
    onclose: WebSocketLike['onclose'] = null;
    onerror: WebSocketLike['onerror'] = null;
    readonly #socket: BinarySocket;

    constructor(url: string) {
      const socket = (this.#socket = new Socket!(url, ['roomcast.v1.msgpack']));
      socket.binaryType = 'arraybuffer';
      socket.onopen = (event) => this.onopen?.(event);
      socket.onclose = (event) => this.onclose?.(event);
      socket.onerror = (event) => this.onerror?.(event);
      socket.onmessage = ({ data }: { data: unknown }) => {
        const text = data instanceof ArrayBuffer && toText(new Uint8Array(data));
        if (text) this.onmessage?.({ data: text } as never);
      };
    }

    send(text: string): void {
      this.#socket.send(fromText(text));
    }

    close(code?: number, reason?: string): void {
      this.#socket.close(code, reason);
    }
  }

  return { ...webSocket({ WebSocket: Packed }), name: 'msgpack', supported: () => !!Socket };
}

/** A message as the rest of the client knows it; nothing where it cannot be read. */
function toText(bytes: Uint8Array): string | undefined {
  try {
    const message = unpack(bytes) as Record<string, unknown>;
    const { data } = message;
    return JSON.stringify(data instanceof Uint8Array ? { ...message, data: toBase64(data), encoding: 'base64' } : message);
  } catch {
    return undefined;
  }
}

function fromText(text: string): Uint8Array<ArrayBuffer> {
  const message = JSON.parse(text) as { data?: { data?: unknown; encoding?: unknown } };
  const { data } = message;
  if (data?.encoding === 'base64' && typeof data.data === 'string') {
    data.data = fromBase64(data.data);
    delete data.encoding;
  }
  return pack(message) as Uint8Array<ArrayBuffer>;
}
