// What the client needs of the world around it: clocks, chance, timers, and signs of sleep and of lost networks. Tests hand in their own.

export type Sign = 'online' | 'offline' | 'wake' | 'leave';

export interface Environment {
  /** Milliseconds of a clock that never steps back. */
  now(): number;
  /** Unix milliseconds. */
  wallClock(): number;
  /** From 0 to 1. */
  random(): number;
  /** Runs the task later; the answer calls it off. */
  after(delayMs: number, task: () => void): () => void;
  /** Tells signs until called off: `wake` when the page is seen again, `leave` when it may be about to end. */
  watch(tell: (sign: Sign) => void): () => void;
  /** A handler of the application threw. */
  report(error: unknown): void;
}

/** Longer delays would be taken for none at all. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** Browsers, workers and Node, as far as each of them goes. */
export const environment: Environment = {
  now: () => performance.now(),
  wallClock: () => Date.now(),
  random: Math.random,
  after(delayMs, task) {
    const timer = setTimeout(task, Math.min(delayMs, TIMER_MAX_MS));
    return () => clearTimeout(timer);
  },
  watch(tell) {
    const ending = new AbortController();
    const hear = ({ type }: Event) => {
      if (type === 'online' || type === 'offline') tell(type);
      else tell(type === 'pagehide' || document.hidden ? 'leave' : 'wake');
    };
    // What a document tells of itself comes up to its window. Workers know of networks alone, and Node of nothing.
    for (const type of ['online', 'offline', 'pageshow', 'pagehide', 'visibilitychange']) {
      globalThis.addEventListener?.(type, hear, { signal: ending.signal });
    }
    return () => ending.abort();
  },
  report: (error) => (globalThis.reportError ?? console.error)(error),
};
