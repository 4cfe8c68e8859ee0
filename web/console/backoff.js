// How long to wait before the next connection: full jitter over a doubling range, never below the server's hint.
// Pure; connection.js calls it.

const FIRST_MS = 500;
const LONGEST_MS = 30_000;

/**
 * @param {number} failures consecutive failed attempts so far
 * @param {number} floorMs what the server asked for, 0 when it did not
 * @param {number} chance from 0 to 1
 */
export function backoffMs(failures, floorMs, chance) {
  // The exponent is bounded because 2 to a large power is Infinity, and Infinity times 0 is no number.
  const rangeMs = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures, 16));
  return Math.max(floorMs, Math.round(rangeMs * chance));
}
