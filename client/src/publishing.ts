// The client's `publish`. Ephemeral publications go at once or not at all; all others wait in the outbox, first in, first out, each with
// a key under which the server logs it once however often it is sent.

import type { Connection, Counts } from './connection.js';
import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import type { Client, ClientOptions, Published, PublishRequest } from './types.js';

/** What passes by itself. Of these nothing was logged, or it will be known by its key. */
const PASSING = /^(RATE_LIMIT|BROKER|QUEUE|TIMEOUT)/;
const PAUSE_MS = 1_000;
/** A message that is too long for the server. */
const TOO_LARGE = 1009;

interface Item {
  /** The command's data as JSON text, so that what the caller changes later changes nothing here. */
  readonly text: string;
  readonly bytes: number;
  /** Nobody waits for what an earlier page left. */
  done?(published: Published): void;
  failed?(fault: RoomcastError): void;
}

export interface Publishing {
  /** Oldest first. */
  items: Item[];
  publish(request: PublishRequest): Promise<Published>;
  /** Sends what is due; only while a session stands. */
  flush(): void;
  /** When `flush` has something to do again. */
  dueAt(): number;
  /** The connection is gone: all that was under way is to be sent again. */
  lost(closeCode: number | undefined): void;
  /** Nothing of it is wanted any more. */
  fail(fault: RoomcastError): void;
}

export type PublishingOptions = Pick<ClientOptions, 'outboxMax' | 'outboxBytesMax' | 'publishWindow'>;

export function createPublishing(
  env: Environment,
  { call }: Connection,
  counts: Counts,
  { outboxMax = 1_000, outboxBytesMax = 2 ** 20, publishWindow = 1 }: PublishingOptions,
  request: Client['request'],
  /** Has `flush` called soon. */
  changed: () => void,
): Publishing {
  // Unlike anything that another client makes, or this one after a reload.
  const prefix = `${env.random()}${env.random()}`;
  const underWay = new Set<Item>();
  let keys = 0;
  let retryAt = 0;
  // After a refusal one after the other, and slowly more again: servers end sessions that have more refused than done.
  let window = publishWindow;

  const next = () => (underWay.size + 1 <= window ? self.items.find((item) => !underWay.has(item)) : undefined);

  function remove(item: Item) {
    self.items = self.items.filter((other) => other !== item);
  }

  function send(item: Item) {
    underWay.add(item);
    call('publish', item.text, (fault, data) => {
      // It stays where it is, for the next connection.
      if (fault?.code === 'DISCONNECTED') return;
      underWay.delete(item);
      if (fault && PASSING.test(fault.code)) {
        window = 1;
        retryAt = env.now() + (fault.retryAfterMs ?? PAUSE_MS) * (1 + env.random());
      } else {
        window = Math.min(publishWindow, window + 0.1);
        remove(item);
        if (fault) item.failed?.(fault);
        else {
          counts.published++;
          item.done?.(data as Published);
        }
      }
      changed();
    });
  }

  const self: Publishing = {
    items: [],
    async publish({ requiresAck: requires_ack, ttlMs: ttl_ms, idempotencyKey: idempotency_key, ...plain }) {
      const data = { ...plain, requires_ack, ttl_ms, idempotency_key };
      if (plain.log === false) return request('publish', data);
      data.idempotency_key ??= `${prefix}-${++keys}`;
      const item = toItem(JSON.stringify(data));
      const bytes = self.items.reduce((sum, other) => sum + other.bytes, item.bytes);
      if (self.items.length >= outboxMax || bytes > outboxBytesMax) throw new RoomcastError('QUEUE_FULL', 'the outbox is full');
      self.items.push(item);
      changed();
      return new Promise((done, failed) => Object.assign(item, { done, failed }));
    },
    flush() {
      while (self.dueAt() <= env.now()) send(next()!);
    },
    dueAt: () => (next() ? retryAt : Infinity),
    lost(closeCode) {
      const [largest] = [...underWay].sort((a, b) => b.bytes - a.bytes);
      underWay.clear();
      retryAt = 0;
      if (closeCode !== TOO_LARGE || !largest) return;
      // Sent again it would end every connection.
      remove(largest);
      largest.failed?.(new RoomcastError('MESSAGE_TOO_LARGE', `the server takes no ${largest.bytes} bytes`, { closeCode }));
    },
    fail(fault) {
      for (const item of self.items.splice(0)) item.failed?.(fault);
    },
  };
  return self;
}

export function toItem(text: string): Item {
  return { text, bytes: new TextEncoder().encode(text).length };
}
