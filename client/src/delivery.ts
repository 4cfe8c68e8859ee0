// Hands publications to whom they reach: once each, in the order in which they came.

import type { Counts } from './connection.js';
import type { Environment } from './environment.js';
import { enter, safely } from './listeners.js';
import type { Listeners } from './listeners.js';
import { eventTest } from './pattern.js';
import type { PublicationPush } from './protocol.js';
import type { Rooms } from './rooms.js';
import type { Use } from './subscribing.js';
import type { ClientOptions, Handler, Position, Publication, Unsubscribe } from './types.js';

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
  counts: Counts,
): Delivery {
  /** How many rooms there had been when a publication came; a Map keeps the order of insertion, so its first key is the oldest. */
  const seen = new Map<Position, number>();
  const handlers = new Set<Pick<Use, 'takes' | 'handler'>>();

  function hand(publication: Publication, uses: Set<Pick<Use, 'takes' | 'handler'>>) {
    for (const use of [...uses]) {
      // A handler before this one may have ended it.
      if (uses.has(use) && use.takes(publication.event)) safely(env, () => use.handler(publication));
    }
  }

  return {
    publication(push) {
      const { requires_ack: requiresAck = false, cascade, overtook: _, ...plain } = push;
      // What is left out on the wire says nothing.
      const publication: Publication = { priority: 'medium', headers: {}, replayed: false, ...plain, requiresAck };
      const { id, room, replayed } = publication;
      // What is for everybody in the org is not for the handlers of single rooms.
      const reached = rooms.reached(room, !!cascade && !room.startsWith('org:'), replayed);
      const before = seen.get(id!);
      const fresh = before === undefined;
      if (replayed) counts.replayed++;
      if (id && (fresh || replayed)) seen.set(id, rooms.born);
      if (seen.size > seenMax) seen.delete(seen.keys().next().value!);
      // Whoever asked for the past after it came first has not had it yet.
      for (const room of reached) {
        if (!fresh && !(replayed && room.replays && room.born > before)) continue;
        // The server has judged; only where rooms overlap it is not known for which of them.
        if (!reached[1] || room.filter?.passes(push) !== false) hand(publication, room.uses);
      }
      if (fresh) {
        hand(publication, handlers);
        listeners.emit('publication', publication);
      } else counts.duplicates++;
      return fresh;
    },
    onEvent: (pattern, handler) => enter(handlers, { takes: eventTest(pattern), handler }),
    forget: () => seen.clear(),
  };
}
