// Calls the application's handlers: one that throws disturbs neither the others nor the client.

import type { Environment } from './environment.js';
import type { ClientEvents, Unsubscribe } from './types.js';

export interface Listeners {
  on<K extends keyof ClientEvents>(name: K, listener: ClientEvents[K]): Unsubscribe;
  emit<K extends keyof ClientEvents>(name: K, ...args: Parameters<ClientEvents[K]>): void;
}

/** Calls a handler of the application. */
export function safely(env: Environment, task: () => unknown): void {
  try {
    task();
  } catch (error) {
    env.report(error);
  }
}

/** A set that gives its members out by copy, and a way out with each way in. */
export function enter<T>(set: Set<T>, member: T): Unsubscribe {
  set.add(member);
  return () => void set.delete(member);
}

export function createListeners(env: Environment): Listeners {
  const sets = new Map<string, Set<(...args: unknown[]) => void>>();
  const queue: (() => unknown)[] = [];
  let emitting = false;

  const setOf = (name: string) => {
    if (!sets.has(name)) sets.set(name, new Set());
    return sets.get(name)!;
  };

  /** What a listener brings about is told after what it was told of, to everybody in the same order. */
  function drain() {
    if (emitting) return;
    emitting = true;
    for (let task = queue.shift(); task; task = queue.shift()) safely(env, task);
    emitting = false;
  }

  return {
    // Each registration is its own, even of the same function.
    on: (name, listener) => enter(setOf(name), (...args) => (listener as (...args: unknown[]) => void)(...args)),
    emit(name, ...args) {
      const set = setOf(name);
      for (const listener of set) queue.push(() => set.has(listener) && listener(...args));
      drain();
    },
  };
}
