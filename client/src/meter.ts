// Judges a connection by the time that answers take.

import type { ConnectionQuality } from './types.js';

/** Weight of the last heartbeat in the average. */
const WEIGHT = 0.3;
const EXCELLENT_MS = 100;
const GOOD_MS = 300;

export function average(beforeMs: number | null, latencyMs: number): number {
  return beforeMs === null ? latencyMs : beforeMs + WEIGHT * (latencyMs - beforeMs);
}

/** Before the first answer the connection is taken for good. */
export function quality(connected: boolean, latencyMs: number | null): ConnectionQuality {
  const ms = latencyMs ?? EXCELLENT_MS;
  if (!connected) return 'offline';
  return ms < EXCELLENT_MS ? 'excellent' : ms < GOOD_MS ? 'good' : 'poor';
}
