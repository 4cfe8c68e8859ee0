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
  if (!connected) return 'offline';
  return (latencyMs ?? EXCELLENT_MS) < EXCELLENT_MS ? 'excellent' : (latencyMs ?? 0) < GOOD_MS ? 'good' : 'poor';
}
