// Commands under way on one connection, each with its own id: who waits for which answer, and until when.

import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { toFault } from './protocol.js';
import type { ServerMessage } from './protocol.js';

/** Told once: what the server answered, or why there is no answer. */
export type Answered = (fault: RoomcastError | null, data: unknown) => void;

/** More answers than this are not waited for at once. */
const CALLS_MAX = 4_096;

export interface Calls {
  /** Sends a command; `data` is JSON text, or nothing. */
  call(event: string, data: string | undefined, timeoutMs: number, answered: Answered): void;
  /** Takes a message that answers a command, and says whether it did. */
  settle(message: ServerMessage): boolean;
  /** The connection is gone, and nothing is known of what it carried. */
  fail(): void;
}

export function createCalls(after: Environment['after'], send: (text: string) => void): Calls {
  const waiting = new Map<number, Answered>();
  let last = 0;
  const finish = (id: number, fault: RoomcastError | null, data?: unknown) => {
    const answered = waiting.get(id);
    waiting.delete(id);
    answered?.(fault, data);
    return !!answered;
  };
  return {
    call(event, data, timeoutMs, answered) {
      if (waiting.size >= CALLS_MAX) return answered(new RoomcastError('QUEUE_FULL', 'too many commands wait for their answers'), null);
      const id = ++last;
      const cancel = after(timeoutMs, () => finish(id, new RoomcastError('TIMEOUT', `no answer to ${event} within ${timeoutMs} ms`)));
      waiting.set(id, (fault, answer) => {
        cancel();
        answered(fault, answer);
      });
      send(`{"event":"${event}","id":${id}${data ? `,"data":${data}` : ''}}`);
    },
    settle({ event, id, data }) {
      if (typeof id !== 'number') return false;
      return event === 'error' ? finish(id, toFault(data)) : finish(id, null, data);
    },
    fail() {
      const fault = new RoomcastError('DISCONNECTED', 'the connection ended before the answer');
      for (const id of [...waiting.keys()]) finish(id, fault);
    },
  };
}
