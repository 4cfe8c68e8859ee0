// One collection of one client: when to subscribe, to read a snapshot and to send writes. Called by sync.

import { RoomcastError } from '../fault.js';
import { faultOf, retryDelayMs } from '../retry.js';
import type { Client, CollectionOptions, FaultCode, Item, Publication, RoomcastFault, Session, Subscription, Unsubscribe } from '../types.js';
import { table, type Table } from './table.js';
import { currentOf, writes, type Write, type Writes, type Written } from './writes.js';

/** The reply to `sync:subscribe`. */
interface Page<T> {
  items: readonly Item<T>[];
  /** There are more items than these. */
  cursor?: string | null;
}

interface ChangeData<T> {
  key: string;
  version: number;
  value?: T;
}

export class Mirror<T> {
  fault: RoomcastFault | null = null;
  readonly #client: Client;
  readonly #room: string;
  readonly #options: Required<CollectionOptions>;
  readonly #notify: () => void;
  readonly #table: Table<T>;
  readonly #writes: Writes<T>;
  readonly #stops: Unsubscribe[];
  #subscription: Subscription | null = null;
  #owner = '';
  #subscribed = false;
  #view: readonly Item<T>[] | null = null;
  #complete = false;
  /** Counts snapshots, so that the pages of one that was given up are not taken. */
  #reading = 0;
  #failures = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;

  /** `room` is canonical. `notify` is called whenever something may look different. */
  constructor(client: Client, room: string, options: Required<CollectionOptions>, notify: () => void) {
    this.#client = client;
    this.#room = room;
    this.#options = options;
    this.#notify = notify;
    this.#table = table(options.itemsMax);
    this.#writes = writes(
      options.writesMax,
      (write) => this.#send(write),
      (write, outcome) => this.#answered(write, outcome),
    );
    this.#stops = [client.on('session', (session) => this.#begin(session)), client.on('state', notify)];
    if (client.state === 'connected' && client.session) this.#begin(client.session);
  }

  get items(): readonly Item<T>[] {
    return (this.#view ??= this.#show());
  }

  get synced(): boolean {
    return this.#complete && this.#client.state === 'connected';
  }

  write(write: Omit<Write<T>, 'idempotencyKey'>): Promise<Written> {
    const refusal = this.#client.session && this.#refusal(this.#client.session);
    if (refusal) return Promise.reject(refusal);
    const written = this.#writes.add({ ...write, idempotencyKey: randomKey() });
    if (this.#options.optimistic) this.#changed();
    return written;
  }

  close(): void {
    this.#stops.forEach((stop) => stop());
    this.#subscription?.unsubscribe();
    this.#subscription = null;
    this.#stopReading();
    this.#writes.refuse(this.#fault('DISCONNECTED', 'was closed before the server answered'));
  }

  #begin(session: Session): void {
    const owner = `${session.organizationId} ${session.userId}`;
    if (this.#owner && this.#owner !== owner) this.#forget();
    this.#owner = owner;
    this.#failures = 0;
    const refusal = this.#refusal(session);
    if (refusal) return this.#refuse(refusal);
    const status = this.#subscription?.status ?? 'ended';
    if (status === 'ended' || status === 'failed') this.#subscribe();
    else if (this.#subscribed && !this.#complete) void this.#read();
    this.#writes.resume();
  }

  /** Nothing of one user may be shown to another or written in the other's name. */
  #forget(): void {
    this.#table.clear();
    this.#complete = false;
    this.#writes.refuse(this.#fault('DISCONNECTED', 'belongs to another user now'));
  }

  #refusal(session: Session): RoomcastFault | null {
    if (!session.features.includes('sync')) return this.#fault('UNSUPPORTED', 'cannot be kept: this server has no collections');
    if (this.#room.startsWith('sync:') && !this.#room.includes('*')) return null;
    return this.#fault('INVALID_ROOM', 'needs one room of the channel sync, such as sync:acme:tasks');
  }

  #subscribe(): void {
    this.#complete = this.#subscribed = false;
    const subscription = this.#client.subscribe<ChangeData<T>>(this.#room, (change) => this.#take(change), {
      event: 'sync:*',
      onGap: () => void (this.#subscribed && this.#read()),
      onError: (refusal) => {
        this.#table.clear();
        this.#refuse(refusal);
      },
    });
    this.#subscription = subscription;
    const begun = () => {
      if (subscription !== this.#subscription) return;
      this.#subscribed = true;
      void this.#read();
    };
    subscription.ready.then(begun, () => undefined);
  }

  async #read(): Promise<void> {
    this.#stopReading();
    const reading = this.#reading;
    this.#table.begin();
    this.#changed();
    let cursor: string | null | undefined;
    try {
      do {
        const data = cursor ? { room: this.#room, cursor } : { room: this.#room };
        const page = await this.#client.request<Page<T>>('sync:subscribe', data);
        if (reading !== this.#reading) return;
        this.#table.page(page.items);
        cursor = page.cursor;
      } while (cursor && !this.#table.overfull);
      this.#table.finish();
      this.#failures = 0;
      this.fault = null;
      this.#complete = true;
      this.#changed();
    } catch (reason) {
      if (reading === this.#reading) this.#unread(faultOf(reason));
    }
  }

  #stopReading(): void {
    clearTimeout(this.#retryTimer);
    this.#complete = false;
    this.#reading++;
  }

  #unread(refusal: RoomcastFault): void {
    // The next connection reads again by itself.
    if (refusal.code === 'DISCONNECTED') return;
    const delayMs = retryDelayMs(refusal, ++this.#failures, Math.random());
    if (delayMs !== null) this.#retryTimer = setTimeout(() => void this.#read(), delayMs);
    this.fault = refusal;
    this.#changed();
  }

  #take({ room, event, data }: Publication<ChangeData<T>>): void {
    // Publications into rooms below and cascading ones from above reach this subscription too.
    if (room !== this.#room) return;
    this.#table.apply({ ...data, deleted: event === 'sync:delete' });
    this.#changed();
  }

  #send({ op, key, value, ifVersion, idempotencyKey }: Write<T>): Promise<Written> {
    if (this.#client.state !== 'connected') return Promise.reject(this.#fault('DISCONNECTED', 'waits for a connection'));
    return this.#client.request<Written>('sync:write', {
      room: this.#room,
      op,
      key,
      ...(op !== 'delete' && { value }),
      ...(ifVersion !== undefined && { if_version: ifVersion }),
      idempotency_key: idempotencyKey,
    });
  }

  #answered({ op, key, value }: Write<T>, outcome: Written | RoomcastFault): void {
    if ('version' in outcome) this.#table.apply({ key, version: outcome.version, value: value as T, deleted: op === 'delete' });
    const current = 'code' in outcome ? currentOf<T>(outcome) : null;
    if (current) this.#table.apply(current);
    this.#changed();
  }

  #refuse(refusal: RoomcastFault): void {
    this.#stopReading();
    this.#writes.refuse(refusal);
    this.fault = refusal;
    this.#changed();
  }

  #show(): readonly Item<T>[] {
    const shown = new Map(this.#table.items);
    for (const { op, key, value } of this.#options.optimistic ? this.#writes.waiting : []) {
      if (op === 'delete') shown.delete(key);
      else shown.set(key, { key, version: shown.get(key)?.version ?? 0, value: value as T });
    }
    return [...shown.values()];
  }

  #changed(): void {
    if (this.#table.overfull) {
      this.#complete = false;
      this.fault = this.#fault('COLLECTION_FULL', `has more items than itemsMax (${this.#options.itemsMax}), some are missing`);
    }
    this.#view = null;
    this.#notify();
  }

  #fault(code: FaultCode, what: string): RoomcastError {
    return new RoomcastError(code, `the collection ${this.#room} ${what}`);
  }
}

function randomKey(): string {
  // `crypto.randomUUID` is missing on pages that were not loaded over https.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
