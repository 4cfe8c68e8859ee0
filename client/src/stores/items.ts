// The items of a collection, as a store.

import { collection } from '../sync.js';
import type { Client, Collection, CollectionOptions, Item } from '../types.js';
import { handleOf } from './handle.js';
import type { HandleView } from './handle.js';
import type { Store } from './store.js';

export interface RealtimeSyncOptions extends CollectionOptions {
  /** `false` mirrors nothing. Default true. */
  enabled?: boolean;
}

export interface RealtimeSync<T> extends HandleView, Pick<Collection<T>, 'insert' | 'update' | 'remove'> {
  items: readonly Item<T>[];
}

const nothing: readonly never[] = [];

/** The items of a collection, as `collection` tells, and how to write to it; mirrored while somebody listens. */
export function itemsOf<T = unknown>(client: Client, room: string, options: RealtimeSyncOptions = {}): Store<RealtimeSync<T>> {
  return handleOf<Collection<T>, RealtimeSync<T>>(
    options.enabled,
    () => collection<T>(client, room, options),
    (handle) => handle.close(),
    (opened) => ({
      insert: async (...write) => opened().insert(...write),
      update: async (...write) => opened().update(...write),
      remove: async (...write) => opened().remove(...write),
    }),
    (handle) => ({ items: handle ? handle.items : nothing }),
  );
}
