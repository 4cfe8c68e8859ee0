// Waiting for conditions.

import { setTimeout as pause } from 'node:timers/promises';
import { PATIENCE_MS } from './places.mjs';

const LOOK_EVERY_MS = 25;

/** Looks until `holds` says so; fails with what it saw last. */
export async function until(what, look, holds = Boolean, patienceMs = PATIENCE_MS) {
  const end = performance.now() + patienceMs;
  for (;;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (performance.now() > end) throw new Error(`${what}: not within ${patienceMs} ms; last seen: ${JSON.stringify(seen)}`);
    await pause(LOOK_EVERY_MS);
  }
}
