// Calls the application's handlers: one that throws disturbs neither the others nor the client.

import type { Environment } from './environment.js';
import type { ClientEvents, Unsubscribe } from './types.js';

type Listener = (...args: never[]) => void;

export interface Listeners {
  on(name: string, listener: Listener): Unsubscribe;
  /** Pushes have names of the server's choice, with `push:` before them. */
  emit<K extends keyof ClientEvents>(name: K | `push:${string}`, ...args: Parameters<K extends keyof ClientEvents ? ClientEvents[K] : never>): void;
}

/** Calls a handler of the application. */
export function safely(env: Environment, task: () => unknown): void {
  try {
    task();
  } catch (error) {
    env.report(error);
  }
}

/** Adds to a set, and gives the way out. */
export function enter<T>(set: Set<T>, member: T): Unsubscribe {
  set.add(member);
  return () => void set.delete(member);
}

export function createListeners(env: Environment): Listeners {
  // Wrapped, because each registration is its own, even of the same function.
  const entries = new Set<{ name: string; listener: Listener }>();
  const queue: (() => unknown)[] = [];
  let emitting = false;

  return {
    on: (name, listener) => enter(entries, { name, listener }),
    emit(name, ...args) {
      for (const entry of entries) {
        if (entry.name === name) queue.push(() => entries.has(entry) && (entry.listener as (...args: unknown[]) => void)(...args));
      }
      // What a listener brings about is told after what it was told of, to everybody in the same order.
      if (emitting) return;
      emitting = true;
      for (let task; (task = queue.shift()); ) safely(env, task);
      emitting = false;
    },
  };
}
