// Whose state the client holds. Position, rooms and outbox of one user and org are never used for another, within a page or over a reload.

import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { readKept, subjectOf, writeKept } from './keep.js';
import type { Outbox } from './outbox.js';
import { toItem } from './publishing.js';
import type { Rooms } from './rooms.js';
import type { ClientOptions, Position } from './types.js';

/** Positions change with every publication, and storages are slow. */
const WRITE_PAUSE_MS = 500;

interface Parts {
  env: Environment;
  options: ClientOptions;
  outbox: Outbox;
  rooms: Rooms<unknown>;
  position(): Position | null;
}

export interface Identity {
  /** Where an earlier page with a token for the same subject got to, together with its rooms. */
  kept(token: string): { position: Position | null; rooms: readonly string[] };
  /** The server says who it is; answers whether that is who the state belongs to. */
  entered(user: string, org: string): boolean;
  /** Writes soon. */
  changed(): void;
  write(): void;
  forget(): void;
}

export function createIdentity({ env, options, outbox, rooms, position }: Parts): Identity {
  const { storage, storageKey = 'roomcast' } = options;
  let kept = readKept(storage, storageKey);
  let who: { user: string; org: string } | undefined;
  let subject: string | null = null;
  let cancel: (() => void) | undefined;

  function write() {
    cancel?.();
    cancel = undefined;
    if (who) writeKept(storage, storageKey, { ...who, subject, position: position(), rooms: rooms.held(), outbox: outbox.texts() });
  }

  return {
    kept(token) {
      subject = subjectOf(token);
      if (!kept || !subject || kept.subject !== subject) return { position: null, rooms: [] };
      who ??= { user: kept.user, org: kept.org };
      return kept;
    },
    entered(user, org) {
      const differs = (other: typeof who) => other?.user !== user || other.org !== org;
      const mine = !who || !differs(who);
      if (!mine) {
        const fault = new RoomcastError('AUTH_FAILED', 'this was queued for another user or organization');
        for (const item of outbox.clear()) item.failed(fault);
      }
      if (kept && !differs(kept)) outbox.restore(kept.outbox.map((text) => toItem(text)));
      kept = undefined;
      who = { user, org };
      return mine;
    },
    changed() {
      if (storage && who) cancel ??= env.after(WRITE_PAUSE_MS, write);
    },
    write,
    forget() {
      cancel?.();
      cancel = who = kept = undefined;
      writeKept(storage, storageKey, null);
    },
  };
}
