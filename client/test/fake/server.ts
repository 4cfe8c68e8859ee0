// A broker in memory that speaks the real protocol, with faults at a test's command.

import { Clock } from './clock.js';
import { Log } from './log.js';
import { FakeSession } from './session.js';
import type { Command, Peer } from './session.js';
import { mint } from './token.js';
import type { Claims } from './token.js';

export interface Received extends Command {
  session: string;
  at: number;
}

/** What happens to a message on its way: it arrives, it is lost, or the connection breaks before or after it. */
export type Fate = 'pass' | 'lose' | 'cut-before' | 'cut-after';

export interface Refused {
  code: string;
  message?: string;
  retry_after_ms?: number;
  [more: string]: unknown;
}

export interface NewPublication {
  room: string;
  event?: string;
  data?: unknown;
  log?: boolean;
  idempotency_key?: string;
  priority?: string;
  requires_ack?: boolean;
  cascade?: boolean;
  overtook?: boolean;
  encoding?: unknown;
  headers?: Record<string, string>;
}

/** The client's end of a connection. */
export interface Line {
  receive(text: string): void;
  /** The client goes, or its network does. */
  end(): void;
}

export class FakeServer {
  readonly sessions = new Set<FakeSession>();
  /** Every command that arrived. */
  readonly received: Received[] = [];
  readonly acks: string[] = [];
  /** Where in the log the last subscription to a pattern began. */
  readonly begun = new Map<string, number>();
  readonly revoked = new Set<string>();
  readonly fullRooms = new Set<string>();
  /** Answers to commands beyond the base protocol, by event; they may throw a `Refusal`. */
  readonly commands = new Map<string, (data: Record<string, unknown>, session: FakeSession) => { event: string; data: unknown }>();
  features: string[] = [];
  subscriptionsMax = 128;
  latencyMs = 1;
  /** How long a replay takes. */
  replayMs = 0;
  /** Whether connections open: they do, they are refused, or nothing is ever heard of them. */
  door: 'open' | 'refused' | 'silent' = 'open';
  brokerAway = false;
  /** Refuses commands. */
  refuse: ((command: Command, session: FakeSession) => Refused | undefined) | undefined;
  /** Decides over every message. */
  fate: ((direction: 'in' | 'out', text: string, session: FakeSession) => Fate) | undefined;
  opened = 0;
  private tokens = 0;
  private readonly logs = new Map<string, Log>();

  constructor(readonly clock: Clock = new Clock()) {}

  log(org = 'acme'): Log {
    if (!this.logs.has(org)) this.logs.set(org, new Log());
    return this.logs.get(org)!;
  }

  /** A token that is good for an hour. */
  token(claims: Partial<Claims> & { ttlMs?: number } = {}): string {
    const { ttlMs = 3_600_000, ...rest } = claims;
    return mint({ sub: 'alice', org: 'acme', exp: Math.floor((this.clock.wall + ttlMs) / 1_000), jti: ++this.tokens, ...rest });
  }

  /** A publication by some backend, or by a session. */
  publish(publication: NewPublication): { id: string | null; duplicate: boolean } {
    const { room, event = 'kpi:update', data = null, log = true, idempotency_key, priority, requires_ack, cascade, overtook, headers, encoding } = publication;
    const said = { priority: priority === 'medium' ? undefined : priority, requires_ack: requires_ack || undefined, cascade: cascade || undefined, overtook, headers, encoding };
    const push = { event, room, ts: new Date(this.clock.wall).toISOString(), data, ...JSON.parse(JSON.stringify(said)) };
    const org = room.split(':')[1]!;
    const outcome = log ? this.log(org).append(push, idempotency_key) : { id: null, duplicate: false };
    if (!outcome.duplicate) this.fanOut(org, outcome.id === null ? push : { ...push, id: outcome.id });
    return { id: outcome.id, duplicate: outcome.duplicate };
  }

  /** A push to every session of the org. */
  tell(event: string, data: unknown, org = 'acme'): void {
    for (const session of this.ofOrg(org)) session.send(event, data);
  }

  /** Closes every connection. */
  closeAll(code: number, reason: Record<string, unknown> | null = null): void {
    for (const session of [...this.sessions]) session.close(code, reason);
  }

  /** Every connection breaks without a word. */
  cutAll(): void {
    for (const session of [...this.sessions]) this.cut(session);
  }

  /** Connections stay, but nothing comes or goes any more. */
  freeze(): void {
    this.fate = () => 'lose';
  }

  thaw(): void {
    this.fate = undefined;
  }

  /** The commands of one name that arrived. */
  commandsOf(event: string): Received[] {
    return this.received.filter((command) => command.event === event);
  }

  connect(peer: Peer): Line {
    const session = new FakeSession(this, this.delayed(peer), ++this.opened);
    this.sessions.add(session);
    const later = this.inOrder();
    return {
      receive: (text) => later(() => this.pass('in', text, session, () => session.receive(text))),
      end: () => session.end(),
    };
  }

  /** A session sends. */
  out(session: FakeSession, message: Record<string, unknown>): void {
    const text = JSON.stringify(message);
    this.pass('out', text, session, () => session.peer.message(text));
  }

  cut(session: FakeSession): void {
    session.close(1006);
  }

  private pass(direction: 'in' | 'out', text: string, session: FakeSession, arrive: () => void): void {
    if (session.over) return;
    const fate = this.fate?.(direction, text, session) ?? 'pass';
    if (fate === 'cut-before') return this.cut(session);
    if (fate === 'lose') return;
    arrive();
    if (fate === 'cut-after') this.cut(session);
  }

  private fanOut(org: string, push: Parameters<FakeSession['deliver']>[0]): void {
    for (const session of this.ofOrg(org)) session.deliver(push);
  }

  private ofOrg(org: string): FakeSession[] {
    return [...this.sessions].filter((session) => session.claims?.org === org);
  }

  private delayed(peer: Peer): Peer {
    const later = this.inOrder();
    return {
      message: (text) => later(() => peer.message(text)),
      close: (code, reason) => later(() => peer.close(code, reason)),
    };
  }

  /** What is sent later never arrives earlier, even if the latency falls. */
  private inOrder(): (task: () => void) => void {
    let free = 0;
    return (task) => {
      free = Math.max(free, this.clock.now + this.latencyMs);
      this.clock.after(free - this.clock.now, task);
    };
  }
}
