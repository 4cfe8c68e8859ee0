// A set of items that the server keeps and everybody who may can change. Hands out handles of mirrors; those of the same room share
// one. The wire stands in docs/collections.md of the repository.

import { environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { enter, safely } from './listeners.js';
import { canonical } from './pattern.js';
import { Mirror } from './sync/mirror.js';
import type { Client, Collection, CollectionOptions } from './types.js';

/** A mirror with the `changed` of each of its handles. */
interface Shared {
  mirror: Mirror<unknown>;
  uses: Set<() => void>;
}

const mirrors = new WeakMap<Client, Map<string, Shared>>();

function share(client: Client, room: string, options: CollectionOptions): [Shared, () => void] {
  const { optimistic = false, itemsMax = 10_000, writesMax = 100 } = options;
  const ofClient = mirrors.get(client) ?? new Map<string, Shared>();
  mirrors.set(client, ofClient);
  const key = JSON.stringify([room, optimistic, itemsMax, writesMax]);
  const known = ofClient.get(key);
  if (known) return [known, () => release(ofClient, key, known)];
  const uses = new Set<() => void>();
  const mirror = new Mirror(client, room, { optimistic, itemsMax, writesMax }, () => uses.forEach((changed) => changed()));
  const made = { mirror, uses };
  ofClient.set(key, made);
  return [made, () => release(ofClient, key, made)];
}

/** Ends at the end of the task, so that a close followed by an opening reads nothing twice. */
function release(ofClient: Map<string, Shared>, key: string, entry: Shared): void {
  queueMicrotask(() => {
    if (entry.uses.size > 0 || ofClient.get(key) !== entry) return;
    ofClient.delete(key);
    entry.mirror.close();
  });
}

/**
 * Mirrors the collection in `room`, a room of the channel `sync`, and writes to it. Lasts over reconnects: missed changes are
 * replayed, and after a gap the items are read anew. Writes go one after the other, wait while there is no connection, and
 * are sent again with the same idempotency key when their answer was lost. Uses of the same room with the same options share one mirror.
 *
 * On a server without collections `fault` says `UNSUPPORTED`, and writes reject with it. Call `close` when done.
 */
export function collection<T = unknown>(client: Client, room: string, options: CollectionOptions = {}): Collection<T> {
  const [{ mirror, uses }, released] = share(client, canonical(room), options);
  const listeners = new Set<() => void>();
  const changed = () => listeners.forEach((listener) => safely(environment, listener));
  uses.add(changed);
  const opened = () => {
    if (!uses.has(changed)) throw new RoomcastError('DISCONNECTED', `the collection ${room} was closed: make another one`);
    // What others wrote is as unchecked as every payload; the type is the caller's word.
    return mirror as Mirror<T>;
  };
  return {
    room,
    get items() {
      return (mirror as Mirror<T>).items;
    },
    get synced() {
      return mirror.synced;
    },
    get fault() {
      return mirror.fault;
    },
    async insert(key, value) {
      const { version } = await opened().write({ op: 'insert', key, value });
      return { key, version, value };
    },
    async update(key, value, { ifVersion } = {}) {
      const { version } = await opened().write({ op: 'update', key, value, ifVersion });
      return { key, version, value };
    },
    async remove(key, { ifVersion } = {}) {
      await opened().write({ op: 'delete', key, ifVersion });
    },
    onChange: (listener) => enter(listeners, () => listener()),
    close() {
      listeners.clear();
      uses.delete(changed);
      released();
    },
  };
}
