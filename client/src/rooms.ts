// What the client is subscribed to: uses of the same room share one subscription on the server. Decides which commands bring the
// server's side in line with what is wanted; pure, client.ts sends them.

import { backoffMs } from './backoff.js';
import type { RoomcastError } from './fault.js';
import { canonical, reaches } from './pattern.js';
import type { Position } from './types.js';

/** Rooms that fit into one command. */
const ROOMS_MAX = 256;
const RETRY = { baseMs: 1_000, capMs: 30_000 };
/** What asking again does not mend. Unknown codes are like failures of the server. */
const FINAL = /^(UNAUTHORIZED|AUTH_FAILED|INVALID_\w+|SUBSCRIPTION_FAILED|ROOM_NOT_FOUND)$/;

/** One subscription on the server. `U` is what the uses of it are. */
export interface Room<U> {
  /** As it was first written, which is what the server is asked for. */
  readonly written: string;
  /** As the server spells it. */
  pattern: string;
  readonly uses: Set<U>;
  /** To be replayed from, until the server has confirmed. */
  since: Position | undefined;
  /** Counts rooms as they come; tells whether a use was there when a publication came first. */
  readonly born: number;
  /** It was made to see the past. */
  readonly replays: boolean;
  /** Confirmed on some connection, so that the client's position counts for it too. */
  held: boolean;
  /** Confirmed on this connection. */
  live: boolean;
  /** A command about it is under way. */
  busy: boolean;
  /** Asked for by itself, because a command that named others too was refused. */
  alone: boolean;
  refusals: number;
  retryAt: number;
}

export interface RoomsCommand<U> {
  event: 'subscribe' | 'unsubscribe';
  data: { rooms: string[]; since?: Position | undefined };
  rooms: Room<U>[];
}

export interface Rooms<U> {
  readonly born: number;
  add(written: string, use: U, since?: Position): Room<U>;
  /** Rooms for `authenticate`, which continue from the client's position. Others follow by `plan`. */
  resume(position: Position | null, all: boolean, kept: readonly string[]): Room<U>[];
  /** The server confirmed these, as it spells them. */
  confirm(rooms: readonly Room<U>[], spelled: readonly string[]): void;
  /** Refused: answers with those that are given up. */
  refuse(rooms: readonly Room<U>[], fault: RoomcastError, now: number, chance: number): Room<U>[];
  released(rooms: readonly Room<U>[]): void;
  /** The server ended these by itself. */
  end(spelled: readonly string[]): Room<U>[];
  /** The connection is gone. */
  lost(): void;
  plan(now: number): RoomsCommand<U>[];
  /** When `plan` has something to do again. */
  dueAt(): number;
  active(): Room<U>[];
  reached(room: string, cascade: boolean): Room<U>[];
  held(): string[];
  clear(): Room<U>[];
}

export function createRooms<U>(): Rooms<U> {
  const rooms = new Map<string, Room<U>>();
  let born = 0;

  const all = () => [...rooms.values()];
  const idle = (room: Room<U>) => !room.busy && room.uses.size > 0 && !room.live;

  function forget(gone: readonly Room<U>[]) {
    for (const room of gone) for (const [key, kept] of rooms) if (kept === room) rooms.delete(key);
  }

  function command(event: 'subscribe' | 'unsubscribe', named: Room<U>[]): RoomsCommand<U> {
    for (const room of named) room.busy = true;
    const written = named.map((room) => (event === 'subscribe' ? room.written : room.pattern));
    return { event, data: { rooms: written, since: named[0]!.since }, rooms: named };
  }

  /** One command for all that may stand in the same one. */
  function commands(event: 'subscribe' | 'unsubscribe', named: Room<U>[]): RoomsCommand<U>[] {
    const groups = new Map<unknown, Room<U>[]>();
    for (const room of named) {
      const key = room.alone ? room : room.since;
      groups.set(key, [...(groups.get(key) ?? []), room]);
    }
    const made: RoomsCommand<U>[] = [];
    for (const group of groups.values()) while (group.length) made.push(command(event, group.splice(0, ROOMS_MAX)));
    return made;
  }

  return {
    get born() {
      return born;
    },
    add(written, use, since) {
      const pattern = canonical(written);
      let room = rooms.get(pattern);
      if (!room) {
        const state = { held: false, live: false, busy: false, alone: false, refusals: 0, retryAt: 0 };
        room = { written, pattern, uses: new Set(), since, born: ++born, replays: since !== undefined, ...state };
        rooms.set(pattern, room);
      }
      room.uses.add(use);
      return room;
    },
    resume(position, together, kept) {
      if (position === null) return [];
      for (const room of all()) room.held ||= room.since === undefined && kept.includes(room.pattern);
      const held = all().filter((room) => room.held);
      const resumed = together ? held.slice(0, ROOMS_MAX) : [];
      for (const room of held.slice(resumed.length)) {
        room.since = position;
        room.held = false;
      }
      for (const room of resumed) room.busy = true;
      return resumed;
    },
    confirm(confirmed, spelled) {
      confirmed.forEach((room, index) => {
        if (spelled.length === confirmed.length) room.pattern = spelled[index]!;
        room.live = room.held = true;
        room.busy = room.alone = false;
        room.since = undefined;
        room.refusals = 0;
      });
    },
    refuse(refused, fault, now, chance) {
      for (const room of refused) room.busy = false;
      const final = FINAL.test(fault.code);
      if (refused.length > 1 && (final || fault.code === 'ROOM_FULL')) {
        for (const room of refused) room.alone = true;
        return [];
      }
      if (final) {
        forget(refused);
        return [...refused];
      }
      for (const room of refused) {
        // Not at once even the first time: the server has just said no.
        room.retryAt = now + backoffMs(++room.refusals + 1, RETRY, fault.retryAfterMs ?? 0, chance);
      }
      return [];
    },
    released(named) {
      for (const room of named) room.busy = room.live = room.held = false;
    },
    end(spelled) {
      const ended = all().filter((room) => spelled.includes(room.pattern));
      forget(ended);
      return ended;
    },
    lost() {
      for (const room of all()) {
        room.busy = room.live = room.alone = false;
        room.retryAt = 0;
      }
      forget(all().filter((room) => room.uses.size === 0));
    },
    plan(now) {
      forget(all().filter((room) => room.uses.size === 0 && !room.live && !room.busy));
      const unused = all().filter((room) => room.live && !room.busy && room.uses.size === 0);
      const wanted = all().filter((room) => idle(room) && room.retryAt <= now);
      return [...commands('unsubscribe', unused), ...commands('subscribe', wanted)];
    },
    dueAt: () => Math.min(...all().filter(idle).map((room) => room.retryAt)),
    active: () => all().filter((room) => room.live),
    reached: (room, cascade) => all().filter((entry) => entry.live && reaches(entry.pattern, room, cascade)),
    held: () => all().filter((room) => room.held).map((room) => room.pattern),
    clear() {
      const gone = all();
      rooms.clear();
      return gone;
    },
  };
}
