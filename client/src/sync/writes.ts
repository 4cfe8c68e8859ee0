// Writes of one collection that wait for the server's answer. One is under way at a time, so that they arrive in the order in which
// they were made, whatever is retried. Called by sync.

import { RoomcastError } from '../fault.js';
import { faultOf, retryDelayMs } from '../retry.js';
import type { Item, RoomcastFault } from '../types.js';

/** Retries of one write that the server could not take at the moment; reconnects do not count. */
const failuresMax = 10;

export interface Write<T> {
  op: 'insert' | 'update' | 'delete';
  key: string;
  value?: T;
  ifVersion?: number | undefined;
  idempotencyKey: string;
}

/** The reply to `sync:write`. */
export interface Written {
  key: string;
  version: number;
}

interface Waiting<T> {
  write: Write<T>;
  resolve: (written: Written) => void;
  reject: (fault: RoomcastFault) => void;
}

export interface Writes<T> {
  /** In the order in which they were made. */
  readonly waiting: readonly Write<T>[];
  add(write: Write<T>): Promise<Written>;
  /** Sends what waits; after a reconnect that is the write whose answer was lost, with the same key. */
  resume(): void;
  /** Refuses everything that waits. */
  refuse(fault: RoomcastFault): void;
}

/** `send` sends one write. `answered` is called before the write's promise settles, and after it has left the queue. */
export function writes<T>(
  writesMax: number,
  send: (write: Write<T>) => Promise<Written>,
  answered: (write: Write<T>, outcome: Written | RoomcastFault) => void,
): Writes<T> {
  const queue: Waiting<T>[] = [];
  let under: Waiting<T> | null = null;
  let failures = 0;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;

  const next = () => {
    const first = queue[0];
    if (under || !first) return;
    under = first;
    send(first.write).then(
      (written) => finish(first, written),
      (reason: unknown) => failed(first, faultOf(reason)),
    );
  };
  const finish = (done: Waiting<T>, outcome: Written | RoomcastFault) => {
    if (under !== done) return;
    under = null;
    failures = 0;
    queue.shift();
    answered(done.write, outcome);
    if ('version' in outcome) done.resolve(outcome);
    else done.reject(outcome);
    next();
  };
  const failed = (waiting: Waiting<T>, fault: RoomcastFault) => {
    if (under !== waiting) return;
    if (fault.code === 'DISCONNECTED') {
      under = null;
      return;
    }
    const delayMs = ++failures > failuresMax ? null : retryDelayMs(fault, failures, Math.random());
    if (delayMs === null) finish(waiting, fault);
    else retryTimer = setTimeout(resume, delayMs);
  };
  const resume = () => {
    clearTimeout(retryTimer);
    under = null;
    next();
  };

  return {
    get waiting() {
      return queue.map(({ write }) => write);
    },
    add(write) {
      return new Promise((resolve, reject) => {
        if (queue.length >= writesMax) {
          return reject(new RoomcastError('QUEUE_FULL', `${writesMax} writes wait already: wait for their answers`));
        }
        queue.push({ write, resolve, reject });
        next();
      });
    },
    resume,
    refuse(fault) {
      clearTimeout(retryTimer);
      under = null;
      for (const { write, reject } of queue.splice(0)) {
        answered(write, fault);
        reject(fault);
      }
    },
  };
}

/** The item that a conflict tells of, or `null` when there is none. */
export function currentOf<T>(fault: RoomcastFault): Item<T> | null {
  return (fault.data?.current as Item<T> | null | undefined) ?? null;
}
