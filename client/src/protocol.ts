// Reads what the server sends, and what a close means. The shapes on the wire are in protocol.generated.ts.

import { RoomcastError } from './fault.js';
import type * as wire from './protocol.generated.js';

/** Anything from the server. What has a `room` is a publication; what has an `id` and none answers a command. */
export type Message = { event: string; id?: wire.CommandId; data?: unknown };

export type PublicationPush = wire.Publication;

/** Reads an object, or nothing: later versions may send what this one does not know. */
export function readObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Codes are told as they came; what is missing counts as a failure of the server. */
export function toFault(data: unknown): RoomcastError {
  const fields = isObject(data) ? data : {};
  return new RoomcastError(String(fields.code ?? 'INTERNAL_ERROR'), fields.message as string, {
    retryAfterMs: milliseconds(fields.retry_after_ms),
    data: fields,
  });
}

/** What a close says: why, whether coming back is of any use, and how long to stay away at least. Reasons of proxies are free text. */
export function readClose(closeCode: number, reason: string): RoomcastError {
  const told = toFault({ code: 'DISCONNECTED', ...readObject(reason), message: `closed with ${closeCode}` });
  return Object.assign(told, { closeCode, fatal: closeCode >= 4500 });
}

function milliseconds(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 0 ? value : undefined;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
