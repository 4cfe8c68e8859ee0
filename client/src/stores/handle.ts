// What presence and collections have in common: something opened while somebody listens, that tells of its changes.

import { RoomcastError } from '../fault.js';
import type { RoomcastFault, Unsubscribe } from '../types.js';
import { createStore } from './store.js';
import type { Store } from './store.js';

interface Handle {
  readonly synced: boolean;
  readonly fault: RoomcastFault | null;
  onChange(listener: () => void): Unsubscribe;
}

export interface HandleView {
  /** `false` until what is there has been read, and again while the connection is away. */
  synced: boolean;
  /** Why there is nothing to see; `UNSUPPORTED` on a server that cannot do it. */
  fault: RoomcastFault | null;
}

/** A store of a handle that `open` opens. `makeActions` gets what answers the handle, and throws while there is none. */
export function handleOf<H extends Handle, V extends HandleView>(
  enabled = true,
  open: () => H,
  close: (handle: H) => void,
  makeActions: (opened: () => H) => Partial<V>,
  look: (handle?: H) => Partial<V>,
): Store<V> {
  let handle: H | undefined;
  const actions = makeActions(() => {
    if (!handle) throw new RoomcastError('DISCONNECTED', 'not enabled, or nobody listens yet');
    return handle;
  });
  return createStore((changed) => ({
    view: () => ({ ...look(handle), ...actions, synced: !!handle?.synced, fault: handle ? handle.fault : null }) as V,
    start() {
      if (!enabled) return () => {};
      const opened = (handle = open());
      opened.onChange(changed);
      return () => {
        handle = undefined;
        close(opened);
      };
    },
  }));
}
