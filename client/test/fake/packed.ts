// The fake server's end of MessagePack: a WebSocket class that carries bytes, around one that carries texts.

import { fromBase64, toBase64 } from '../../src/binary.js';
import { pack, unpack } from '../../src/transport/packing.js';
import type { WebSocketOptions } from '../../src/index.js';
import type { FakeWebSocketClass } from './transports.js';

type Message = { data?: unknown; encoding?: unknown };

/** Has it hear something as it is. */
export interface Packed {
  hear(data: unknown): void;
}

/** A server that was not offered MessagePack does not speak it. */
export function packedSocket(Text: FakeWebSocketClass, opened?: (socket: Packed) => void): NonNullable<WebSocketOptions['WebSocket']> {
  return class extends Text {
    binaryType = 'blob';

    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      if (protocols.join() !== 'roomcast.v1.msgpack') throw new Error(`offered ${protocols.join()}`);
      let heard: ((event: never) => void) | null = null;
      Object.defineProperty(this, 'onmessage', {
        get: () => (heard ? ({ data }: { data: string }) => heard!(this.packed(data) as never) : null),
        set: (listener) => (heard = listener as typeof heard),
      });
      opened?.({ hear: (data) => heard?.({ data } as never) });
    }

    private packed(text: string): { data: unknown } {
      if (this.binaryType !== 'arraybuffer') throw new Error('nobody reads blobs');
      const { encoding, ...message } = JSON.parse(text) as Message;
      if (encoding) message.data = fromBase64(message.data as string);
      return { data: pack(message).buffer };
    }

    override send(packed: unknown): void {
      const message = unpack(packed as Uint8Array) as { data?: Message };
      const bytes = message.data?.data;
      if (bytes instanceof Uint8Array) message.data = { ...message.data, data: toBase64(bytes), encoding: 'base64' };
      super.send(JSON.stringify(message));
    }
  } as never;
}
