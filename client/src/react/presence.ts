// Who is in a room, for components.

import { useEffect } from 'react';
import { presence } from '../index.js';
import type { Member, Presence, PresenceOptions } from '../types.js';
import { useHandle } from './handle.js';
import type { HandleView } from './handle.js';

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

/**
 * Shows who is in a room, and enters it while the component is shown where `enter` is given. A changed `enter` is told to the others;
 * so is what `update` says, until `enter` changes again.
 */
export function useRealtimePresence<S = unknown>(room: string, options: RealtimePresenceOptions<S> = {}): RealtimePresence<S> {
  const { enabled = true, enter } = options;
  const shown = useHandle<Presence<S>, Pick<RealtimePresence<S>, 'members' | 'update'>>(
    enabled,
    (opened) => {
      const update: Presence<S>['update'] = async (self) => opened().update(self);
      return {
        open: (client) => presence<S>(client, room, { enter }),
        close: (handle) => handle.leave(),
        look: (handle) => ({ members: handle ? handle.members : nobody, update }),
      };
    },
    [room, !enter],
  );
  const { update } = shown;
  useEffect(() => {
    // A refusal shows in `fault`.
    if (enabled && enter) update(enter).catch(() => undefined);
  }, [enabled, update, JSON.stringify(enter)]);
  return shown;
}
