// Counts what went through the connection, and judges it by the time that answers take.

import type { ConnectionQuality, Statistics } from './types.js';

/** Weight of the last heartbeat in the average. */
const WEIGHT = 0.3;
const EXCELLENT_MS = 100;
const GOOD_MS = 300;

export interface Meter {
  readonly counts: Statistics;
  latencyMs: number | null;
  latencyAverageMs: number | null;
  pong(latencyMs: number): void;
  /** The connection ended, and a new one says nothing of the old one's latency. */
  lost(): void;
}

export function createMeter(): Meter {
  const counts: Statistics = {
    connects: 0,
    reconnects: 0,
    received: 0,
    receivedBytes: 0,
    replayed: 0,
    duplicates: 0,
    gaps: 0,
    sent: 0,
    sentBytes: 0,
    published: 0,
    queued: 0,
    connectedMs: null,
  };
  return {
    counts,
    latencyMs: null,
    latencyAverageMs: null,
    pong(latencyMs) {
      this.latencyMs = latencyMs;
      this.latencyAverageMs = this.latencyAverageMs === null ? latencyMs : this.latencyAverageMs + WEIGHT * (latencyMs - this.latencyAverageMs);
    },
    lost() {
      this.latencyMs = this.latencyAverageMs = null;
    },
  };
}

/** Before the first answer the connection is taken for good. */
export function quality(connected: boolean, latencyAverageMs: number | null): ConnectionQuality {
  if (!connected) return 'offline';
  if (latencyAverageMs === null) return 'good';
  if (latencyAverageMs < EXCELLENT_MS) return 'excellent';
  return latencyAverageMs < GOOD_MS ? 'good' : 'poor';
}
