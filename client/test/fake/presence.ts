// Presence as docs/presence-and-sync.md has the server do it.

import { canonical } from '../../src/pattern.js';
import type { WireMember } from '../../src/presence/roster.js';
import type { FakeServer } from './server.js';
import { Refusal } from './session.js';
import type { FakeSession } from './session.js';

type Self = Pick<WireMember, 'status' | 'state'>;

interface PresenceRoom {
  version: number;
  /** The session that spoke last stands last. */
  entered: Map<FakeSession, Self>;
  watching: Set<FakeSession>;
}

export class FakePresence {
  private readonly rooms = new Map<string, PresenceRoom>();

  constructor(server: FakeServer) {
    server.features = [...server.features, 'presence'];
    const on = (name: string, reply: string, run: (room: PresenceRoom, session: FakeSession, data: Record<string, unknown>) => object | void) =>
      server.commands.set(`presence:${name}`, (data, session) => {
        const room = canonical(String(data.room));
        if (room.includes('*')) throw new Refusal('INVALID_ROOM', 'a pattern');
        return { event: `presence:${reply}`, data: { room, ...run(this.room(room), session, data) } };
      });
    on('enter', 'entered', (room, session, data) => this.tell(room, session, data));
    on('update', 'updated', (room, session, data) => {
      if (!room.entered.has(session)) throw new Refusal('ROOM_NOT_FOUND', 'not entered');
      this.tell(room, session, data);
    });
    on('leave', 'left', (room, session) => this.leave(room, session));
    on('watch', 'snapshot', (room, session) => {
      room.watching.add(session);
      return { version: room.version, members: this.members(room) };
    });
    on('unwatch', 'unwatched', (room, session) => void room.watching.delete(session));
  }

  /** A member that no client of the test is. */
  join(name: string, member: WireMember): void {
    this.diff(this.room(name), { joined: [member] });
  }

  /** A diff that nobody is sent. */
  loseDiff(name: string): void {
    this.room(name).version++;
  }

  /** Takes out the sessions that have ended. */
  sweep(): void {
    for (const room of this.rooms.values()) {
      for (const session of [...room.entered.keys()]) if (session.over) this.leave(room, session);
    }
  }

  room(name: string): PresenceRoom {
    const room = this.rooms.get(name) ?? { version: 0, entered: new Map(), watching: new Set() };
    this.rooms.set(name, room);
    return room;
  }

  private tell(room: PresenceRoom, session: FakeSession, data: Record<string, unknown>): void {
    const before = room.entered.get(session);
    const { status = before?.status ?? 'online', state = before?.state ?? null } = data as Partial<Self>;
    const joined = ![...room.entered.keys()].some((other) => userOf(other) === userOf(session));
    room.entered.delete(session);
    room.entered.set(session, { status, state });
    const member = { user_id: userOf(session), status, state };
    this.diff(room, joined ? { joined: [member] } : { updated: [member] });
  }

  private leave(room: PresenceRoom, session: FakeSession): void {
    if (!room.entered.delete(session)) return;
    const user = userOf(session);
    const rest = this.members(room).find((member) => member.user_id === user);
    this.diff(room, rest ? { updated: [rest] } : { left: [user] });
  }

  private members(room: PresenceRoom): WireMember[] {
    const byUser = new Map<string, WireMember>();
    for (const [session, self] of room.entered) byUser.set(userOf(session), { user_id: userOf(session), ...self });
    return [...byUser.values()];
  }

  private diff(room: PresenceRoom, change: object): void {
    const [name] = [...this.rooms].find(([, known]) => known === room)!;
    const data = { room: name, version: ++room.version, joined: [], updated: [], left: [], ...change };
    for (const session of room.watching) session.send('presence:diff', data);
  }
}

function userOf(session: FakeSession): string {
  return session.claims!.sub;
}
