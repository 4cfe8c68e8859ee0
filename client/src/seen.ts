// Remembers the last publications by id, so that a replay after a reconnect delivers nothing twice. Pure and bounded.

import type { Position } from './types.js';

export interface Seen {
  /** Notes that it came now, and answers with the note of the time before, if that is still known. */
  note(id: Position, mark: number): number | undefined;
  clear(): void;
}

export function createSeen(idsMax: number): Seen {
  // A Map keeps the order of insertion, so its first key is the oldest.
  const marks = new Map<Position, number>();
  return {
    note(id, mark) {
      const before = marks.get(id);
      marks.delete(id);
      marks.set(id, mark);
      if (marks.size > idsMax) marks.delete(marks.keys().next().value!);
      return before;
    },
    clear: () => marks.clear(),
  };
}
