// State that outlives the page: position, rooms and outbox, bound to the user and org they belong to. Whatever the storage holds or
// does, the worst that happens is that nothing was kept.

import { isObject } from './protocol.js';
import type { Keeper, KeptState, StateStorage } from './types.js';

const VERSION = 2;
/** Positions change with every publication, and storages are slow. */
const PAUSE_MS = 500;

/**
 * Keeps a client's state in a storage, for instance `sessionStorage`. Two clients that share a storage need different keys. A tab that
 * was duplicated goes on from a copy: what both then send carries the same keys, and the server logs it once.
 */
export function keepIn(storage: StateStorage, key = 'roomcast'): Keeper {
  let kept = read(storage, key);
  let subject: string | null = null;
  let cancel: (() => void) | undefined;

  /** Before its first session the client has not got all that was kept, and there may never be one: so it is not written over. */
  function unclaimed({ who, rooms, outbox }: KeptState): Pick<KeptState, 'rooms' | 'outbox'> | undefined {
    return kept?.who === who ? { rooms: [...new Set([...kept.rooms, ...rooms])], outbox: [...kept.outbox, ...outbox] } : undefined;
  }

  return {
    recall(token) {
      subject = subjectOf(token);
      return subject !== null && kept?.subject === subject ? kept : undefined;
    },
    claim(who) {
      const claimed = kept?.who === who ? kept.outbox : [];
      kept = undefined;
      return claimed;
    },
    save(state, after) {
      const now = () => {
        cancel?.();
        cancel = undefined;
        const known = state();
        if (known) write(storage, key, { v: VERSION, subject, ...known, ...unclaimed(known) });
      };
      if (!after) now();
      else cancel ??= after(PAUSE_MS, now);
    },
    forget() {
      cancel?.();
      cancel = kept = undefined;
      write(storage, key, null);
    },
  };
}

interface Kept extends KeptState {
  /** Whom the token named; known before the server has said who it is for. */
  subject: string | null;
}

function read(storage: StateStorage, key: string): Kept | undefined {
  try {
    const kept: unknown = JSON.parse(storage.getItem(key) ?? '');
    return isKept(kept) ? kept : undefined;
  } catch {
    return undefined;
  }
}

/** Writes it, or leaves nothing: an older state would be believed later. */
function write(storage: StateStorage, key: string, kept: object | null): void {
  try {
    if (kept) return storage.setItem(key, JSON.stringify(kept));
  } catch {
    // Full, or forbidden.
  }
  try {
    storage.removeItem(key);
  } catch {
    // Forbidden altogether.
  }
}

function isKept(value: unknown): value is Kept {
  if (!isObject(value) || value.v !== VERSION || typeof value.who !== 'string') return false;
  const texts = (list: unknown) => Array.isArray(list) && list.every((text) => typeof text === 'string');
  const nullable = (text: unknown) => text === null || typeof text === 'string';
  return nullable(value.subject) && nullable(value.position) && texts(value.rooms) && texts(value.outbox) && (value.outbox as string[]).every(isPublish);
}

function isPublish(text: string): boolean {
  const data: unknown = JSON.parse(text);
  return isObject(data) && typeof data.idempotency_key === 'string';
}

/** Whom a JWT is for, without checking anything: only to tell one's own tokens apart. `null` for tokens that cannot be read. */
function subjectOf(token: string): string | null {
  try {
    const bytes = Uint8Array.from(atob(token.split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    const { iss, sub, org } = JSON.parse(new TextDecoder().decode(bytes));
    return sub ? JSON.stringify([iss, sub, org]) : null;
  } catch {
    return null;
  }
}
