// The items of one collection as far as the server told them. Pure; called by sync, which sends the commands.

import type { Item } from '../types.js';

/** One change of one item. Without `value` it was deleted. */
export interface Change<T> {
  key: string;
  version: number;
  value?: T;
  deleted?: boolean;
}

export interface Table<T> {
  readonly items: ReadonlyMap<string, Item<T>>;
  /** There were more items than the maximum, and some are missing. */
  readonly overfull: boolean;
  /** Applies a change that is newer than what is known of its key. */
  apply(change: Change<T>): void;
  /** Begins a snapshot: what is on none of its pages and in no change from now on will be gone. */
  begin(): void;
  page(items: readonly Item<T>[]): void;
  finish(): void;
  clear(): void;
}

/** Deletions remembered, so that nothing older brings an item back. */
const tombstonesMax = 1_024;

export function table<T>(itemsMax: number): Table<T> {
  let items = new Map<string, Item<T>>();
  /** The snapshot that is being read. Changes that come meanwhile go into both. */
  let fresh: Map<string, Item<T>> | null = null;
  let overfull = false;
  const tombstones = new Map<string, number>();

  const put = (into: Map<string, Item<T>>, { key, version, value }: Item<T>) => {
    if (version <= (tombstones.get(key) ?? 0) || version <= (into.get(key)?.version ?? 0)) return;
    if (into.size < itemsMax || into.has(key)) into.set(key, { key, version, value });
    else overfull = true;
  };
  const bury = (key: string, version: number) => {
    for (const map of [items, fresh]) {
      if ((map?.get(key)?.version ?? version) <= version) map?.delete(key);
    }
    if (version <= (tombstones.get(key) ?? 0)) return;
    tombstones.delete(key);
    tombstones.set(key, version);
    const oldest = tombstones.keys().next();
    if (tombstones.size > tombstonesMax && !oldest.done) tombstones.delete(oldest.value);
  };

  return {
    get items() {
      return items;
    },
    get overfull() {
      return overfull;
    },
    apply(change) {
      if (change.deleted) return bury(change.key, change.version);
      const item = { key: change.key, version: change.version, value: change.value as T };
      put(items, item);
      if (fresh) put(fresh, item);
    },
    begin() {
      fresh = new Map();
      // A log that was lost may count versions from the beginning again: old deletions must not hide new items.
      tombstones.clear();
      overfull = false;
    },
    page(page) {
      for (const item of page) put(fresh ?? items, item);
    },
    finish() {
      items = fresh ?? items;
      fresh = null;
    },
    clear() {
      items = new Map();
      fresh = null;
      tombstones.clear();
      overfull = false;
    },
  };
}
