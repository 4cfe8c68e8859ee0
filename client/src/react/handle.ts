// What presence and collections have in common: something opened while a component is shown, that tells of its changes.

import { RoomcastError } from '../index.js';
import type { Client, RoomcastFault, Unsubscribe } from '../types.js';
import { useStore } from './store.js';

interface Handle {
  readonly synced: boolean;
  readonly fault: RoomcastFault | null;
  onChange(listener: () => void): Unsubscribe;
}

/** How a hook uses a handle. */
export interface Use<H, V> {
  open(client: Client): H;
  close(handle: H): void;
  /** What it shows besides `synced` and `fault`; without a handle how it begins. */
  look(handle?: H): V;
}

export interface HandleView {
  /** `false` until what is there has been read, and again while the connection is away. */
  synced: boolean;
  /** Why there is nothing to see; `UNSUPPORTED` on a server that cannot do it. */
  fault: RoomcastFault | null;
}

/** `key` names all that `makeUse` depends on. `opened` answers the handle, and throws while there is none. */
export function useHandle<H extends Handle, V extends object>(
  enabled: boolean,
  makeUse: (opened: () => H) => Use<H, V>,
  key: readonly unknown[],
): V & HandleView {
  return useStore(
    (client, changed) => {
      let handle: H | undefined;
      const use = makeUse(() => {
        if (!handle) throw new RoomcastError('DISCONNECTED', 'the hook is not enabled, or its component not shown yet');
        return handle;
      });
      return {
        view: () => ({ ...use.look(handle), synced: !!handle?.synced, fault: handle ? handle.fault : null }),
        start() {
          if (!enabled) return () => undefined;
          const opened = (handle = use.open(client));
          opened.onChange(changed);
          return () => {
            handle = undefined;
            use.close(opened);
          };
        },
      };
    },
    JSON.stringify([enabled, key]),
  );
}
