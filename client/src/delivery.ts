// Hands publications to whom they reach: once each, in the order in which they came.

import type { Environment } from './environment.js';
import { enter, safely } from './listeners.js';
import type { Listeners } from './listeners.js';
import type { Meter } from './meter.js';
import { eventTest } from './pattern.js';
import { toPublication } from './protocol.js';
import type { PublicationPush } from './protocol.js';
import type { Room, Rooms } from './rooms.js';
import { createSeen } from './seen.js';
import type { Handler, Publication, Unsubscribe } from './types.js';
import type { Use } from './subscribing.js';

export interface Delivery {
  publication(push: PublicationPush): Publication;
  onEvent(pattern: string, handler: Handler): Unsubscribe;
  forget(): void;
}

interface Parts {
  env: Environment;
  rooms: Rooms<Use>;
  listeners: Listeners;
  meter: Meter;
  seenMax: number;
}

export function createDelivery({ env, rooms, listeners, meter, seenMax }: Parts): Delivery {
  const seen = createSeen(seenMax);
  const handlers = new Set<{ takes: (event: string) => boolean; handler: Handler }>();

  function hand(publication: Publication, reached: readonly Room<Use>[]) {
    for (const room of reached) {
      for (const use of [...room.uses]) {
        // A handler before this one may have ended it.
        if (room.uses.has(use) && use.takes(publication.event)) safely(env, () => use.handler(publication));
      }
    }
  }

  return {
    publication(push) {
      const publication = toPublication(push);
      const before = push.id === undefined ? undefined : seen.note(push.id, rooms.born);
      const reached = rooms.reached(push.room, push.cascade === true);
      meter.counts.received++;
      if (push.replayed) meter.counts.replayed++;
      if (before !== undefined) {
        meter.counts.duplicates++;
        // Whoever asked for the past after it came first has not had it yet.
        hand(publication, reached.filter((room) => room.replays && room.born > before));
        return publication;
      }
      hand(publication, reached);
      for (const { takes, handler } of [...handlers]) if (takes(push.event)) safely(env, () => handler(publication));
      listeners.emit('publication', publication);
      return publication;
    },
    onEvent: (pattern, handler) => enter(handlers, { takes: eventTest(pattern), handler }),
    forget: () => seen.clear(),
  };
}
