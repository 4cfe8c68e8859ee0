// Several transports as one: the next has its turn where one does not get through.

import type { Transport, TransportEvents } from '../types.js';

/** Attempts without a word from the server: for a transport that never worked, and for one that has. */
const STRIKES_NEW = 2;
const STRIKES_PROVEN = 6;

/**
 * Tries transports in their order, those that this environment does not have left out. One that could not get through twice makes way
 * for the next; one that has worked is kept, unless it fails over and over, as after a move into another network.
 */
export function fallback(...transports: readonly Transport[]): Transport {
  const usable = transports.filter((transport) => transport.supported());
  let index = 0;
  let strikes = 0;
  let proven = false;

  function heard() {
    proven = true;
    strikes = 0;
  }

  function strike() {
    // Without a network nothing gets through, which says nothing of the transport.
    if (globalThis.navigator?.onLine === false || ++strikes < (proven ? STRIKES_PROVEN : STRIKES_NEW)) return;
    index = (index + 1) % usable.length;
    strikes = 0;
    proven = false;
  }

  return {
    get name() {
      return (usable[index] ?? transports[0])?.name ?? 'none';
    },
    supported: () => usable.length > 0,
    open(url, events) {
      let judged = false;
      const judge = (verdict: () => void) => {
        if (!judged) verdict();
        judged = true;
      };
      const watched: TransportEvents = {
        onOpen: () => events.onOpen(),
        onMessage(text) {
          judge(heard);
          events.onMessage(text);
        },
        onClose(code, reason) {
          // Only a server of this protocol closes with such a code.
          judge(code >= 4000 ? heard : strike);
          events.onClose(code, reason);
        },
      };
      try {
        const connection = usable[index]!.open(url, watched);
        return {
          send: (text) => connection.send(text),
          close(code, reason) {
            judge(strike);
            connection.close(code, reason);
          },
        };
      } catch (error) {
        judge(strike);
        throw error;
      }
    },
  };
}
