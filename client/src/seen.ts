// Remembers the last publications by id, so that a replay after a reconnect delivers nothing twice. Pure and bounded.

import type { Position } from './types.js';

export interface Seen {
  /** Notes the first time, and any further with `again`; answers with the note before, if that is still known. */
  note(id: Position, mark: number, again: boolean): number | undefined;
  clear(): void;
}

export function createSeen(idsMax: number): Seen {
  // A Map keeps the order of insertion, so its first key is the oldest.
  const marks = new Map<Position, number>();
  return {
    note(id, mark, again) {
      const before = marks.get(id);
      if (again || before === undefined) marks.set(id, mark);
      if (marks.size > idsMax) marks.delete(marks.keys().next().value!);
      return before;
    },
    clear: () => marks.clear(),
  };
}
