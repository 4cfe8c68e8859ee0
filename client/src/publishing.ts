// The client's `publish`: ephemeral publications go at once or not at all, all others by way of the outbox.

import type { Connection } from './connection.js';
import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import type { Outbox, Item } from './outbox.js';
import { publishData } from './protocol.js';
import type { Published, PublishRequest } from './types.js';

/** What passes by itself. Of these nothing was logged, or it will be known by its key. */
const PASSING = /^(RATE_LIMIT_EXCEEDED|BROKER_UNAVAILABLE|QUEUE_FULL|TIMEOUT)$/;
const PAUSE_MS = 1_000;

interface Parts {
  env: Environment;
  outbox: Outbox;
  timeoutMs: number;
  connection(): Connection;
  changed(): void;
  published(): void;
}

export interface Publishing {
  publish(request: PublishRequest): Promise<Published>;
  /** Sends what is due; only while a session stands. */
  flush(): void;
  lost(fault: RoomcastError): void;
}

export function createPublishing({ env, outbox, timeoutMs, connection, changed, published }: Parts): Publishing {
  // Unlike anything that another client makes, or this one after a reload.
  const prefix = [1, 2].map(() => env.random().toString(36).slice(2)).join('');
  let keys = 0;

  function publish(request: PublishRequest): Promise<Published> {
    return new Promise((done, failed) => {
      const ephemeral = request.log === false;
      const idempotencyKey = request.idempotencyKey ?? (ephemeral ? undefined : `${prefix}-${++keys}`);
      const text = JSON.stringify(publishData({ ...request, idempotencyKey }));
      if (!ephemeral) {
        const full = outbox.offer(toItem(text, done, failed));
        return full ? failed(full) : changed();
      }
      if (connection().machine.phase !== 'live') {
        return failed(new RoomcastError('DISCONNECTED', 'an ephemeral publication needs a connection; it is not queued'));
      }
      connection().callText('publish', text, timeoutMs, (fault, data) => (fault ? failed(fault) : done(data as Published)));
    });
  }

  function send(item: Item) {
    connection().callText('publish', item.text, timeoutMs, (fault, data) => {
      // It stays where it is, for the next connection.
      if (fault?.code === 'DISCONNECTED') return;
      if (fault && PASSING.test(fault.code)) {
        outbox.retry(item, env.now() + (fault.retryAfterMs ?? PAUSE_MS) * (1 + env.random()));
      } else {
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
      for (let item = outbox.next(env.now()); item; item = outbox.next(env.now())) send(item);
    },
    lost(fault) {
      const sent = outbox.lost();
      if (fault.closeCode !== 1009 || !sent.length) return;
      // Sent again it would end every connection.
      const largest = sent.reduce((most, item) => (item.bytes > most.bytes ? item : most));
      outbox.remove(largest);
      largest.failed(new RoomcastError('MESSAGE_TOO_LARGE', `the server does not take a publication of ${largest.bytes} bytes`, { closeCode: 1009 }));
    },
  };
}

export function toItem(text: string, done: Item['done'] = () => {}, failed: Item['failed'] = () => {}): Item {
  return { text, bytes: new TextEncoder().encode(text).length, done, failed };
}
