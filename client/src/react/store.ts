// What every hook stands on: an outside source, and one view of it that stays the same until something has changed.

import { useInsertionEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type { RefObject } from 'react';
import type { Client } from '../types.js';
import { useClient } from './client.js';

/** When a component hears of changes: `frame` is once per animation frame, or at once on hidden pages, which have no frames. */
export type Batch = 'frame' | 'microtask';

export interface Source<V> {
  /** How things stand; compared member by member with what is shown. */
  view(): V;
  /** Called when a component is there to see it; returns what ends it. Nothing outside may be touched before. */
  start(): () => void;
}

const same = <V extends object>(one: V, other: V) =>
  Object.entries(one).every(([name, value]) => Object.is(value, other[name as keyof V]));
const hasFrames = () => typeof requestAnimationFrame === 'function' && document.visibilityState === 'visible';

function createStore<V extends object>(make: (changed: () => void) => Source<V>, batch?: Batch, away?: object) {
  let listener: (() => void) | undefined;
  let framed = false;
  const flush = () => {
    framed = false;
    const next = source.view();
    if (!listener || same(next, shown)) return;
    shown = next;
    listener();
  };
  const changed = () => {
    if (batch === 'microtask' || !hasFrames()) queueMicrotask(flush);
    else if (!framed) {
      framed = true;
      requestAnimationFrame(flush);
    }
  };
  const source = make(changed);
  let shown = source.view();
  const onServer = { ...shown, ...away };
  return {
    subscribe(next: () => void) {
      listener = next;
      const stop = source.start();
      changed();
      return () => {
        listener = undefined;
        stop();
      };
    },
    read: () => shown,
    readOnServer: () => onServer,
  };
}

/**
 * Shows a source, and makes it anew only when the client or `key` has changed; so `key` names all that `make` depends on. `away` is how
 * a view begins on a server and while hydrating, whatever the page has come to meanwhile.
 */
export function useStore<V extends object>(
  make: (client: Client, changed: () => void) => Source<V>,
  key?: string,
  batch?: Batch,
  away?: object,
): V {
  const client = useClient();
  const store = useMemo(() => createStore<V>((changed) => make(client, changed), batch, away), [client, key]);
  return useSyncExternalStore(store.subscribe, store.read, store.readOnServer);
}

/** Lets long-lived callbacks see the handlers of the last render, so that a new closure restarts nothing. */
export function useLatest<T>(value: T): RefObject<T> {
  const latest = useRef(value);
  useInsertionEffect(() => {
    latest.current = value;
  });
  return latest;
}
