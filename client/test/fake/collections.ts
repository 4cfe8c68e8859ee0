// Collections as docs/collections.md of the repository has the server do them.

import { canonical } from '../../src/pattern.js';
import type { Item } from '../../src/types.js';
import type { FakeServer } from './server.js';
import { Refusal } from './session.js';

interface Stored {
  version: number;
  items: Map<string, Item>;
}

interface Write {
  op: 'insert' | 'update' | 'delete';
  key: string;
  value?: unknown;
  if_version?: number;
  idempotency_key?: string;
}

interface Answer {
  key: string;
  version: number;
  id: string | null;
}

export class FakeCollections {
  /** Items of one page. */
  pageMax = 100;
  /** Called before a page is answered, with its number. */
  beforePage: (() => void) | undefined;
  private readonly rooms = new Map<string, Stored>();
  private readonly answers = new Map<string, Answer>();

  constructor(private readonly server: FakeServer) {
    server.features = [...server.features, 'sync'];
    server.commands.set('sync:subscribe', (data) => {
      const room = roomOf(data);
      this.beforePage?.();
      const items = [...this.stored(room).items.values()];
      const from = data.cursor ? items.findIndex(({ key }) => key === data.cursor) + 1 : 0;
      const page = items.slice(from, from + this.pageMax);
      const more = from + page.length < items.length ? { cursor: page.at(-1)!.key } : {};
      return { event: 'sync:snapshot', data: { room, position: server.log().last, items: page, ...more } };
    });
    server.commands.set('sync:write', (data) => ({ event: 'sync:written', data: this.write(roomOf(data), data as unknown as Write) }));
  }

  itemsIn(room: string): Item[] {
    return [...this.stored(room).items.values()];
  }

  /** A write by anybody. */
  write(room: string, write: Write): Answer {
    const key = write.idempotency_key;
    const known = key === undefined ? undefined : this.answers.get(key);
    if (known) return known;
    const answer = this.carryOut(room, write);
    if (key !== undefined) this.answers.set(key, answer);
    return answer;
  }

  /** The server forgets everything, versions included. */
  lose(room: string): void {
    this.rooms.delete(room);
  }

  private carryOut(room: string, { op, key, value, if_version }: Write): Answer {
    const stored = this.stored(room);
    const current = stored.items.get(key) ?? null;
    const other = if_version !== undefined && current?.version !== if_version;
    if (other || (op === 'insert' && current) || (op === 'update' && !current)) throw new Refusal('CONFLICT', `${key} is another`, { current });
    if (op === 'delete' && !current) return { key, version: stored.version, id: null };
    const version = ++stored.version;
    if (op === 'delete') stored.items.delete(key);
    else stored.items.set(key, { key, version, value });
    const { id } = this.server.publish({ room, event: `sync:${op}`, data: { key, version, ...(op !== 'delete' && { value }) } });
    return { key, version, id };
  }

  private stored(room: string): Stored {
    const stored = this.rooms.get(room) ?? { version: 0, items: new Map() };
    this.rooms.set(room, stored);
    return stored;
  }
}

function roomOf(data: Record<string, unknown>): string {
  const room = canonical(String(data.room));
  if (room.includes('*') || !room.startsWith('sync:')) throw new Refusal('INVALID_ROOM', 'no room of a collection');
  return room;
}
