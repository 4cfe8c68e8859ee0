// When a refused command of presence or of a collection may be sent again. Pure.

import { backoffMs } from './backoff.js';
import { RoomcastError } from './fault.js';
import type { RoomcastFault } from './types.js';

/** What says nothing against the command itself. */
const passing: readonly string[] = ['BROKER_UNAVAILABLE', 'INTERNAL_ERROR', 'RATE_LIMIT_EXCEEDED', 'ROOM_FULL', 'TIMEOUT'];
const law = { baseMs: 1_000, capMs: 30_000 };

/** Milliseconds until the same command may be sent again, or `null` where that would be of no use. `failures` counts from 1. */
export function retryDelayMs(fault: RoomcastFault, failures: number, chance: number): number | null {
  if (!passing.includes(fault.code)) return null;
  return backoffMs(failures + 1, law, fault.retryAfterMs ?? 0, chance);
}

/** Puts whatever a promise was rejected with into the form of a fault. */
export function faultOf(reason: unknown): RoomcastFault {
  return reason instanceof RoomcastError ? reason : new RoomcastError('INTERNAL_ERROR', String(reason), { cause: reason });
}
