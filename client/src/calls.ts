// Commands under way on one connection, each with its own id: who waits for which answer, and until when.

import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { toFault } from './protocol.js';
import type { Message } from './protocol.js';

/** Told once: what the server answered, or why there is no answer. */
export type Answered = (fault: RoomcastError | undefined, data: unknown) => void;

/** More answers than this are not waited for at once. */
const CALLS_MAX = 4_096;

export interface Calls {
  /** Sends a command; `data` is JSON text, or nothing. */
  call(event: string, data: string | undefined, answered: Answered, timeoutMs?: number): void;
  /** Takes a message that answers a command, and says whether it did. */
  settle(message: Message): boolean;
  /** The connection is gone, and nothing is known of what it carried. */
  fail(): void;
}

export function createCalls(after: Environment['after'], send: (text: string) => void, usualMs = 10_000): Calls {
  const waiting = new Map<unknown, Answered>();
  let last = 0;

  function finish(id: unknown, fault?: RoomcastError, data?: unknown) {
    const answered = waiting.get(id);
    waiting.delete(id);
    answered?.(fault, data);
    return !!answered;
  }

  return {
    call(event, data, answered, timeoutMs = usualMs) {
      if (waiting.size >= CALLS_MAX) return answered(new RoomcastError('QUEUE_FULL', 'too many commands under way'), data);
      const id = ++last;
      const cancel = after(timeoutMs, () => finish(id, new RoomcastError('TIMEOUT', `${event}: no answer within ${timeoutMs} ms`)));
      waiting.set(id, (fault, answer) => {
        cancel();
        answered(fault, answer);
      });
      send(`{"event":"${event}","id":${id}${data ? `,"data":${data}` : ''}}`);
    },
    settle: ({ event, id, data }) => finish(id, event === 'error' ? toFault(data) : undefined, data),
    fail() {
      for (const id of [...waiting.keys()]) finish(id, new RoomcastError('DISCONNECTED', 'the connection ended before the answer'));
    },
  };
}
