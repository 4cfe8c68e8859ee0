// From the loss of the connection to having caught up: what the notice says. Pure.

import type { ConnectionState } from '@roomcast/client';
import type { Strip } from './strip.ts';

/** `caughtUp`: the connection is back and live publications arrive again. */
export type Outage =
  | { phase: 'none' }
  | { phase: 'away'; sinceMs: number; before: Strip }
  | { phase: 'catchingUp'; sinceMs: number; backMs: number; before: Strip }
  | { phase: 'caughtUp'; awayMs: number; replayed: number; missing: number; gaps: number };

export const NO_OUTAGE: Outage = { phase: 'none' };

/** After a change of the connection's state. */
export function connectionChanged(outage: Outage, state: ConnectionState, strip: Strip, nowMs: number): Outage {
  if (state === 'connected') {
    if (outage.phase !== 'away') return outage;
    return { ...outage, phase: 'catchingUp', backMs: nowMs };
  }
  if (state === 'disconnected') return NO_OUTAGE;
  const begun = outage.phase === 'away' || state !== 'reconnecting';
  return begun ? outage : { phase: 'away', sinceMs: nowMs, before: strip };
}

/** After publications: a live one after the replayed ones says that all of them have come. */
export function publicationsCame(outage: Outage, strip: Strip): Outage {
  if (outage.phase !== 'catchingUp') return outage;
  const { before, backMs, sinceMs } = outage;
  const replayed = strip.replayed - before.replayed;
  const live = strip.received - before.received - replayed;
  if (live <= 0) return outage;
  return { phase: 'caughtUp', awayMs: backMs - sinceMs, replayed, missing: strip.missing - before.missing, gaps: strip.gaps - before.gaps };
}
