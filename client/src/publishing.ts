// The client's `publish`: ephemeral publications go at once or not at all, all others by way of the outbox.

import type { Connection } from './connection.js';
import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import type { Item, Outbox } from './outbox.js';
import type { Published, PublishRequest } from './types.js';

/** What passes by itself. Of these nothing was logged, or it will be known by its key. */
const PASSING = /^(RATE_LIMIT|BROKER|QUEUE|TIMEOUT)/;
const PAUSE_MS = 1_000;
/** A message that is too long for the server. */
const TOO_LARGE = 1009;

interface Parts {
  env: Environment;
  outbox: Outbox;
  connection: Connection;
  changed(): void;
  published(): void;
}

export interface Publishing {
  publish(request: PublishRequest): Promise<Published>;
  /** Sends what is due; only while a session stands. */
  flush(): void;
  lost(closeCode: number | undefined): void;
}

export function createPublishing({ env, outbox, connection, changed, published }: Parts): Publishing {
  // Unlike anything that another client makes, or this one after a reload.
  const prefix = `${env.random()}${env.random()}`.replace(/0?\./g, '');
  let keys = 0;

  function publish({ requiresAck: requires_ack, ttlMs: ttl_ms, idempotencyKey, ...plain }: PublishRequest): Promise<Published> {
    return new Promise((done, failed) => {
      const logged = plain.log !== false;
      const idempotency_key = idempotencyKey ?? (logged ? `${prefix}-${++keys}` : undefined);
      const text = JSON.stringify({ ...plain, requires_ack, ttl_ms, idempotency_key });
      if (logged) {
        const full = outbox.offer(toItem(text, done, failed));
        return full ? failed(full) : changed();
      }
      if (connection.machine.phase !== 'live') return failed(new RoomcastError('DISCONNECTED', 'ephemeral publications are not queued'));
      connection.call('publish', text, (fault, data) => (fault ? failed(fault) : done(data as Published)));
    });
  }

  function send(item: Item) {
    connection.call('publish', item.text, (fault, data) => {
      // It stays where it is, for the next connection.
      if (fault?.code === 'DISCONNECTED') return;
      if (fault && PASSING.test(fault.code)) outbox.retry(item, env.now() + (fault.retryAfterMs ?? PAUSE_MS) * (1 + env.random()));
      else {
        outbox.remove(item);
        if (fault) item.failed(fault);
        else {
          published();
          item.done(data as Published);
        }
      }
      changed();
    });
  }

  return {
    publish,
    flush() {
      for (let item; (item = outbox.next(env.now())); ) send(item);
    },
    lost(closeCode) {
      const [largest] = outbox.lost().sort((a, b) => b.bytes - a.bytes);
      if (closeCode !== TOO_LARGE || !largest) return;
      // Sent again it would end every connection.
      outbox.remove(largest);
      largest.failed(new RoomcastError('MESSAGE_TOO_LARGE', `the server takes no ${largest.bytes} bytes`, { closeCode }));
    },
  };
}

export function toItem(text: string, done: Item['done'] = () => {}, failed: Item['failed'] = () => {}): Item {
  return { text, bytes: new TextEncoder().encode(text).length, done, failed };
}
