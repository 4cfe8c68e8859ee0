// How long to wait before the next attempt. Pure; machine.ts calls it.

export interface BackoffLaw {
  baseMs: number;
  capMs: number;
}

/**
 * Full jitter: nothing before the first attempt, then anything between 0 and an upper end that doubles from `baseMs` to `capMs`, and never less
 * than `floorMs`, which the server asked for. `chance` lies between 0 and 1.
 */
export function backoffMs(failures: number, { baseMs, capMs }: BackoffLaw, floorMs: number, chance: number): number {
  // The exponent is bounded because 2 to a large power is Infinity, and Infinity times 0 is no number.
  const upperMs = failures < 2 ? 0 : Math.min(capMs, baseMs * 2 ** Math.min(failures - 2, 30));
  return Math.max(floorMs, Math.round(upperMs * chance));
}
