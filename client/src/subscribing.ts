// The client's `subscribe`: keeps the uses of rooms, and has the server's side follow.

import type { Connection } from './connection.js';
import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { safely } from './listeners.js';
import type { Listeners } from './listeners.js';
import { eventTest } from './pattern.js';
import type { SubscribedData } from './protocol.js';
import type { Room, Rooms, RoomsCommand } from './rooms.js';
import type { Gap, Handler, Position, SubscribeOptions, Subscription, SubscriptionStatus } from './types.js';

/** The server may be busy with a long replay before it answers. */
const ANSWER_MS = 60_000;

/** One call of `subscribe`. */
export interface Use {
  takes: (event: string) => boolean;
  handler: Handler;
  options: SubscribeOptions;
  /** It is over, and how. */
  over: SubscriptionStatus | undefined;
  active(): void;
  failed(fault: RoomcastError): void;
}

interface Parts {
  env: Environment;
  rooms: Rooms<Use>;
  listeners: Listeners;
  connection(): Connection;
  /** Has `flush` called soon. */
  changed(): void;
  moved(position: Position | null): void;
}

export interface Subscribing {
  subscribe(written: string, handler: Handler, options: SubscribeOptions): Subscription;
  /** Sends what is due; only while a session stands. */
  flush(): void;
  confirm(confirmed: readonly Room<Use>[], spelled: readonly string[]): void;
  end(rooms: readonly Room<Use>[], over: SubscriptionStatus, fault: RoomcastError): void;
  gap(gap: Gap): void;
}

export function createSubscribing({ env, rooms, listeners, connection, changed, moved }: Parts): Subscribing {
  function subscribe(written: string, handler: Handler, options: SubscribeOptions): Subscription {
    let active!: () => void;
    let failed!: (fault: RoomcastError) => void;
    const ready = new Promise<void>((resolve, reject) => {
      active = resolve;
      failed = reject;
    });
    // Whoever does not wait for it is told by onError.
    ready.catch(() => {});
    const use: Use = { takes: eventTest(options.event ?? '*'), handler, options, over: undefined, active, failed };
    const room = rooms.add(written, use, options.since);
    if (room.live) active();
    changed();
    return {
      get room() {
        return room.pattern;
      },
      get status() {
        return use.over ?? (room.live ? 'active' : 'pending');
      },
      ready,
      unsubscribe() {
        if (use.over) return;
        use.over = 'ended';
        room.uses.delete(use);
        failed(new RoomcastError('SUBSCRIPTION_FAILED', `${room.pattern}: unsubscribed before the server had answered`));
        changed();
      },
    };
  }

  function confirm(confirmed: readonly Room<Use>[], spelled: readonly string[]) {
    rooms.confirm(confirmed, spelled);
    for (const room of confirmed) for (const use of room.uses) use.active();
  }

  function end(ended: readonly Room<Use>[], over: SubscriptionStatus, fault: RoomcastError) {
    for (const { uses } of ended) {
      for (const use of [...uses]) {
        use.over = over;
        use.failed(fault);
        const { onError } = use.options;
        if (onError) safely(env, () => onError(fault));
        else listeners.emit('error', fault);
      }
      uses.clear();
    }
  }

  function send(command: RoomsCommand<Use>) {
    connection().call(command.event, command.data, ANSWER_MS, (fault, data) => {
      if (fault?.code === 'DISCONNECTED') return;
      // Nothing is known of what the server has: a new connection begins from what is.
      if (fault?.code === 'TIMEOUT') return connection().cut(fault);
      if (command.event === 'unsubscribe') released(command, fault);
      else if (fault) refused(command, fault);
      else {
        const { rooms: spelled, position } = data as SubscribedData;
        moved(position);
        confirm(command.rooms, spelled);
      }
      changed();
    });
  }

  function released({ rooms: named }: RoomsCommand<Use>, fault: RoomcastError | null) {
    if (fault && fault.code !== 'ROOM_NOT_FOUND') rooms.refuse(named, fault, env.now(), env.random());
    else rooms.released(named);
  }

  function refused({ rooms: named }: RoomsCommand<Use>, fault: RoomcastError) {
    const given = rooms.refuse(named, fault, env.now(), env.random());
    end(given, 'failed', fault);
    // One that is asked for again stays pending, and somebody may want to know why.
    if (!given.length && named.length === 1) listeners.emit('error', fault);
  }

  return {
    subscribe,
    confirm,
    end,
    flush() {
      for (const command of rooms.plan(env.now())) send(command);
    },
    gap(gap) {
      for (const room of rooms.active()) {
        for (const { options } of [...room.uses]) if (options.onGap) safely(env, () => options.onGap!(gap));
      }
      listeners.emit('gap', gap);
    },
  };
}
