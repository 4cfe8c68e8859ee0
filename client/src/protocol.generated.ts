// The messages of roomcast.v1 as they stand on the wire. Types only: nothing here is left at run time.
// Made by scripts/generate-types.mjs from docs/protocol.schema.json; change the gateway's types, not this file.

/** What a client sends. */
export type ClientMessage =
  | AuthenticateCommand
  | SubscribeCommand
  | UnsubscribeCommand
  | PublishCommand
  | AckCommand
  | HistoryCommand
  | PresenceEnterCommand
  | PresenceUpdateCommand
  | PresenceLeaveCommand
  | PresenceWatchCommand
  | PresenceUnwatchCommand
  | SyncSubscribeCommand
  | SyncWriteCommand
  | PingCommand;

/** First command, or renewal of the token. May subscribe at the same stroke. */
export interface AuthenticateCommand {
  event: 'authenticate' | 'client:authenticate';
  data: AuthenticateData;
  id?: CommandId | null;
}

/**
 * First command, or renewal on the open connection. May subscribe at the same stroke, so that one replay covers it all.
 */
export interface AuthenticateData {
  /** A JWT. */
  token: string;
  /** Channels of the rooms to put together; `all` means every channel. */
  channels?: string[];
  /** One segment of the room. */
  department_id?: string | null;
  /**
   * Only what passes, for all rooms that have no filter of their own. At most 64 different ones fit into one command.
   */
  filter?: Filter | null;
  /** Answer with the last publication of each event in each room first. Not together with `since`. Default `false`. */
  latest?: boolean;
  /** The session's own org without one. */
  organization_id?: string | null;
  /** Without a department it means the queue in every department. */
  queue_name?: string | null;
  /**
   * Rooms or patterns, in short or long form, each perhaps with a filter of its own. At most 256 together with
   * `channels`.
   */
  rooms?: NamedRoom[];
  /** Replay what came after this position first. Without it delivery begins now. */
  since?: Position | null;
}

/** A filter over data and headers, such as `severity >= 3 and region in ('eu', 'us')`: docs/filters.md. */
export type Filter = string;

/** A room or pattern, alone or with a filter. */
export type NamedRoom =
  | string
  | {
  room: string;
  filter?: Filter | null;
};

/** Names a place in an org's log. Opaque: keep it, hand it back, compare it for equality only. */
export type Position = string;

/** A client's own name for a command, at most 128 bytes as JSON text. The reply has it letter for letter. */
export type CommandId = string | number;

/** Subscribes to all that it names, or to nothing. */
export interface SubscribeCommand {
  event: 'subscribe' | 'client:subscribe';
  data: SubscribeData;
  id?: CommandId | null;
}

/** Which subscriptions to begin, and from where. */
export interface SubscribeData {
  /** Channels of the rooms to put together; `all` means every channel. */
  channels?: string[];
  /** One segment of the room. */
  department_id?: string | null;
  /**
   * Only what passes, for all rooms that have no filter of their own. At most 64 different ones fit into one command.
   */
  filter?: Filter | null;
  /** Answer with the last publication of each event in each room first. Not together with `since`. Default `false`. */
  latest?: boolean;
  /** The session's own org without one. */
  organization_id?: string | null;
  /** Without a department it means the queue in every department. */
  queue_name?: string | null;
  /**
   * Rooms or patterns, in short or long form, each perhaps with a filter of its own. At most 256 together with
   * `channels`.
   */
  rooms?: NamedRoom[];
  /** Replay what came after this position first. Without it delivery begins now. */
  since?: Position | null;
}

/** Ends subscriptions, which it names as they were made. */
export interface UnsubscribeCommand {
  event: 'unsubscribe' | 'client:unsubscribe';
  data: Selector;
  id?: CommandId | null;
}

/** Which rooms are meant: spelled out in `rooms`, or put together from channels, org, department and queue. */
export interface Selector {
  /** Channels of the rooms to put together; `all` means every channel. */
  channels?: string[];
  /** One segment of the room. */
  department_id?: string | null;
  /**
   * Only what passes, for all rooms that have no filter of their own. At most 64 different ones fit into one command.
   */
  filter?: Filter | null;
  /** The session's own org without one. */
  organization_id?: string | null;
  /** Without a department it means the queue in every department. */
  queue_name?: string | null;
  /**
   * Rooms or patterns, in short or long form, each perhaps with a filter of its own. At most 256 together with
   * `channels`.
   */
  rooms?: NamedRoom[];
}

/** Publishes one message. */
export interface PublishCommand {
  event: 'publish' | 'client:publish';
  data: PublishData;
  id?: CommandId | null;
}

/** A publication from a client; the room may be put together like a subscription's. */
export interface PublishData {
  /** A known event, such as `kpi:update`. */
  event: string;
  /** Any JSON value, passed on as it is. */
  data: unknown;
  /** Also reaches subscriptions on rooms below. Default `false`. */
  cascade?: boolean;
  /** The channel of the room to put together. */
  channel?: string | null;
  /** One segment of the room. */
  department_id?: string | null;
  /** `base64`: the data are bytes, and `data` is their text. */
  encoding?: Spelling | null;
  /** At most 4 KiB as JSON, `traceparent` among them. */
  headers?: Record<string, string> | null;
  /** The same key in the same org is logged once, whatever is sent again. */
  idempotency_key?: string | null;
  /** `false`: ephemeral, only for who is connected, never replayed. Default `true`. */
  log?: boolean;
  /** The session's own org without one. */
  organization_id?: string | null;
  /** Default `medium`. */
  priority?: Priority;
  /** Without a department it lies in the department `_`. */
  queue_name?: string | null;
  /** Receivers acknowledge it, and the publisher gets receipts. Default `false`. */
  requires_ack?: boolean;
  /** A room, no pattern, in short or long form. Or name the channel. */
  room?: string | null;
  /** Not worth replaying after this long. */
  ttl_ms?: number | null;
}

/** `data` is a text that holds bytes in base64 (RFC 4648 section 4, with padding). */
export type Spelling = 'base64';

/** Carried from the publisher to the receivers. */
export type Priority = 'low' | 'medium' | 'high' | 'urgent';

/** The client has dealt with publications that ask for it. Answered only where it has an `id`. */
export interface AckCommand {
  event: 'ack' | 'client:ack';
  data: AckData;
  id?: CommandId | null;
}

/** Which publications the client has dealt with. */
export interface AckData {
  /** Ids of publications with `requires_ack`. Those that nobody waits for are passed over. */
  ids: Position[];
}

/** Reads one page of the past. */
export interface HistoryCommand {
  event: 'history' | 'client:history';
  data: HistoryData;
  id?: CommandId | null;
}

/** Which page of the past to read. It subscribes to nothing. */
export interface HistoryData {
  /** A room or pattern, in short or long form: what reaches a subscription on it. */
  room: string;
  /** Only what passes. */
  filter?: Filter | null;
  /** Most publications to answer with. */
  limit?: number | null;
  /** The newest first. Default `false`. */
  reverse?: boolean;
  /**
   * Begin after this position; backwards, before it. Without it begin with the oldest, or, backwards, with the newest.
   */
  since?: Position | null;
}

/** Enters a room, or tells anew how one is there. */
export interface PresenceEnterCommand {
  event: 'presence:enter' | 'client:presence:enter';
  data: PresenceEnterData;
  id?: CommandId | null;
}

/** Enters a room, or tells anew how one is there. */
export interface PresenceEnterData {
  /** One room of one's own org, no pattern, in short or long form. */
  room: string;
  /** Any JSON value, at most 1,024 bytes as JSON text; `null` for none. */
  state?: unknown;
  /** Default `online`. */
  status?: PresenceStatus;
}

/** How a member wants to be taken. */
export type PresenceStatus = 'online' | 'away' | 'busy';

/** Tells anew how one is in a room. */
export interface PresenceUpdateCommand {
  event: 'presence:update' | 'client:presence:update';
  data: PresenceUpdateData;
  id?: CommandId | null;
}

/** Tells anew how one is in a room. What is left out stays. */
export interface PresenceUpdateData {
  /** One room of one's own org, no pattern, in short or long form. */
  room: string;
  /** Any JSON value, at most 1,024 bytes as JSON text; `null` for none. */
  state?: unknown;
  status?: PresenceStatus | null;
}

/** Leaves a room. */
export interface PresenceLeaveCommand {
  event: 'presence:leave' | 'client:presence:leave';
  data: PresenceRoomData;
  id?: CommandId | null;
}

/** The room that is meant. */
export interface PresenceRoomData {
  /** One room of one's own org, no pattern, in short or long form. */
  room: string;
}

/** Asks who is in a room, and to be told of changes. */
export interface PresenceWatchCommand {
  event: 'presence:watch' | 'client:presence:watch';
  data: PresenceRoomData;
  id?: CommandId | null;
}

/** Asks to be told no more. */
export interface PresenceUnwatchCommand {
  event: 'presence:unwatch' | 'client:presence:unwatch';
  data: PresenceRoomData;
  id?: CommandId | null;
}

/** Reads one page of a collection. */
export interface SyncSubscribeCommand {
  event: 'sync:subscribe';
  data: SyncSubscribeData;
  id?: CommandId | null;
}

/** Which page of which collection to read. It subscribes to nothing. */
export interface SyncSubscribeData {
  /** A room of the channel `sync`, in short or long form. */
  room: string;
  /** That of the page before; without one the first page is meant. */
  cursor?: string | null;
}

/** Changes one item of a collection. */
export interface SyncWriteCommand {
  event: 'sync:write';
  data: SyncWriteData;
  id?: CommandId | null;
}

/** One change of one item. */
export interface SyncWriteData {
  /** A room of the channel `sync`, in short or long form. */
  room: string;
  op: SyncOp;
  key: SyncKey;
  /** The same key in the same org is carried out once, whatever is sent again. */
  idempotency_key: string;
  /** Only if the item has this version; not for `insert`. */
  if_version?: number | null;
  /** Any JSON value, at most 64 KiB as text; not for `delete`. */
  value?: unknown;
}

/** What a write does: `put` inserts or updates, whatever stands there. */
export type SyncOp = 'insert' | 'update' | 'delete' | 'put';

/** Names an item within its collection; 1 to 128 bytes. */
export type SyncKey = string;

/** Asks for a sign of life. */
export interface PingCommand {
  event: 'client:ping' | 'ping';
  id?: CommandId | null;
}

/** What the server sends. What is none of these is to be ignored. */
export type ServerMessage =
  | Publication
  | Reply
  | Push;

/** One message of a room. What has a `room` is a publication, whatever its `event`. */
export interface Publication {
  /** What it is about, such as `kpi:update`. */
  event: string;
  room: Room;
  /** When the log took it. */
  ts: string;
  /** Any JSON value, as it was published; a text in base64 where `encoding` says so. */
  data: unknown;
  /** It reaches subscriptions on rooms below its own too. Default `false`. */
  cascade?: boolean;
  /** So many earlier ones of the same room and event, all of low priority, were left out in its favour. */
  conflated?: number;
  /** Left out unless the data are bytes; never there in MessagePack, which has them as they are. */
  encoding?: Spelling;
  /** `traceparent` among them. */
  headers?: Record<string, string>;
  /** Its position; left out for an ephemeral one. */
  id?: Position;
  /** It comes before others that stand earlier in the log: do not keep its id as your position. Default `false`. */
  overtook?: boolean;
  /** Left out when it is `medium`. */
  priority?: Priority;
  /** It was sent so often before and not acknowledged: do not keep its id as your position. */
  redelivered?: number;
  /** It comes from the log, for a subscription with an older position. Default `false`. */
  replayed?: boolean;
  /** As the publisher asked. Default `false`. */
  requires_ack?: boolean;
}

/** A concrete address in canonical form: `kpi:acme:sales:support`. */
export type Room = string;

/** The answer to a command, with its `id`. */
export type Reply =
  | AuthenticatedReply
  | SubscribedReply
  | UnsubscribedReply
  | PublishedReply
  | AckedReply
  | PongReply
  | HistoryPageReply
  | SyncSnapshotReply
  | SyncWrittenReply
  | PresenceEnteredReply
  | PresenceUpdatedReply
  | PresenceLeftReply
  | PresenceSnapshotReply
  | PresenceUnwatchedReply
  | ErrorReply;

/** Answers `authenticate`; comes without an `id` where the credentials came with the handshake. */
export interface AuthenticatedReply {
  event: 'authenticated';
  data: AuthenticatedData;
  id?: CommandId;
}

/** What a client needs to know of its own session. */
export interface AuthenticatedData {
  session_id: SessionId;
  user_id: string;
  organization_id: OrganizationId;
  /** The end of the token, Unix seconds. */
  expires_at: number;
  /** How often the server sends a WebSocket ping. */
  ping_interval_ms: number;
  /** The subscriptions that the command asked for, in canonical form, besides the session's own rooms. */
  rooms: Pattern[];
  /** Where live delivery begins, or the client's own `since`; `null` while earlier publications still wait for it. */
  position: Position | null;
  /** What the server can do beyond the base protocol, by names; ignore those that you do not know. */
  features?: string[];
  /** Where the command asked for it: how the rooms stand at that position. */
  latest?: LatestData | null;
}

/** One connected client, unique over the cluster and over time. */
export type SessionId = string;

/** A tenant. Every room, grant, log entry and session belongs to exactly one. */
export type OrganizationId = string;

/** A pattern in canonical form: `kpi:acme`, `kpi:acme:*:support`, `*:acme:**`. */
export type Pattern = string;

/** How rooms stand at the reply's position. */
export interface LatestData {
  /** The last publication of each event in each room that the subscriptions reach, in the order of the log. */
  publications: Publication[];
  /** `false`: there may be more than the server keeps or tells; the oldest are missing. */
  complete: boolean;
}

/** Answers `subscribe`. */
export interface SubscribedReply {
  event: 'subscribed';
  data: SubscribedData;
  id?: CommandId;
}

export interface SubscribedData {
  /** In canonical form: keep them to compare with later pushes. */
  rooms: Pattern[];
  /** Where live delivery begins, or the client's own `since`; `null` while earlier publications still wait for it. */
  position: Position | null;
  /** Where the command asked for it: how the rooms stand at that position. */
  latest?: LatestData | null;
}

/** Answers `unsubscribe`: nothing more comes by these subscriptions. */
export interface UnsubscribedReply {
  event: 'unsubscribed';
  data: UnsubscribedData;
  id?: CommandId;
}

export interface UnsubscribedData {
  /** The subscriptions that ended, in canonical form. */
  rooms: Pattern[];
}

/** Answers `publish`. */
export interface PublishedReply {
  event: 'published';
  data: PublishedData;
  id?: CommandId;
}

export interface PublishedData {
  /** The publication's position; `null` for an ephemeral one. */
  id: Position | null;
  /** The idempotency key was used before, and `id` is that of the first publication. */
  duplicate: boolean;
}

/** Answers an `ack` that had an `id`. */
export interface AckedReply {
  event: 'acked';
  data: AckedData;
  id?: CommandId;
}

export interface AckedData {
  /** How many of these publications had been waited for. */
  count: number;
}

/** Answers `client:ping`. */
export interface PongReply {
  event: 'client:pong';
  data: PongData;
  id?: CommandId;
}

export interface PongData {
  /** The server's time, Unix milliseconds. */
  ts: number;
  position: Position | null;
}

/** Answers `history` with one page of the past. */
export interface HistoryPageReply {
  event: 'history';
  data: HistoryPageData;
  id?: CommandId;
}

/** One page of the past. */
export interface HistoryPageData {
  /**
   * In the order that was asked for. There may be fewer than the limit although more follow, because a page looks at so
   * many entries only.
   */
  publications: Publication[];
  /** Admitted losses on the way: what was published after `from` and up to `to` may be missing. */
  gaps: GapData[];
  /** Send it as `since` for the next page; `null` while the log has no entry. */
  next: Position | null;
  /** Whether nothing more follows in this direction. */
  end: boolean;
}

/** An admitted loss: whatever was published after `from` and up to `to` may be missing. */
export interface GapData {
  /** The last position the client is known to have; `null` when it is not known. */
  from: Position | null;
  /** Delivery goes on after this one. */
  to: Position;
  reason: GapReason;
}

/** Why something within a client's reach may be missing. */
export type GapReason =
  /** The log no longer goes back that far. */
  | 'trimmed'
  /** Another history took the log's place: a replica that lagged was promoted. */
  | 'fork'
  /** The log was lost and begun anew. */
  | 'log_lost'
  /** The session was too slow for what the node could keep, and the log has moved on. */
  | 'evicted'
  /** A later version wrote it, and the node that serves the session cannot read it: an update is under way. */
  | 'unreadable';

/** Answers `sync:subscribe` with one page of the collection. */
export interface SyncSnapshotReply {
  event: 'sync:snapshot';
  data: SyncSnapshotData;
  id?: CommandId;
}

/** One page of a collection. */
export interface SyncSnapshotData {
  room: Room;
  /** A place in the log such that every change up to it is in this page. */
  position: Position;
  /** In the order of their keys' bytes. */
  items: SyncItem[];
  /** There are more items than these: send it along for the next page. */
  cursor?: SyncKey;
}

/** One item as it stands. */
export interface SyncItem {
  key: SyncKey;
  /** Greater than those of all writes to the collection before. Compare it, and hand it back as `if_version`. */
  version: number;
  /** Any JSON value. */
  value: unknown;
}

/** Answers `sync:write`. */
export interface SyncWrittenReply {
  event: 'sync:written';
  data: SyncWrittenData;
  id?: CommandId;
}

export interface SyncWrittenData {
  key: SyncKey;
  /** That of this write; where nothing was there to delete, the collection's last. */
  version: number;
  /** The position of the publication that tells it; `null` where nothing was there to delete. */
  id: Position | null;
}

/** Answers `presence:enter`. */
export interface PresenceEnteredReply {
  event: 'presence:entered';
  data: PresenceEnteredData;
  id?: CommandId;
}

export interface PresenceEnteredData {
  room: Room;
}

/** Answers `presence:update`. */
export interface PresenceUpdatedReply {
  event: 'presence:updated';
  data: PresenceUpdatedData;
  id?: CommandId;
}

export interface PresenceUpdatedData {
  room: Room;
}

/** Answers `presence:leave`. */
export interface PresenceLeftReply {
  event: 'presence:left';
  data: PresenceLeftData;
  id?: CommandId;
}

export interface PresenceLeftData {
  room: Room;
}

/** Answers `presence:watch`: who is in the room. In a large room the next diffs bring the rest. */
export interface PresenceSnapshotReply {
  event: 'presence:snapshot';
  data: PresenceSnapshotData;
  id?: CommandId;
}

/** Who is in a room, from which diffs go on. */
export interface PresenceSnapshotData {
  room: Room;
  /** The next diff of the room on this connection has this number plus 1. */
  version: number;
  members: Member[];
}

/** A user in a room. */
export interface Member {
  user_id: UserId;
  status: PresenceStatus;
  /** Any JSON value, at most 1,024 bytes as JSON text; `null` for none. */
  state: unknown;
}

/** A user, as in `authenticated`. */
export type UserId = string;

/** Answers `presence:unwatch`. */
export interface PresenceUnwatchedReply {
  event: 'presence:unwatched';
  data: PresenceUnwatchedData;
  id?: CommandId;
}

export interface PresenceUnwatchedData {
  room: Room;
}

/** Answers a command that was refused. It does not end the session, unless it answers the first credentials. */
export interface ErrorReply {
  event: 'error';
  data: ErrorData;
  id?: CommandId;
}

/** A refusal as its cause saw it: a code for programs, a sentence for people. */
export interface ErrorData {
  code: ErrorCode;
  /** For people; it may change. */
  message: string;
  /** The item as it is; `null` when there is none. */
  current?: SyncItem | null;
  /** The version of its deletion, where there is none and that is remembered. */
  deleted_version?: number | null;
  /** How long the client should wait before it tries again. */
  retry_after_ms?: number;
}

/** What went wrong. More codes may come: treat one that you do not know like `INTERNAL_ERROR`. */
export type ErrorCode =
  /** The token is malformed, forged, expired, revoked, or for somebody else than the session's. */
  | 'AUTH_FAILED'
  /** Not authenticated yet, or not granted. */
  | 'UNAUTHORIZED'
  /** No JSON object, an unknown command or event, wrong types, values out of bounds. */
  | 'INVALID_MESSAGE'
  /** The room or pattern breaks the grammar. */
  | 'INVALID_ROOM'
  /** Only in a close with 1009, and over REST. */
  | 'MESSAGE_TOO_LARGE'
  /** Too many commands; wait `retry_after_ms`. */
  | 'RATE_LIMIT_EXCEEDED'
  /** The session has its full number of subscriptions. */
  | 'SUBSCRIPTION_FAILED'
  /** Unsubscribed from what was no subscription, or not present in the room. */
  | 'ROOM_NOT_FOUND'
  /**
   * The room has its full number of sessions on this node, or of members, or the collection of items; wait
   * `retry_after_ms` where it is there. Without one the session is present in its full number of rooms, or watches it.
   */
  | 'ROOM_FULL'
  /** The item of a collection is not as the write demands; `current` tells how it is. */
  | 'CONFLICT'
  /** The org has its full number of connections; reconnect after `retry_after_ms`. */
  | 'CONNECTION_LIMIT'
  /**
   * Redis, or the keys to check tokens, cannot be reached; retry after `retry_after_ms`, publishing with the same key.
   */
  | 'BROKER_UNAVAILABLE'
  /** A failure of the server; retry later. */
  | 'INTERNAL_ERROR';

/** What the server sends unasked, publications aside. */
export type Push =
  | GapPush
  | ConflatedPush
  | PositionPush
  | TokenExpiringPush
  | UnsubscribedPush
  | PresenceDiffPush
  | PresenceEndedPush;

/** Something within reach may be missing: fetch the present state anew. */
export interface GapPush {
  event: 'gap';
  data: GapData;
}

/** A slow session does not get some publications of low priority: later ones, which follow, took their place. */
export interface ConflatedPush {
  event: 'conflated';
  data: ConflatedData;
}

/**
 * Publications of low priority that a slow session does not get, because later ones took their place. Sent before
 * those.
 */
export interface ConflatedData {
  /** They stand in the log after this position … */
  from: Position;
  /** … and up to this one, and so do those that took their place. */
  to: Position;
  /** How many there are. */
  left_out: number;
}

/** Sent with the heartbeat to a session that nothing concerned. */
export interface PositionPush {
  event: 'position';
  data: PositionData;
}

/** A place in the log to keep like any other. */
export interface PositionData {
  position: Position;
}

/** Authenticate with a fresh token, or be closed. */
export interface TokenExpiringPush {
  event: 'token:expiring';
  data: TokenExpiringData;
}

/** When the token ends. */
export interface TokenExpiringData {
  /** Unix seconds. */
  expires_at: number;
}

/** The server ended subscriptions. Unlike the reply it has a `code`. */
export interface UnsubscribedPush {
  event: 'unsubscribed';
  data: SubscriptionsEndedData;
}

/** Subscriptions that the server ended, and why. */
export interface SubscriptionsEndedData {
  /** In canonical form. */
  rooms: Pattern[];
  code: ErrorCode;
  /** For people; it may change. */
  message: string;
}

/** Who came to a watched room, told something else or went. */
export interface PresenceDiffPush {
  event: 'presence:diff';
  data: PresenceDiffData;
}

/** What changed in a room, by users. */
export interface PresenceDiffData {
  room: Room;
  /**
   * One more than that of the room's last diff or snapshot on this connection. When a number is missing, watch again.
   */
  version: number;
  joined: Member[];
  updated: Member[];
  left: UserId[];
}

/** A renewed token no longer grants presence in the room: the session is in it no more and watches it no more. */
export interface PresenceEndedPush {
  event: 'presence:ended';
  data: PresenceEndedData;
}

/** A room in which a renewed token no longer grants presence, and why. */
export interface PresenceEndedData {
  room: Room;
  code: ErrorCode;
  /** For people; it may change. */
  message: string;
}

/**
 * Why the server closes a connection. 1000–1015 are RFC 6455 section 7.4.1; 4000–4499 mean "reconnect", 4500–4999 "do
 * not".
 */
export type CloseCode =
  /** Normal: The answer to the client's own close. */
  | 1000
  /** ProtocolError: The frames broke RFC 6455. */
  | 1002
  /** UnsupportedData: A binary message, or a text where MessagePack is spoken. */
  | 1003
  /** InvalidPayload: A text that is not UTF-8, or broken compression. */
  | 1007
  /** PolicyViolation: Reserved. */
  | 1008
  /** MessageTooBig: A message too long, in too many fragments, or unfinished for too long before authentication. */
  | 1009
  /** InternalError: A failure of the server. */
  | 1011
  /** Drain: The node shuts down or hands its sessions on. */
  | 4000
  /** Stale: Nothing came from the client for too long. */
  | 4001
  /** TokenExpired: The token has expired, or its time has not come by this node's clock; come back with a fresh one. */
  | 4002
  /** ConnectionLimit: Too many connections at the moment. */
  | 4003
  /** RateLimited: Too many commands. */
  | 4004
  /** BrokerUnavailable: The broker cannot be reached. */
  | 4005
  /** Disconnected: An administrator disconnected the session. */
  | 4006
  /** AuthFailed: No valid credentials. */
  | 4500
  /** AuthTimeout: Nothing authenticated in time. */
  | 4501
  /** Revoked: The token, the user or the session was revoked. */
  | 4502
  /** Unauthorized: Credentials are valid, what they grant is not enough. */
  | 4503
  /** InvalidMessage: Malformed or refused commands over and over. */
  | 4504;

/** The reason in a close frame, where it is not empty. */
export interface CloseReason {
  code?: ErrorCode;
  /** How long the client should wait before it comes back. */
  retry_after_ms?: number;
}
