// One connection as the fake server sees it: commands in, replies and pushes out, in the real protocol.

import { canonical, reaches } from '../../src/pattern.js';
import type { NamedRoom } from '../../src/protocol.generated.js';
import { where } from '../../src/where.js';
import type { FakeServer } from './server.js';
import { readToken } from './token.js';
import type { Claims } from './token.js';

export interface Peer {
  message(text: string): void;
  close(code: number, reason: string): void;
}

export interface Command {
  event: string;
  id?: string | number;
  data?: Record<string, unknown>;
}

export class Refusal extends Error {
  readonly code: string;
  readonly more: Record<string, unknown>;

  constructor(code: string, message: string, more: Record<string, unknown> = {}) {
    super(message);
    this.code = code;
    this.more = more;
  }
}

type Push = Record<string, unknown> & { event: string; room: string };

export class FakeSession {
  readonly id: string;
  claims: Claims | undefined;
  /** Where in the log each subscription begins. */
  readonly patterns = new Map<string, number>();
  over = false;
  private catchingUp = false;
  private held: (() => void)[] = [];
  private warn = () => {};
  private expire = () => {};

  constructor(
    readonly server: FakeServer,
    readonly peer: Peer,
    number: number,
  ) {
    this.id = `session-${number}`;
  }

  /** A text from the client. */
  receive(text: string): void {
    if (this.over) return;
    const command = JSON.parse(text) as Command;
    this.server.received.push({ session: this.id, at: this.server.clock.now, ...command });
    try {
      const refusal = this.server.refuse?.(command, this);
      if (refusal) throw new Refusal(refusal.code, refusal.message ?? 'told to refuse', refusal);
      this.carryOut(command);
    } catch (error) {
      this.refused(command, error);
    }
  }

  send(event: string, data: unknown, id?: Command['id']): void {
    this.write(id === undefined ? { event, data } : { event, id, data });
  }

  /** A publication, live. */
  deliver(push: Push): void {
    // Whoever is catching up will find it in the log.
    if (this.catchingUp) return;
    if ([...this.patterns.keys()].some((name) => isFor(name, push))) this.write(push);
  }

  close(code: number, reason: Record<string, unknown> | null = null): void {
    if (this.over) return;
    this.end();
    this.peer.close(code, reason ? JSON.stringify(reason) : '');
  }

  /** The connection is gone. */
  end(): void {
    this.over = true;
    this.warn();
    this.expire();
    this.server.sessions.delete(this);
  }

  private write(message: Record<string, unknown>): void {
    if (!this.over) this.server.out(this, message);
  }

  private refused(command: Command, error: unknown): void {
    if (!(error instanceof Refusal)) throw error;
    const data = { code: error.code, message: error.message, ...error.more };
    this.send('error', data, command.id);
    const first = command.event === 'authenticate' && !this.claims && !/^(INVALID_MESSAGE|RATE_LIMIT)/.test(error.code);
    if (!first) return;
    const closes: Record<string, number> = { AUTH_FAILED: error.more.clock ? 4002 : 4500, CONNECTION_LIMIT: 4003, ROOM_FULL: 4003, BROKER_UNAVAILABLE: 4005 };
    const { retry_after_ms } = error.more;
    this.close(closes[error.code] ?? 4503, { code: error.code, ...(retry_after_ms ? { retry_after_ms } : {}) });
  }

  private carryOut({ event, id, data = {} }: Command): void {
    const name = event.replace(/^client:/, '');
    if (name === 'ping') return this.send('client:pong', { ts: this.server.clock.wall, position: null }, id);
    if (name === 'authenticate') return this.authenticate(data, id);
    if (!this.claims) throw new Refusal('UNAUTHORIZED', 'send authenticate with a token first');
    if (name === 'subscribe') return this.subscribe(data, id, 'subscribed');
    if (name === 'unsubscribe') return this.unsubscribe(data, id);
    if (name === 'publish') return this.publish(data, id);
    if (name === 'ack' && this.server.features.includes('ack')) return void this.server.acks.push(...(data.ids as string[]));
    if (name === 'history') return this.history(data, id);
    const answer = this.server.commands.get(event);
    if (!answer) throw new Refusal('INVALID_MESSAGE', `event must name a command, and ${event} does not`);
    const reply = answer(data, this);
    this.send(reply.event, reply.data, id);
  }

  private authenticate(data: Record<string, unknown>, id: Command['id']): void {
    const claims = this.verify(data.token);
    const renewal = this.claims;
    if (renewal && (renewal.sub !== claims.sub || renewal.org !== claims.org)) throw new Refusal('AUTH_FAILED', 'a renewed token must be for the same user');
    const rooms = this.named(data.rooms, claims);
    const since = this.position(data.since);
    this.claims = claims;
    this.watchExpiry(claims);
    const own = renewal ? [] : [`org:${claims.org}`, `user:${claims.org}:${claims.sub}`];
    const reply = {
      session_id: this.id,
      user_id: claims.sub,
      organization_id: claims.org,
      expires_at: claims.exp,
      ping_interval_ms: 25_000,
      rooms: patternsOf(rooms),
      ...(this.server.features.length ? { features: this.server.features } : {}),
    };
    this.open([...own, ...rooms], since, (position) => this.send('authenticated', { ...reply, position }, id));
    if (renewal) this.narrow(claims);
  }

  private verify(token: unknown): Claims {
    const claims = typeof token === 'string' ? readToken(token) : undefined;
    if (!claims || this.server.revoked.has(token as string)) throw new Refusal('AUTH_FAILED', 'the token is not good');
    if (claims.exp * 1_000 <= this.server.clock.wall) throw new Refusal('AUTH_FAILED', 'the token has expired', { clock: true, retry_after_ms: 1_000 });
    return claims;
  }

  private watchExpiry({ exp }: Claims): void {
    const { clock } = this.server;
    this.warn();
    this.expire();
    const leftMs = exp * 1_000 - clock.wall;
    this.warn = clock.after(leftMs - 60_000, () => this.send('token:expiring', { expires_at: exp }));
    this.expire = clock.after(leftMs, () => this.close(4002, { code: 'AUTH_FAILED' }));
  }

  private narrow(claims: Claims): void {
    const ended = [...this.patterns.keys()].filter((name) => !granted(claims, patternsOf([name])[0]!));
    for (const pattern of ended) this.patterns.delete(pattern);
    const reason = { code: 'UNAUTHORIZED', message: 'the renewed token no longer grants this' };
    if (ended.length) this.send('unsubscribed', { rooms: patternsOf(ended), ...reason });
  }

  private named(rooms: unknown, claims: Claims): string[] {
    const named = [...new Set(((rooms ?? []) as NamedRoom[]).map(nameOf))];
    if (named.length > 256) throw new Refusal('INVALID_MESSAGE', 'at most 256 rooms and channels fit into one command');
    for (const pattern of patternsOf(named)) {
      if (!/^[^:]+:[\w.@-]+(:[^:]+)*$/.test(pattern)) throw new Refusal('INVALID_ROOM', `"${pattern}": that is no room`);
      if (!granted(claims, pattern)) throw new Refusal('UNAUTHORIZED', `the token does not grant ${pattern}`);
      if (this.server.fullRooms.has(pattern)) throw new Refusal('ROOM_FULL', `${pattern} is full`, { retry_after_ms: 5_000 });
    }
    const held = [...this.patterns.keys()].filter((pattern) => !/^(org|user):/.test(pattern));
    if (new Set([...held, ...named]).size > this.server.subscriptionsMax) throw new Refusal('SUBSCRIPTION_FAILED', 'a session may have no more subscriptions');
    return named;
  }

  private position(since: unknown): string | undefined {
    if (since !== undefined && !/^[0-9a-f]+-[0-9a-f]+-[0-9a-f]+$/.test(since as string)) throw new Refusal('INVALID_MESSAGE', 'this is no position');
    return since as string | undefined;
  }

  private subscribe(data: Record<string, unknown>, id: Command['id'], event: string): void {
    const since = this.position(data.since);
    const rooms = this.named(data.rooms, this.claims!);
    if (!rooms.length) throw new Refusal('INVALID_MESSAGE', 'name the rooms, or the channels, that you mean');
    if (data.latest && since !== undefined) throw new Refusal('INVALID_MESSAGE', 'latest and since exclude each other');
    const told = () => (data.latest ? { latest: this.server.log(this.claims!.org).latest((push) => rooms.some((room) => isFor(room, push))) } : {});
    const run = () => this.open(rooms, since, (position) => this.send(event, { rooms: patternsOf(rooms), position, ...told() }, id));
    if (this.catchingUp && (data.latest || since !== undefined)) this.held.push(() => this.again(run));
    else run();
  }

  /** A command that waited: another one may have begun a replay meanwhile. */
  private again(run: () => void): void {
    if (this.catchingUp) this.held.push(() => this.again(run));
    else run();
  }

  /** Enters rooms, answers, and brings the session up to date if it comes from an earlier place. */
  private open(rooms: readonly string[], since: string | undefined, answer: (position: string | null) => void): void {
    const log = this.server.log(this.claims!.org);
    const fresh = rooms.filter((room) => !this.patterns.has(room));
    const seam = log.all.length;
    answer(since ?? (this.catchingUp ? null : log.last));
    for (const room of fresh) {
      this.patterns.set(room, since ? 0 : seam);
      this.server.begun.set(room, seam);
    }
    if (since === undefined || !fresh.length) return;
    this.catchingUp = true;
    const { clock, replayMs } = this.server;
    if (replayMs) clock.after(replayMs, () => this.catchUp(fresh, since, seam));
    else this.catchUp(fresh, since, seam);
  }

  private catchUp(fresh: readonly string[], since: string, seam: number): void {
    if (this.over) return;
    const { entries, gap } = this.server.log(this.claims!.org).after(since);
    if (gap) this.send('gap', gap);
    for (const { index, push } of entries) {
      const reached = (mine: boolean) =>
        [...this.patterns].some(([pattern, from]) => fresh.includes(pattern) === mine && from <= index && isFor(pattern, push));
      // What came before this replay was asked for has been served to the others.
      if (index < seam ? reached(true) && !reached(false) : reached(true) || reached(false)) this.write(index < seam ? { ...push, replayed: true } : push);
    }
    this.catchingUp = false;
    // What came live meanwhile was among the entries; commands that waited come now.
    const held = this.held.splice(0);
    for (const run of held) run();
  }

  private unsubscribe(data: Record<string, unknown>, id: Command['id']): void {
    const rooms = ((data.rooms ?? []) as NamedRoom[]).map(nameOf);
    const ended = rooms.filter((room) => this.patterns.delete(room));
    if (!ended.length) throw new Refusal('ROOM_NOT_FOUND', 'there was no such subscription');
    this.send('unsubscribed', { rooms: patternsOf(rooms) }, id);
  }

  private history(data: Record<string, unknown>, id: Command['id']): void {
    const [name] = this.named([{ room: data.room as string, filter: data.filter as string | undefined }], this.claims!);
    const { entries, gap } = this.server.log(this.claims!.org).around(data.since as string | null, data.reverse === true);
    const found: Push[] = [];
    let next = (data.since as string | null) ?? null;
    let left = entries.length;
    for (const entry of entries) {
      if (found.length === (data.limit ?? 100)) break;
      (next = entry.id), left--;
      if (isFor(name!, entry.push)) found.push(entry.push);
    }
    this.send('history', { publications: found, gaps: gap ? [gap] : [], next, end: !left }, id);
  }

  private publish(data: Record<string, unknown>, id: Command['id']): void {
    const room = canonical(String(data.room));
    if (!/^[\w.@-]+(:[\w.@-]+)+$/.test(room)) throw new Refusal('INVALID_ROOM', `"${room}": that is no room`);
    if (!granted(this.claims!, room)) throw new Refusal('UNAUTHORIZED', `the token does not grant publish on ${room}`);
    if (data.data === undefined) throw new Refusal('INVALID_MESSAGE', 'data of publish: missing field `data`');
    if (this.server.brokerAway) throw new Refusal('BROKER_UNAVAILABLE', 'the log cannot be reached', { retry_after_ms: 1_000 });
    const { id: position, duplicate } = this.server.publish({ ...data, room } as never);
    this.send('published', { id: position, duplicate }, id);
  }
}

/** A subscription by one text: its pattern, and behind a space its filter. */
function nameOf(named: NamedRoom): string {
  if (typeof named === 'string') return canonical(named);
  return canonical(named.room) + (named.filter ? ` ${where(named.filter).text}` : '');
}

const patternsOf = (names: readonly string[]) => [...new Set(names.map((name) => name.split(' ')[0]!))];

function isFor(name: string, push: Push): boolean {
  const [pattern, filter] = name.split(/ (.*)/s);
  if (!reaches(pattern!, push.room, push.cascade === true)) return false;
  return !filter || where(filter).passes({ data: push.data, headers: push.headers as Record<string, string> });
}

export function granted(claims: Claims, pattern: string): boolean {
  const grants = claims.grants ?? [`*:${claims.org}:**`, `org:${claims.org}`, `user:${claims.org}:${claims.sub}`];
  const own = [`org:${claims.org}`, `user:${claims.org}:${claims.sub}`];
  return [...grants, ...own].some((grant) => reaches(canonical(grant), pattern.replace(/:\*\*$/, '')));
}
