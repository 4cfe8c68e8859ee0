// Who is in a room, as a store.

import { presence } from '../presence.js';
import type { Client, Member, Presence, PresenceOptions } from '../types.js';
import { handleOf } from './handle.js';
import type { HandleView } from './handle.js';
import type { Store } from './store.js';

export interface RealtimePresenceOptions<S> extends PresenceOptions<S> {
  /** `false` neither watches nor enters. Default true. */
  enabled?: boolean;
}

export interface RealtimePresence<S> extends HandleView {
  members: readonly Member<S>[];
  /** Changes what the others see of this user; enters the room where that has not been done. */
  update: Presence<S>['update'];
}

const nobody: readonly never[] = [];

/** Who is in a room, as `presence` tells; entered and watched while somebody listens. */
export function membersOf<S = unknown>(client: Client, room: string, options: RealtimePresenceOptions<S> = {}): Store<RealtimePresence<S>> {
  return handleOf<Presence<S>, RealtimePresence<S>>(
    options.enabled,
    () => presence<S>(client, room, options),
    (handle) => handle.leave(),
    (opened) => ({ update: async (self) => opened().update(self) }),
    (handle) => ({ members: handle ? handle.members : nobody }),
  );
}
