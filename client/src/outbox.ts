// Publications on their way to the log: first in, first out, each with a key under which the server logs it once however often it
// is sent. Pure; publishing.ts sends them.

import { RoomcastError } from './fault.js';
import type { ClientOptions, Published } from './types.js';

export interface Item {
  /** The command's data as JSON text, so that what the caller changes later changes nothing here. */
  readonly text: string;
  readonly bytes: number;
  done(published: Published): void;
  failed(fault: RoomcastError): void;
  underWay?: boolean;
}

export interface Outbox {
  /** Oldest first. */
  items: Item[];
  /** Queues an item, or says why not. */
  offer(item: Item): RoomcastError | undefined;
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
  /** Nothing of it is wanted any more. */
  fail(fault: RoomcastError): void;
}

export type OutboxOptions = Pick<ClientOptions, 'outboxMax' | 'outboxBytesMax' | 'publishWindow'>;

export function createOutbox({ outboxMax = 1_000, outboxBytesMax = 2 ** 20, publishWindow = 1 }: OutboxOptions): Outbox {
  let retryAt = 0;
  // After a refusal one after the other, and slowly more again: servers end sessions that have more refused than done.
  let window = publishWindow;
  const underWay = () => self.items.filter((item) => item.underWay);
  const next = () => (underWay().length + 1 <= window ? self.items.find((item) => !item.underWay) : undefined);
  const self: Outbox = {
    items: [],
    offer(item) {
      const bytes = self.items.reduce((sum, other) => sum + other.bytes, item.bytes);
      if (self.items.length >= outboxMax || bytes > outboxBytesMax) return new RoomcastError('QUEUE_FULL', 'too much waits to be published');
      self.items.push(item);
      return;
    },
    next(now) {
      const item = now < retryAt ? undefined : next();
      if (item) item.underWay = true;
      return item;
    },
    remove(item) {
      window = Math.min(publishWindow, window + 0.1);
      self.items = self.items.filter((other) => other !== item);
    },
    retry(item, at) {
      window = 1;
      item.underWay = false;
      retryAt = at;
    },
    lost() {
      const sent = underWay();
      for (const item of sent) item.underWay = false;
      retryAt = 0;
      return sent;
    },
    dueAt: () => (next() ? retryAt : Infinity),
    fail(fault) {
      for (const item of self.items.splice(0)) item.failed(fault);
    },
  };
  return self;
}
