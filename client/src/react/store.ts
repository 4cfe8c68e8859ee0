// What every hook stands on: a store of the shared client, made anew only when that or what it is of has changed.

import { createContext, useContext, useInsertionEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type { RefObject } from 'react';
import type { Store } from '../stores/store.js';
import type { RoomOptions } from '../stores/subscription.js';
import type { Client } from '../types.js';

export const ClientContext = createContext<Client | null>(null);

/**
 * The client of the nearest `RoomcastProvider`.
 *
 * @throws when there is none
 */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (!client) throw new Error('no roomcast client: wrap this in <RoomcastProvider client={…}> or <RoomcastProvider options={…}>');
  return client;
}

/** Shows a store. `key` names all that `make` depends on, besides the client; functions in it do not count. */
export function useStore<V>(make: (client: Client) => Store<V>, ...key: unknown[]): V {
  const client = useClient();
  const { subscribe, read, readFirst } = useMemo(() => make(client), [client, JSON.stringify(key)]);
  return useSyncExternalStore(subscribe, read, readFirst);
}

/** Shows a store of rooms. Its callbacks are those of the last render, so that a new closure restarts nothing. */
export function useRooms<T, O extends RoomOptions, V>(
  make: (client: Client, target: T, options?: O) => Store<V>,
  target: T,
  options = {} as O,
): V {
  const latest = useLatest(options);
  return useStore(
    (client) =>
      make(client, target, {
        ...options,
        onPublication: (publication) => latest.current.onPublication?.(publication),
        onGap: (gap) => latest.current.onGap?.(gap),
      }),
    target,
    options,
  );
}

/** Lets long-lived callbacks see what the last render had. */
export function useLatest<T>(value: T): RefObject<T> {
  const latest = useRef(value);
  useInsertionEffect(() => {
    latest.current = value;
  });
  return latest;
}
