// Something to show that changes, for pages of whatever framework: one view that stays the same until something has changed.

import type { Unsubscribe } from '../types.js';

/** When listeners hear of changes: `frame` is once per animation frame, or at once on hidden pages, which have no frames. */
export type Batch = 'frame' | 'microtask';

export interface Store<V> {
  /** How things stand; the same object until something has changed. */
  read(): V;
  /** How they stood when the store was made: what a server renders. */
  readFirst(): V;
  /** Tells of changes. Nothing is asked of the server before somebody listens, and nothing more once nobody does. */
  subscribe(listener: () => void): Unsubscribe;
}

export interface Source<V> {
  /** How things stand; compared member by member with what is shown. */
  view(): V;
  /** Called when somebody listens; returns what ends it. Nothing outside may be touched before. */
  start(): () => void;
}

const same = <V extends object>(one: V, other: V) =>
  Object.entries(one).every(([name, value]) => Object.is(value, other[name as keyof V]));
/** Workers have no document, and hidden pages no frames. */
const hasFrames = () => globalThis.document?.visibilityState === 'visible';

/** `first` is how a view begins where that differs from how things stand already. */
export function createStore<V extends object>(make: (changed: () => void) => Source<V>, batch?: Batch, first?: object): Store<V> {
  const listeners = new Set<() => void>();
  let stop: () => void;
  let framed = false;
  const flush = () => {
    framed = false;
    const next = source.view();
    if (!listeners.size || same(next, shown)) return;
    shown = next;
    listeners.forEach((listener) => listener());
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
  const before = { ...shown, ...first };
  return {
    read: () => shown,
    readFirst: () => before,
    subscribe(listener) {
      const mine = () => listener();
      if (!listeners.size) stop = source.start();
      listeners.add(mine);
      changed();
      return () => {
        if (listeners.delete(mine) && !listeners.size) stop();
      };
    },
  };
}
