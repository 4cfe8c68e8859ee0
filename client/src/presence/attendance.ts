// One client's part in one room: compares what its uses want with what the server was told on this connection, and sends the
// difference. Called by presence; decides nothing about members, which the roster keeps.

import { RoomcastError } from '../fault.js';
import { faultOf, retryDelayMs } from '../retry.js';
import type { Client, Member, PresenceStatus, RoomcastFault, Session } from '../types.js';
import { roster, type Diff, type Snapshot } from './roster.js';

/** What others see of this user. */
export interface Self {
  status: PresenceStatus;
  state: unknown;
}

/** Somebody who wants to see the room, and to be seen in it unless `self` is `null`. */
export interface Use {
  self: Self | null;
  changed(): void;
}

/** What the server knows of this client. Each connection begins with a new one, by which late answers are recognised. */
interface Told {
  self: Self | null;
  /** What was not taken, and why; it is sent again only when somebody asks for it. */
  refused: { self: Self | null; fault: RoomcastFault } | null;
  telling: boolean;
  watching: boolean;
}

/** The push `presence:ended`. */
interface Ended {
  room: string;
  code: string;
  message: string;
}

interface Outcome {
  promise: Promise<void>;
  resolve: () => void;
  reject: (fault: RoomcastFault) => void;
}

const nothingTold = (): Told => ({ self: null, refused: null, telling: false, watching: false });
const same = (one: Self | null, other: Self | null) => JSON.stringify(one) === JSON.stringify(other);
const ownerOf = (session: Session | null) => session && `${session.organizationId} ${session.userId}`;

export class Attendance {
  fault: RoomcastFault | null = null;
  readonly #client: Client;
  readonly #room: string;
  readonly #ended: () => void;
  readonly #roster = roster();
  readonly #uses = new Set<Use>();
  readonly #stops: (() => void)[];
  #outcome: Outcome | null = null;
  #told = nothingTold();
  #owner: string | null;
  #complete = false;
  #planned = false;
  #failures = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;

  /** `room` is canonical. `ended` is called when the last use has gone. */
  constructor(client: Client, room: string, ended: () => void) {
    this.#client = client;
    this.#room = room;
    this.#ended = ended;
    this.#owner = ownerOf(client.session);
    this.#stops = [
      client.on('session', (session) => this.#begin(session)),
      client.on('state', () => this.#changed()),
      client.onPush<Diff>('presence:diff', (diff) => this.#take(diff)),
      client.onPush<Ended>('presence:ended', (ended) => this.#expel(ended)),
    ];
  }

  get members(): readonly Member[] {
    return this.#roster.members;
  }

  get synced(): boolean {
    return this.#complete && this.#client.state === 'connected';
  }

  /** Makes a use the latest one, which is the one whose `self` counts. */
  add(use: Use): void {
    this.#uses.delete(use);
    this.#uses.add(use);
    this.#told.refused = null;
    this.#plan();
  }

  remove(use: Use): void {
    this.#uses.delete(use);
    this.#plan();
  }

  /** Settles when the server has been told what is wanted by then; one promise serves all that wait. */
  told(): Promise<void> {
    this.#outcome ??= outcome();
    return this.#outcome.promise;
  }

  /** Looks at the end of the task, so that a leave followed by an enter sends nothing. */
  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => {
      if (this.#uses.size === 0) return this.#end();
      this.#planned = false;
      this.#reconcile();
    });
  }

  #reconcile(): void {
    const { session } = this.#client;
    if (this.#client.state !== 'connected' || !session || this.#retryTimer) return;
    const refusal = this.#refusal(session);
    if (refusal) return this.#refuse(refusal);
    const told = this.#told;
    if (!told.watching) this.#watch(told);
    const self = this.#wanted();
    if (told.telling) return;
    if (same(self, told.self)) this.#settle(null);
    else if (told.refused && same(self, told.refused.self)) this.#settle(told.refused.fault);
    else this.#tell(told, self);
  }

  #wanted(): Self | null {
    return [...this.#uses].reduce<Self | null>((latest, use) => use.self ?? latest, null);
  }

  #refusal(session: Session): RoomcastFault | null {
    if (!session.features.includes('presence')) return new RoomcastError('UNSUPPORTED', 'this server has no presence');
    if (!this.#room.includes('*')) return null;
    return new RoomcastError('INVALID_ROOM', `"${this.#room}" is a pattern: presence needs one room, without "*"`);
  }

  #tell(told: Told, self: Self | null): void {
    told.telling = true;
    const command = self === null ? 'leave' : told.self === null ? 'enter' : 'update';
    this.#client.request(`presence:${command}`, { room: this.#room, ...self }).then(
      () => {
        told.self = self;
        told.refused = null;
        told.telling = false;
        this.#plan();
      },
      (reason: unknown) => {
        told.telling = false;
        const fault = this.#final(told, reason);
        if (!fault) return;
        told.refused = { self, fault };
        this.#plan();
      },
    );
  }

  #watch(told: Told): void {
    told.watching = true;
    this.#complete = false;
    this.#roster.expect();
    this.#client.request<Snapshot>('presence:watch', { room: this.#room }).then(
      (snapshot) => {
        if (told !== this.#told) return;
        this.#failures = 0;
        // A refusal to enter is still true when watching works.
        if (!told.refused) this.fault = null;
        this.#complete = this.#roster.snapshot(snapshot);
        if (!this.#complete) this.#watch(told);
        this.#changed();
      },
      (reason: unknown) => {
        if (this.#final(told, reason)) this.#roster.clear();
        else told.watching = false;
      },
    );
  }

  #take(diff: Diff): void {
    if (diff.room !== this.#room) return;
    if (!this.#roster.diff(diff)) this.#watch(this.#told);
    this.#changed();
  }

  /** The right was taken away: nothing is tried again before somebody asks for it, or on the next connection. */
  #expel({ room, code, message }: Ended): void {
    if (room !== this.#room) return;
    const fault = new RoomcastError(code, message);
    this.#told = { ...nothingTold(), watching: true, refused: { self: this.#wanted(), fault } };
    this.#complete = false;
    this.#refuse(fault);
  }

  /** Tells a refusal that nothing but the application can mend. Others are tried again: later, or on the next connection. */
  #final(told: Told, reason: unknown): RoomcastFault | null {
    const refusal = faultOf(reason);
    if (told !== this.#told || refusal.code === 'DISCONNECTED') return null;
    this.fault = refusal;
    this.#changed();
    const delayMs = retryDelayMs(refusal, ++this.#failures, Math.random());
    if (delayMs === null) return refusal;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.#plan();
    }, delayMs);
    return null;
  }

  #begin(session: Session): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#told = nothingTold();
    this.#failures = 0;
    this.#complete = false;
    if (this.#owner !== ownerOf(session)) this.#roster.clear();
    this.#owner = ownerOf(session);
    this.#plan();
  }

  #refuse(refusal: RoomcastFault): void {
    this.fault = refusal;
    this.#roster.clear();
    this.#settle(refusal);
    this.#changed();
  }

  #settle(refusal: RoomcastFault | null): void {
    if (refusal) this.#outcome?.reject(refusal);
    else this.#outcome?.resolve();
    this.#outcome = null;
  }

  #changed(): void {
    for (const use of [...this.#uses]) use.changed();
  }

  #end(): void {
    clearTimeout(this.#retryTimer);
    this.#stops.forEach((stop) => stop());
    this.#settle(new RoomcastError('DISCONNECTED', `the presence in ${this.#room} was left before the server answered`));
    this.#ended();
    if (this.#client.state !== 'connected') return;
    const { self, telling, watching } = this.#told;
    const commands = [...(self || telling ? ['leave'] : []), ...(watching ? ['unwatch'] : [])];
    for (const command of commands) this.#client.request(`presence:${command}`, { room: this.#room }).catch(() => undefined);
  }
}

function outcome(): Outcome {
  let settle!: Pick<Outcome, 'resolve' | 'reject'>;
  const promise = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  // Who does not wait for it is told by `fault`.
  promise.catch(() => undefined);
  return { promise, ...settle };
}
