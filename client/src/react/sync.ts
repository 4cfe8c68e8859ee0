// A collection, for components.

import { collection } from '../index.js';
import type { Collection, CollectionOptions, Item } from '../types.js';
import { useHandle } from './handle.js';
import type { HandleView } from './handle.js';

export interface RealtimeSyncOptions extends CollectionOptions {
  /** `false` mirrors nothing. Default true. */
  enabled?: boolean;
}

export interface RealtimeSync<T> extends HandleView, Pick<Collection<T>, 'insert' | 'update' | 'remove'> {
  items: readonly Item<T>[];
}

const nothing: readonly never[] = [];

/** Mirrors the collection in a room of the channel `sync`, and writes to it. Components that show the same one share it. */
export function useRealtimeSync<T = unknown>(room: string, options: RealtimeSyncOptions = {}): RealtimeSync<T> {
  const { enabled = true } = options;
  return useHandle<Collection<T>, Omit<RealtimeSync<T>, keyof HandleView>>(
    enabled,
    (opened) => {
      const actions: Pick<Collection<T>, 'insert' | 'update' | 'remove'> = {
        insert: async (...write) => opened().insert(...write),
        update: async (...write) => opened().update(...write),
        remove: async (...write) => opened().remove(...write),
      };
      return {
        open: (client) => collection<T>(client, room, options),
        close: (handle) => handle.close(),
        look: (handle) => ({ items: handle ? handle.items : nothing, ...actions }),
      };
    },
    [room, options],
  );
}
