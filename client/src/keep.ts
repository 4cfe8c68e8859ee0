// State that outlives the page: position, rooms and outbox, bound to the user and org they belong to. Whatever the storage holds or
// does, the worst that happens is that nothing was kept.

import { isObject } from './protocol.js';
import type { Position, StateStorage } from './types.js';

export interface Kept {
  user: string;
  org: string;
  /** Who the token names; known before the server has said who it is for. */
  subject: string | null;
  position: Position | null;
  rooms: string[];
  /** Data of `publish` commands, as JSON texts. */
  outbox: string[];
}

const VERSION = 1;

export function readKept(storage: StateStorage | undefined, key: string): Kept | undefined {
  try {
    const kept: unknown = JSON.parse(storage?.getItem(key) ?? 'null');
    return isKept(kept) ? kept : undefined;
  } catch {
    return undefined;
  }
}

/** Writes it, or leaves nothing: an older state would be believed later. */
export function writeKept(storage: StateStorage | undefined, key: string, kept: Kept | null): void {
  try {
    if (kept) return storage?.setItem(key, JSON.stringify({ v: VERSION, ...kept }));
  } catch {
    // Full, or forbidden.
  }
  try {
    storage?.removeItem(key);
  } catch {
    // Forbidden altogether.
  }
}

function isKept(value: unknown): value is Kept {
  if (!isObject(value) || value.v !== VERSION) return false;
  const texts = (list: unknown) => Array.isArray(list) && list.every((text) => typeof text === 'string');
  const nullable = (text: unknown) => text === null || typeof text === 'string';
  const named = typeof value.user === 'string' && typeof value.org === 'string' && nullable(value.subject) && nullable(value.position);
  return named && texts(value.rooms) && texts(value.outbox) && (value.outbox as string[]).every(isPublish);
}

function isPublish(text: string): boolean {
  const data: unknown = JSON.parse(text);
  return isObject(data) && typeof data.idempotency_key === 'string';
}

/** Who a JWT is for, without checking anything: only to tell one's own tokens apart. `null` for tokens that cannot be read. */
export function subjectOf(token: string): string | null {
  try {
    const bytes = Uint8Array.from(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    const { iss, sub, org } = JSON.parse(new TextDecoder().decode(bytes));
    return sub ? JSON.stringify([iss, sub, org]) : null;
  } catch {
    return null;
  }
}
