// Hands publications to whom they reach: once each, in the order in which they came.

import type { Environment } from './environment.js';
import { enter, safely } from './listeners.js';
import type { Listeners } from './listeners.js';
import { eventTest } from './pattern.js';
import { toPublication } from './protocol.js';
import type { PublicationPush } from './protocol.js';
import type { Rooms } from './rooms.js';
import { createSeen } from './seen.js';
import type { Use } from './subscribing.js';
import type { ClientOptions, Handler, Publication, Statistics, Unsubscribe } from './types.js';

export interface Delivery {
  /** Answers whether it is new to this client. */
  publication(push: PublicationPush): boolean;
  onEvent(pattern: string, handler: Handler): Unsubscribe;
  forget(): void;
}

export function createDelivery(
  env: Environment,
  { seenMax = 16_384 }: Pick<ClientOptions, 'seenMax'>,
  rooms: Rooms<Use>,
  listeners: Listeners,
  counts: Statistics,
): Delivery {
  const seen = createSeen(seenMax);
  const handlers = new Set<Pick<Use, 'takes' | 'handler'>>();

  function hand(publication: Publication, uses: Set<Pick<Use, 'takes' | 'handler'>>) {
    for (const use of [...uses]) {
      // A handler before this one may have ended it.
      if (uses.has(use) && use.takes(publication.event)) safely(env, () => use.handler(publication));
    }
  }

  return {
    publication(push) {
      const publication = toPublication(push);
      // What is for everybody in the org is not for the handlers of single rooms.
      const reached = rooms.reached(push.room, !!push.cascade && !push.room.startsWith('org:'), publication.replayed);
      const before = push.id ? seen.note(push.id, rooms.born, publication.replayed) : undefined;
      if (push.replayed) counts.replayed++;
      if (before !== undefined) {
        counts.duplicates++;
        // Whoever asked for the past after it came first has not had it yet.
        for (const room of reached) if (publication.replayed && room.replays && room.born > before) hand(publication, room.uses);
        return false;
      }
      for (const room of reached) hand(publication, room.uses);
      hand(publication, handlers);
      listeners.emit('publication', publication);
      return true;
    },
    onEvent: (pattern, handler) => enter(handlers, { takes: eventTest(pattern), handler }),
    forget: () => seen.clear(),
  };
}
