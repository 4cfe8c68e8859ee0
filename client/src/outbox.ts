// Publications on their way to the log: first in, first out, each with a key under which the server logs it once however often it
// is sent. Pure; client.ts sends them.

import { RoomcastError } from './fault.js';
import type { Published } from './types.js';

export interface Item {
  /** The command's data as JSON text, so that what the caller changes later changes nothing here. */
  readonly text: string;
  readonly bytes: number;
  readonly done: (published: Published) => void;
  readonly failed: (fault: RoomcastError) => void;
}

export interface Outbox {
  readonly length: number;
  /** The texts, oldest first. */
  texts(): string[];
  /** Queues an item, or says why not. */
  offer(item: Item): RoomcastError | undefined;
  /** What a page before this one left behind goes first. */
  restore(items: readonly Item[]): void;
  /** The next to be sent, if it may be now. */
  next(now: number): Item | undefined;
  /** Answered for good: it is done with. */
  remove(item: Item): void;
  /** To be sent again, and nothing before that. */
  retry(item: Item, at: number): void;
  /** The connection is gone: all that was under way is to be sent again. Answers with that. */
  lost(): Item[];
  /** When `next` has something again. */
  dueAt(): number;
  clear(): Item[];
}

export interface OutboxLimits {
  itemsMax: number;
  bytesMax: number;
  window: number;
}

export function createOutbox({ itemsMax, bytesMax, window }: OutboxLimits): Outbox {
  let items: Item[] = [];
  let bytes = 0;
  let retryAt = 0;
  const underWay = new Set<Item>();
  const waiting = () => items.find((item) => !underWay.has(item));
  return {
    get length() {
      return items.length;
    },
    texts: () => items.map((item) => item.text),
    offer(item) {
      if (items.length >= itemsMax || bytes + item.bytes > bytesMax) {
        return new RoomcastError('QUEUE_FULL', `${items.length} publications with ${bytes} bytes wait to be sent; let some of them through first`);
      }
      items.push(item);
      bytes += item.bytes;
      return undefined;
    },
    restore(kept) {
      items = [...kept, ...items];
      for (const item of kept) bytes += item.bytes;
    },
    next(now) {
      if (underWay.size >= window || now < retryAt) return undefined;
      const item = waiting();
      if (item) underWay.add(item);
      return item;
    },
    remove(item) {
      const index = items.indexOf(item);
      if (index < 0) return;
      items.splice(index, 1);
      bytes -= item.bytes;
      underWay.delete(item);
    },
    retry(item, at) {
      underWay.delete(item);
      retryAt = at;
    },
    lost() {
      const sent = [...underWay];
      underWay.clear();
      retryAt = 0;
      return sent;
    },
    dueAt: () => (underWay.size < window && waiting() ? retryAt : Infinity),
    clear() {
      const gone = items;
      items = [];
      bytes = 0;
      underWay.clear();
      return gone;
    },
  };
}
