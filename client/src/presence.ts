// Who is in a room. Handles say what they want of it; one attendance per client and room tells the server, now and after each
// reconnect. The wire stands in docs/presence-and-sync.md.

import { environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { enter, safely } from './listeners.js';
import { canonical } from './pattern.js';
import { Attendance, type Self, type Use } from './presence/attendance.js';
import type { Client, Member, Presence, PresenceOptions } from './types.js';

const stateBytesMax = 1_024;

const attendances = new WeakMap<Client, Map<string, Attendance>>();

function attendanceIn(client: Client, room: string): Attendance {
  const ofClient = attendances.get(client) ?? new Map<string, Attendance>();
  attendances.set(client, ofClient);
  const attendance = ofClient.get(room) ?? new Attendance(client, room, () => ofClient.delete(room));
  ofClient.set(room, attendance);
  return attendance;
}

function selfOf(before: Self | null, next: { status?: Self['status']; state?: unknown }): Self {
  const state = 'state' in next ? next.state : before?.state;
  const bytes = new TextEncoder().encode(JSON.stringify(state) ?? '').length;
  if (bytes > stateBytesMax) {
    throw new RoomcastError('INVALID_MESSAGE', `a presence state of ${bytes} bytes as JSON: at most ${stateBytesMax} are allowed`);
  }
  return { status: next.status ?? before?.status ?? 'online', state: state ?? null };
}

/**
 * Watches who is in a room, and enters it too where `options.enter` is given. Lasts over reconnects: the room is watched and
 * entered again. Uses of the same room share one watch on the server; where several enter it, the one that spoke last counts.
 *
 * On a server without presence `fault` says `UNSUPPORTED`. Call `leave` when done.
 *
 * @throws a fault `INVALID_MESSAGE` when `options.enter.state` has more than 1,024 bytes as JSON
 */
export function presence<S = unknown>(client: Client, room: string, options: PresenceOptions<S> = {}): Presence<S> {
  const listeners = new Set<() => void>();
  const use: Use = {
    self: options.enter ? selfOf(null, options.enter) : null,
    changed: () => listeners.forEach((listener) => safely(environment, listener)),
  };
  const attendance = attendanceIn(client, canonical(room));
  attendance.add(use);
  let left = false;
  return {
    room,
    get members() {
      // What members tell of themselves is as unchecked as every payload; the type is the caller's word.
      return attendance.members as readonly Member<S>[];
    },
    get synced() {
      return attendance.synced;
    },
    get fault() {
      return attendance.fault;
    },
    async update(self) {
      if (left) throw new RoomcastError('DISCONNECTED', `the presence in ${room} was left: make another one`);
      use.self = selfOf(use.self, self);
      attendance.add(use);
      await attendance.told();
    },
    onChange: (listener) => enter(listeners, () => listener()),
    leave() {
      left = true;
      listeners.clear();
      attendance.remove(use);
    },
  };
}
