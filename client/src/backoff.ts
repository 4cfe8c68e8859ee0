// How long to wait before the next attempt. Pure; machine.ts calls it.

import type { BackoffOptions } from './types.js';

/**
 * Full jitter: nothing before the first attempt, then anything between 0 and an upper end that doubles from `baseMs` to `capMs`, and never less
 * than `floorMs`, which the server asked for. `chance` lies between 0 and 1.
 */
export function backoffMs(attempt: number, { baseMs = 1_000, capMs = 30_000 }: BackoffOptions, floorMs: number | undefined, chance: number): number {
  // Two to a large power is Infinity, which the cap bounds.
  const upperMs = attempt < 2 ? 0 : Math.min(capMs, baseMs * 2 ** (attempt - 2));
  return Math.max(floorMs ?? 0, upperMs * chance);
}
