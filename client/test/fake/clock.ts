// Time that passes only when a test says so.

import { setImmediate } from 'node:timers';

interface Task {
  at: number;
  order: number;
  run: () => void;
}

export class Clock {
  /** Milliseconds of the clock that never steps back. */
  now = 0;
  /** Unix milliseconds when `now` was 0. */
  epoch = 1_763_715_600_000;
  private tasks: Task[] = [];
  private order = 0;

  get wall(): number {
    return this.epoch + this.now;
  }

  after(delayMs: number, run: () => void): () => void {
    const task = { at: this.now + Math.max(0, delayMs), order: this.order++, run };
    this.tasks.push(task);
    return () => {
      this.tasks = this.tasks.filter((other) => other !== task);
    };
  }

  /** Lets time pass; everything that is due runs in its order, and promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms;
    await settled();
    for (let task = this.take(end); task; task = this.take(end)) {
      this.now = Math.max(this.now, task.at);
      task.run();
      await settled();
    }
    this.now = end;
  }

  /** Lets time pass until the condition holds; fails a test that waits for what never comes. */
  async until(condition: () => boolean, withinMs = 600_000): Promise<void> {
    const end = this.now + withinMs;
    await settled();
    while (!condition()) {
      const task = this.take(end);
      if (!task) throw new Error(`waited in vain for ${condition}`);
      this.now = Math.max(this.now, task.at);
      task.run();
      await settled();
    }
  }

  /** The computer sleeps: time passes and nothing runs; the clock of the program may stand still meanwhile. */
  sleep(ms: number, { standsStill = false } = {}): void {
    if (standsStill) this.epoch += ms;
    else this.now += ms;
  }

  get pending(): number {
    return this.tasks.length;
  }

  private take(end: number): Task | undefined {
    const due = this.tasks.filter((task) => task.at <= end);
    const next = due.sort((a, b) => a.at - b.at || a.order - b.order)[0];
    if (next) this.tasks = this.tasks.filter((other) => other !== next);
    return next;
  }
}

/** Promises that can settle by themselves have done so. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Chance that is the same in every run (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
