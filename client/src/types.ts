// What users of the client see and pass in. Types only: nothing here is left at run time.

/** `error` means that coming back is of no use until something about the credentials or the client has changed. */
export type ConnectionState = 'disconnected' | 'connecting' | 'connected' | 'reconnecting' | 'error';

/** How good the connection is by the time that answers take; `offline` while there is none. */
export type ConnectionQuality = 'excellent' | 'good' | 'poor' | 'offline';

export type Priority = 'low' | 'medium' | 'high' | 'urgent';

/** Names a place in an org's log. Opaque: keep it, hand it back, never take it apart. */
export type Position = string;

/** One message of a room, as it came. */
export interface Publication<T = unknown> {
  event: string;
  room: string;
  /** Its position in the log; absent for ephemeral publications, which are never replayed. */
  id?: Position;
  /** When the log took it, RFC 3339. */
  ts: string;
  data: T;
  /** The data are bytes, and `data` is their base64: `bytesOf` gives them. */
  encoding?: 'base64';
  priority: Priority;
  headers: Readonly<Record<string, string>>;
  /** It came from the log, after a reconnect or for a subscription with `since`. */
  replayed: boolean;
  /** It is how a room stood when `followLatest` asked, not news. */
  latest?: true;
  requiresAck: boolean;
  /** So many earlier ones of the same room and event, of low priority like this one, do not come, because this client reads too slowly. */
  conflated?: number;
  /** It was sent so often before and not acknowledged. */
  redelivered?: number;
}

export type GapReason = 'trimmed' | 'evicted' | 'fork' | 'log_lost' | 'unreadable';

/** An admitted loss: what was published after `from` and up to `to` may be missing. Fetch the present state anew. */
export interface Gap {
  from: Position | null;
  to: Position;
  reason: GapReason;
}

export type Unsubscribe = () => void;
export type Handler<T = unknown> = (publication: Publication<T>) => void;

/** What a filter looks at; `headers` are absent where the publication has none. */
export interface Judged {
  data: unknown;
  headers?: Readonly<Record<string, string>> | undefined;
}

/** Made by `where`. */
export interface Filter {
  /** In canonical form: filters with the same text are the same. */
  readonly text: string;
  passes(publication: Judged): boolean;
}

export interface SubscribeOptions {
  /** Only what passes: `where('severity >= 3')`. Uses of a room share their subscription if they have the same filter. */
  filter?: Filter;
  /** Only publications whose event matches, such as `kpi:update`; a `*` at its end stands for any rest: `kpi:*`, `activity.*`. */
  event?: string;
  /**
   * Replays what came after this position first. It counts for the first use of a room; and what another subscription of this client
   * got already, such as one on a room above, the server does not send again.
   */
  since?: Position;
  onGap?: (gap: Gap) => void;
  /** The server refused or ended the subscription. Without it the error goes to the client's `error` listeners. */
  onError?: (error: RoomcastFault) => void;
}

/** `pending` until the server has answered, and again while the connection is away. */
export type SubscriptionStatus = 'pending' | 'active' | 'failed' | 'ended';

/** One use of a room or pattern. Uses of the same room share one subscription on the server, which ends with the last of them. */
export interface Subscription {
  readonly room: string;
  readonly status: SubscriptionStatus;
  /** Settles with the server's first answer. Never rejects unhandled: who does not wait for it is told by `onError`. */
  readonly ready: Promise<void>;
  unsubscribe(): void;
}

export interface PublishRequest<T = unknown> {
  room: string;
  event: string;
  data: T;
  /** `data` is the base64 of bytes: `asBytes` makes both. */
  encoding?: 'base64';
  priority?: Priority;
  /** `false`: only for who is connected now, without id and replay. Such publications are not queued while offline. */
  log?: boolean;
  cascade?: boolean;
  requiresAck?: boolean;
  /** Made by the client when left out, so that nothing it sends twice is logged twice. */
  idempotencyKey?: string;
  ttlMs?: number;
  headers?: Record<string, string>;
}

export interface Published {
  /** `null` for ephemeral publications. */
  id: Position | null;
  duplicate: boolean;
}

/** Who got a publication that asked to be acknowledged, in sessions over the whole cluster, when nothing more can come. */
export interface Receipt {
  /** The publication. */
  id: Position;
  /** It was handed to so many. */
  matched: number;
  /** Of these, the sockets of so many have taken it. */
  written: number;
  acked: number;
  /** None, in a receipt. */
  outstanding: number;
  /** So many ended before, or did not acknowledge it in time. */
  expired: number;
}

export interface ReceiptOptions {
  /** Ends the waiting, for instance `AbortSignal.timeout(90_000)`. */
  signal?: AbortSignal;
}

/** An error's code as in the protocol, or one of the client's own. */
export type FaultCode =
  | 'AUTH_FAILED' | 'UNAUTHORIZED' | 'INVALID_MESSAGE' | 'INVALID_ROOM' | 'MESSAGE_TOO_LARGE' | 'RATE_LIMIT_EXCEEDED'
  | 'SUBSCRIPTION_FAILED' | 'ROOM_NOT_FOUND' | 'ROOM_FULL' | 'CONNECTION_LIMIT' | 'BROKER_UNAVAILABLE' | 'INTERNAL_ERROR'
  /** The connection ended before the answer, and nothing is known of the outcome. */
  | 'DISCONNECTED'
  /** The outbox is full. */
  | 'QUEUE_FULL'
  /** No answer in time. */
  | 'TIMEOUT'
  /** The server does not list the feature. */
  | 'UNSUPPORTED'
  /** The token provider failed. */
  | 'TOKEN_UNAVAILABLE'
  /** Compare-and-set on a collection: somebody else was first. */
  | 'CONFLICT'
  /** A collection has more items than its maximum. */
  | 'COLLECTION_FULL';

export interface RoomcastFault {
  /** Codes that are not known are told as they came; treat them like `INTERNAL_ERROR`. */
  readonly code: FaultCode | (string & {});
  readonly message: string;
  readonly retryAfterMs?: number;
  /** Of the close frame, where one ended the connection. */
  readonly closeCode?: number;
  /** Whether the client stopped trying. */
  readonly fatal?: boolean;
  /** What else an error reply says besides code, message and `retry_after_ms`, such as `current` with `CONFLICT`. */
  readonly data?: Readonly<Record<string, unknown>>;
}

/** A token, or how to get one: called at every connect, before expiry, and after `AUTH_FAILED`. */
export type TokenSource = string | ((why: 'connect' | 'expiring' | 'refused') => string | Promise<string>);

export interface BackoffOptions {
  /** Upper end of the second wait, doubled from there; the first attempt is made at once. Default 1,000. */
  baseMs?: number;
  /** Default 30,000. */
  capMs?: number;
  /** Attempts in a row before giving up with state `error`. Default 20; `Infinity` never gives up. */
  attemptsMax?: number;
}

export interface ClientOptions {
  /** Such as `wss://rt.example.com/ws`; in browsers also a path, `/ws`. */
  url: string;
  token: TokenSource;
  /** Default true: connects when made. */
  autoConnect?: boolean;
  /** Default `webSocket()`; `fallback(webSocket(), sse(), longPoll())` where proxies stand in the way. */
  transport?: Transport;
  backoff?: BackoffOptions;
  /** Default 30,000. */
  heartbeatIntervalMs?: number;
  /** A ping without an answer for this long means a dead connection. Default 10,000. */
  heartbeatTimeoutMs?: number;
  /** Opening and authenticating together. Default 10,000. */
  connectTimeoutMs?: number;
  /** For an answer to a command on a live connection. Default 10,000. */
  commandTimeoutMs?: number;
  /** Publications kept while offline. Default 1,000; more are refused with `QUEUE_FULL`. */
  outboxMax?: number;
  /** Their size as JSON in bytes. Default 1 MiB. */
  outboxBytesMax?: number;
  /** Publications under way at once. Default 1, which keeps their order whatever is refused and retried. */
  publishWindow?: number;
  /** Ids remembered to deliver nothing twice. Default 16,384. */
  seenMax?: number;
  /** Keeps position and outbox over a reload of the page, for the same user and org: `keepIn(sessionStorage)`. */
  keep?: Keeper;
  /** Acknowledges publications that ask for it once their handlers have returned. Default true. */
  autoAck?: boolean;
}

/** What is kept over a reload of the page. */
export interface KeptState {
  /** The user and org it belongs to. */
  who: string;
  position: Position | null;
  /** What the client was subscribed to. */
  rooms: readonly string[];
  /** Data of `publish` commands that were not answered, as JSON texts. */
  outbox: readonly string[];
}

/** Keeps a client's state over a reload of the page. */
export interface Keeper {
  /** What was kept with a token for the same subject; it counts only if the server then confirms whose it is. */
  recall(token: string): KeptState | undefined;
  /** Gives the outbox that was kept for a user and org, once. */
  claim(who: string): readonly string[];
  /** Writes what `state` then says, unless nothing is known yet: soon with a timer to wait by, at once without. */
  save(state: () => KeptState | null, after?: (delayMs: number, task: () => void) => () => void): void;
  /** Leaves nothing. */
  forget(): void;
}

/** The part of the Web Storage API that the client uses. */
export interface StateStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export interface Session {
  id: string;
  userId: string;
  organizationId: string;
  /** Unix seconds. */
  expiresAt: number;
  /** What the server can do beyond the base protocol: `ack`, `presence`, `sync`, … */
  features: readonly string[];
}

export interface ClientEvents {
  state: (state: ConnectionState, previous: ConnectionState) => void;
  /** Authenticated, with every subscription asked for again. */
  session: (session: Session) => void;
  /** Every publication, after the handlers of its subscriptions. */
  publication: Handler;
  gap: (gap: Gap) => void;
  error: (fault: RoomcastFault) => void;
  /** The outbox grew or shrank to this many. */
  outbox: (length: number) => void;
  /** Statistics or quality changed; at most with each heartbeat and each change of state. */
  health: (health: Health) => void;
}

export interface Health {
  state: ConnectionState;
  quality: ConnectionQuality;
  /** Of the last heartbeat; `null` before the first answer. */
  latencyMs: number | null;
  /** Over the last heartbeats. */
  latencyAverageMs: number | null;
  /** Failed attempts in a row. */
  attempt: number;
  /** Milliseconds until the next attempt, where one is awaited. */
  retryInMs: number | null;
  transport: string | null;
  statistics: Statistics;
}

export interface Statistics {
  connects: number;
  reconnects: number;
  /** Messages of any kind. */
  received: number;
  /** Their length in characters of JSON. */
  receivedBytes: number;
  replayed: number;
  /** Publications that came again and were dropped. */
  duplicates: number;
  gaps: number;
  sent: number;
  sentBytes: number;
  /** Publications that the server has logged. */
  published: number;
  /** Publications in the outbox. */
  queued: number;
  /** Milliseconds since the session stood, `null` without one. */
  connectedMs: number | null;
}

export interface Client {
  readonly state: ConnectionState;
  readonly session: Session | null;
  /** Why the state is `error`, or why the last attempt failed. */
  readonly fault: RoomcastFault | null;
  readonly position: Position | null;
  readonly health: Health;
  /** Throws `UNSUPPORTED` where the transport cannot work. */
  connect(): void;
  /** Leaves. Subscriptions and outbox stay for the next `connect`; with `forget` they go, and position and storage too. */
  disconnect(options?: { forget?: boolean }): void;
  /** Cuts the waiting short. */
  retryNow(): void;
  subscribe<T = unknown>(room: string, handler: Handler<T>, options?: SubscribeOptions): Subscription;
  /** Settles when the server has logged it; waits in the outbox while offline. */
  publish<T = unknown>(request: PublishRequest<T>): Promise<Published>;
  /** Handles events of every subscription by name or wildcard: `kpi:update`, `activity.*`, `*`. */
  onEvent<T = unknown>(pattern: string, handler: Handler<T>): Unsubscribe;
  on<K extends keyof ClientEvents>(name: K, listener: ClientEvents[K]): Unsubscribe;
  /** Acknowledges by hand where `autoAck` is off. */
  ack(publication: Publication): void;
  /** Sends a command of the protocol and settles with its reply's data: what presence and sync are made of. */
  request<T = unknown>(command: string, data: Record<string, unknown>): Promise<T>;
  /** Listens for a push that is no publication, by its event's name. */
  onPush<T = unknown>(event: string, listener: (data: T) => void): Unsubscribe;
}

/** A way to carry text messages both ways. */
export interface Transport {
  readonly name: string;
  /** Answers whether this environment can do it at all. */
  supported(): boolean;
  /** Tells nothing before it has returned, and may throw. */
  open(url: string, events: TransportEvents): TransportConnection;
}

export interface TransportEvents {
  onOpen(): void;
  onMessage(text: string): void;
  /** Called once; with code 1006 where nothing is known. */
  onClose(code: number, reason: string): void;
}

export interface TransportConnection {
  /** Drops what cannot be sent any more, and does not throw. */
  send(text: string): void;
  /** Does nothing once the connection has ended. */
  close(code?: number, reason?: string): void;
}

// Presence and collections: the gateway gains them later; both refuse with `UNSUPPORTED` until it lists them.

export type PresenceStatus = 'online' | 'away' | 'busy';

export interface Member<S = unknown> {
  userId: string;
  status: PresenceStatus;
  state: S | null;
}

export interface PresenceOptions<S = unknown> {
  /** Enters the room as well as watching it. */
  enter?: { status?: PresenceStatus; state?: S };
}

export interface Presence<S = unknown> {
  readonly room: string;
  readonly members: readonly Member<S>[];
  /** `false` until the first snapshot, and again while the connection is away. */
  readonly synced: boolean;
  readonly fault: RoomcastFault | null;
  update(self: { status?: PresenceStatus; state?: S }): Promise<void>;
  onChange(listener: () => void): Unsubscribe;
  leave(): void;
}

export interface Item<T = unknown> {
  key: string;
  /** Of the last write that the server told of; 0 for an item that it has not confirmed yet. */
  version: number;
  value: T;
}

export interface CollectionOptions {
  /** Shows writes before the server has confirmed them, and takes them back when it refuses. Default false. */
  optimistic?: boolean;
  /** Items kept. Default 10,000; a collection that has more shows the fault `COLLECTION_FULL`. */
  itemsMax?: number;
  /** Writes that wait for their turn or for a connection. Default 100; more are refused with `QUEUE_FULL`. */
  writesMax?: number;
}

export interface Collection<T = unknown> {
  readonly room: string;
  readonly items: readonly Item<T>[];
  readonly synced: boolean;
  readonly fault: RoomcastFault | null;
  insert(key: string, value: T): Promise<Item<T>>;
  /** With `ifVersion` it fails with `CONFLICT`, carrying the current item, when somebody else was first. */
  update(key: string, value: T, options?: { ifVersion?: number }): Promise<Item<T>>;
  remove(key: string, options?: { ifVersion?: number }): Promise<void>;
  onChange(listener: () => void): Unsubscribe;
  close(): void;
}
