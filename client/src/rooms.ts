// What the client is subscribed to: uses of the same room share one subscription on the server. Decides which commands bring the
// server's side in line with what is wanted; pure, subscribing.ts sends them.

import { backoffMs } from './backoff.js';
import { ASKED_TOO_MUCH } from './fault.js';
import type { RoomcastError } from './fault.js';
import type { Ask } from './machine.js';
import { canonical, reaches } from './pattern.js';
import type { NamedRoom } from './protocol.generated.js';
import type { Filter, Position } from './types.js';

/** Rooms that fit into one command. */
const ROOMS_MAX = 256;

/** One subscription on the server. `U` is what the uses of it are. */
export interface Room<U> {
  /** What the server is asked for: the room as it was first written, and its filter. */
  readonly asked: NamedRoom;
  /** In canonical form, as the server spells it. */
  readonly pattern: string;
  readonly filter: Filter | undefined;
  /** Tells it from others: the pattern, and the filter. */
  readonly name: string;
  readonly uses: Set<U>;
  /** To be replayed from, until the server has confirmed. */
  since: Position | undefined;
  /** Counts rooms as they are confirmed first; tells whether one was there when a publication came first. */
  born: number;
  /** It was made to see the past. */
  readonly replays: boolean;
  /** Confirmed on some connection, so that the client's position counts for it too. */
  held?: boolean;
  /** Confirmed on this connection. */
  live?: boolean;
  /** A command about it is under way. */
  busy?: boolean;
  /** Only to be let go; another one has taken its place. */
  replaced?: boolean;
  /** Asked for by itself, because a command that named others too was refused. */
  alone?: boolean;
  refusals: number;
  retryAt: number;
}

export interface RoomsCommand<U> {
  event: 'subscribe' | 'unsubscribe';
  since: Position | undefined;
  named: Room<U>[];
}

export interface Rooms<U> {
  /** How many there have been. */
  born: number;
  add(written: string, use: U, since?: Position, filter?: Filter): Room<U>;
  all(): Room<U>[];
  /** Rooms for `authenticate`, which go on from the client's position; all the others follow by `plan`. */
  resume(position: Position | null, ask: Ask, kept: readonly string[]): Room<U>[];
  /** The server confirmed these; with `past` it replays something for them first. */
  confirm(named: readonly Room<U>[], past: boolean): void;
  /**
   * Something came that has this position; answers whether the client has got that far. What is replayed for a room's own position says
   * nothing of the others, which are further: it is that room's progress alone, until something new comes.
   */
  arrived(position: Position, past: boolean): boolean;
  /** The server refused these; answers with those that are given up. */
  refuse(named: readonly Room<U>[], fault: RoomcastError, now: number, chance: number): readonly Room<U>[];
  /** The server has let these go. */
  release(named: readonly Room<U>[]): void;
  forget(gone: readonly Room<U>[]): void;
  /** The connection is gone. */
  lost(): void;
  /** Rooms without a use are forgotten, but for those that the server still has. */
  tidy(): void;
  plan(now: number): RoomsCommand<U>[];
  /** When `plan` has something to do again. */
  dueAt(): number;
  /** Those that the server has. */
  active(): Room<U>[];
  /** Whom a publication is for; one from the past only for those that it is replayed for. */
  reached(room: string, cascade: boolean, past: boolean): Room<U>[];
}

export function createRooms<U>(): Rooms<U> {
  const rooms = new Set<Room<U>>();
  const all = () => [...rooms];
  /** Those that replays are for. */
  let replaying: readonly Room<U>[] = [];
  /** What the server has differs from what is wanted. */
  const due = (now: number) => all().filter((room) => !room.busy && !room.live === !!room.uses.size && room.retryAt <= now && (room.live || !isHeldUp(room)));
  const isHeldUp = (room: Room<U>) => all().some((other) => other.name === room.name && other !== room);

  function mark(named: readonly Room<U>[], state: Partial<Room<U>>) {
    for (const room of named) Object.assign(room, state);
  }

  function forget(gone: readonly Room<U>[]) {
    for (const room of gone) rooms.delete(room);
  }

  const self: Rooms<U> = {
    born: 0,
    all,
    forget,
    add(written, use, since, filter) {
      const pattern = canonical(written);
      const name = pattern + (filter ? ' ' + filter.text : '');
      let room = all().find((other) => other.name === name && !other.replaced);
      if (!room || (!room.uses.size && (since || (room.live && room.busy)))) {
        // It begins once the server has let the one before go.
        if (room) room.replaced = true;
        const asked = filter ? { room: written, filter: filter.text } : written;
        room = { asked, pattern, filter, name, uses: new Set(), since, born: 0, replays: !!since, refusals: 0, retryAt: 0 };
        rooms.add(room);
      }
      room.uses.add(use);
      return room;
    },
    resume(position, ask, kept) {
      if (!position) return [];
      const held = all().filter((room) => room.held || (!room.since && kept.includes(room.name)));
      const resumed = held.slice(0, ask === 'rooms' ? ROOMS_MAX : 0);
      mark(resumed, { busy: true });
      mark(held.slice(resumed.length), { since: position, held: false });
      // A position that the server does not take is of no use to any of them.
      if (ask === 'nothing') mark(all().filter((room) => room.since === position), { since: undefined });
      return resumed;
    },
    confirm(named, past) {
      for (const room of named) {
        room.held = !room.since;
        room.born ||= ++self.born;
      }
      mark(named, { live: true, busy: false, alone: false, refusals: 0 });
      // The answer comes after whatever was replayed before.
      if (past) replaying = named;
    },
    arrived(position, past) {
      if (!past) {
        // All that was replayed has come, so every room is where the client is.
        mark(self.active(), { held: true, since: undefined });
        replaying = [];
      }
      const own = replaying.filter((room) => room.since);
      mark(own, { since: position });
      return !own.length;
    },
    active: () => all().filter((room) => room.live),
    refuse(named, fault, now, chance) {
      mark(named, { busy: false });
      const tooMuch = ASKED_TOO_MUCH.test(fault.code);
      if (named.length > 1 && tooMuch) mark(named, { alone: true });
      else if (tooMuch && fault.code !== 'ROOM_FULL') {
        forget(named);
        return named;
      } else {
        // Not at once even the first time: the server has just said no.
        for (const room of named) room.retryAt = now + backoffMs(++room.refusals + 1, {}, fault.retryAfterMs, chance);
      }
      return [];
    },
    release: (named) => mark(named, { live: false, held: false, busy: false }),
    lost() {
      replaying = [];
      mark(all(), { live: false, busy: false, alone: false, retryAt: 0 });
      self.tidy();
    },
    tidy: () => forget(all().filter((room) => !room.uses.size && !room.busy && !room.live)),
    plan(now) {
      const made: RoomsCommand<U>[] = [];
      for (let rest = due(now), first; (first = rest[0]); ) {
        const { live, alone, since } = first;
        // One command for all that may stand in the same one.
        const named = rest.filter((room) => room === first || (!alone && !room.alone && !room.live === !live && room.since === since)).slice(0, ROOMS_MAX);
        mark(named, { busy: true });
        made.push({ event: live ? 'unsubscribe' : 'subscribe', since, named });
        rest = rest.filter((room) => !room.busy);
      }
      return made;
    },
    dueAt: () => Math.min(...due(Infinity).map((room) => room.retryAt)),
    reached: (name, cascade, past) => (past && replaying.length ? replaying : self.active()).filter((room) => reaches(room.pattern, name, cascade)),
  };
  return self;
}
