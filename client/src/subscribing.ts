// The client's `subscribe`: keeps the uses of rooms, and has the server's side follow.

import type { Connection } from './connection.js';
import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { safely } from './listeners.js';
import { eventTest } from './pattern.js';
import type { SubscribedData } from './protocol.generated.js';
import type { Room, Rooms, RoomsCommand } from './rooms.js';
import type { Handler, Position, SubscribeOptions, Subscription, SubscriptionStatus } from './types.js';

/** The server may be busy with a long replay before it answers. */
const ANSWER_MS = 60_000;

/** One call of `subscribe`. */
export interface Use {
  takes: (event: string) => boolean;
  handler: Handler;
  options: SubscribeOptions;
  /** It is over, and how. */
  over?: SubscriptionStatus;
  done(): void;
  failed(fault: RoomcastError): void;
}

export interface Subscribing {
  subscribe(written: string, handler: Handler, options?: SubscribeOptions): Subscription;
  /** Sends what is due; only while a session stands. */
  flush(): void;
  confirm(named: readonly Room<Use>[], past: boolean): void;
  /** These are over; `silent` where the application itself wanted it. */
  end(named: readonly Room<Use>[], over: SubscriptionStatus, fault: RoomcastError, silent?: boolean): void;
}

export function createSubscribing(
  env: Environment,
  rooms: Rooms<Use>,
  connection: Connection,
  report: (fault: RoomcastError) => void,
  /** Has `flush` called soon. */
  changed: () => void,
  arrived: (position: Position | null) => void,
): Subscribing {
  function subscribe(written: string, handler: Handler, options: SubscribeOptions = {}): Subscription {
    const use = { takes: eventTest(options.event ?? '*'), handler, options } as Use;
    const ready = new Promise<void>((done, failed) => Object.assign(use, { done, failed }));
    // Whoever does not wait for it is told by onError.
    ready.catch(() => {});
    const room = rooms.add(written, use, options.since, options.filter);
    if (room.live) use.done();
    changed();
    return {
      room: room.pattern,
      get status() {
        return use.over ?? (room.live ? 'active' : 'pending');
      },
      ready,
      unsubscribe() {
        if (!room.uses.delete(use)) return;
        use.over = 'ended';
        use.failed(new RoomcastError('SUBSCRIPTION_FAILED', `${room.pattern}: unsubscribed`));
        changed();
      },
    };
  }

  function confirm(named: readonly Room<Use>[], past: boolean) {
    rooms.confirm(named, past);
    for (const { uses } of named) for (const use of uses) use.done();
  }

  function end(named: readonly Room<Use>[], over: SubscriptionStatus, fault: RoomcastError, silent = false) {
    rooms.forget(named);
    for (const { uses } of named) {
      const ended = [...uses];
      uses.clear();
      for (const use of ended) {
        use.over = over;
        use.failed(fault);
        if (!silent) safely(env, () => (use.options.onError ?? report)(fault));
      }
    }
  }

  function send({ event, since, named }: RoomsCommand<Use>) {
    const answered = (fault: RoomcastError | undefined, answer: unknown) => {
      if (fault?.code === 'DISCONNECTED') return;
      // Nothing is known of what the server has: a new connection begins from what is.
      if (fault?.code === 'TIMEOUT') return connection.cut(fault);
      if (event === 'unsubscribe' && (!fault || fault.code === 'ROOM_NOT_FOUND')) rooms.release(named);
      else if (fault) refused(named, fault);
      else {
        if (!since) arrived((answer as SubscribedData).position);
        confirm(named, !!since);
      }
      changed();
    };
    connection.call(event, JSON.stringify({ rooms: named.map((room) => room.asked), since }), answered, ANSWER_MS);
  }

  function refused(named: readonly Room<Use>[], fault: RoomcastError) {
    const given = rooms.refuse(named, fault, env.now(), env.random());
    end(given, 'failed', fault);
    // One that is asked for again stays pending, and somebody may want to know why.
    if (!given.length && named.length < 2) report(fault);
  }

  return {
    subscribe,
    confirm,
    end,
    flush: () => rooms.plan(env.now()).forEach(send),
  };
}
