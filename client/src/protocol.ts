// The protocol's messages as they stand on the wire (docs/protocol.md): reading what the server sends, and what a close means.

import { RoomcastError } from './fault.js';
import type { Gap, Publication, PublishRequest, Position } from './types.js';

export interface AuthenticatedData {
  session_id: string;
  user_id: string;
  organization_id: string;
  expires_at: number;
  rooms: string[];
  position: Position | null;
  features?: string[];
}

export interface SubscribedData {
  rooms: string[];
  position: Position | null;
}

export interface ErrorData {
  code: string;
  message: string;
  retry_after_ms?: number;
}

export interface UnsubscribedPush {
  rooms: string[];
  code: string;
  message: string;
}

export type GapPush = Gap;

/** Anything from the server. What has a `room` is a publication; what has an `id` and none answers a command. */
export interface ServerMessage {
  event: string;
  id?: string | number;
  room?: string;
  data?: unknown;
}

export interface PublicationPush {
  event: string;
  room: string;
  id?: Position;
  ts: string;
  data: unknown;
  priority?: Publication['priority'];
  headers?: Record<string, string>;
  replayed?: boolean;
  requires_ack?: boolean;
  cascade?: boolean;
  /** An urgent one that came before others which stand before it in the log: it says nothing of how far the client has got. */
  overtook?: boolean;
}

/** Reads a message, or tells nothing where it is none: later versions may send what this one does not know. */
export function readMessage(text: string): ServerMessage | undefined {
  try {
    const message: unknown = JSON.parse(text);
    return isObject(message) && typeof message.event === 'string' ? (message as unknown as ServerMessage) : undefined;
  } catch {
    return undefined;
  }
}

export function isPublication(message: ServerMessage): message is ServerMessage & PublicationPush {
  return typeof message.room === 'string';
}

export function toPublication(push: PublicationPush): Publication {
  const { event, room, id, ts, data, priority = 'medium', headers = {}, replayed = false, requires_ack: requiresAck = false } = push;
  const publication: Publication = { event, room, ts, data, priority, headers, replayed, requiresAck };
  if (id) publication.id = id;
  return publication;
}

/** The data of a `publish` command; what says nothing is left out. */
export function publishData(request: PublishRequest): Record<string, unknown> {
  const { requiresAck: requires_ack, idempotencyKey: idempotency_key, ttlMs: ttl_ms, ...plain } = request;
  return { ...plain, requires_ack, idempotency_key, ttl_ms };
}

export function toFault(data: unknown): RoomcastError {
  const fields = isObject(data) ? data : {};
  const { code, message } = fields;
  return new RoomcastError(
    typeof code === 'string' ? code : 'INTERNAL_ERROR',
    typeof message === 'string' ? message : 'the server gave no reason',
    { retryAfterMs: milliseconds(fields.retry_after_ms), data: fields },
  );
}

/** What a close says: why, whether coming back is of any use, and how long to stay away at least. */
export function readClose(closeCode: number, reason: string): RoomcastError {
  let fields: Record<string, unknown> = {};
  try {
    const read: unknown = JSON.parse(reason);
    if (isObject(read)) fields = read;
  } catch {
    // Reasons of proxies and browsers are free text.
  }
  const { code } = fields;
  return new RoomcastError(typeof code === 'string' ? code : 'DISCONNECTED', `the connection was closed with code ${closeCode}`, {
    retryAfterMs: milliseconds(fields.retry_after_ms),
    closeCode,
    fatal: closeCode >= 4500 && closeCode < 5000,
  });
}

function milliseconds(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 && value < Infinity ? value : undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
