// The past of a room, page by page. A module of its own: whoever shows none does not load it.

import { RoomcastError } from './fault.js';
import type { HistoryPageData } from './protocol.generated.js';
import type { Client, Filter, Gap, Position, Publication } from './types.js';

export interface HistoryOptions {
  /** Begins after this position, or before it with `reverse`; `next` of the page before. Default: the oldest, or the newest with `reverse`. */
  since?: Position | null;
  /** Publications in one page. Default 100; the server has a maximum of its own. */
  limit?: number;
  /** The newest first. */
  reverse?: boolean;
  /** Only what passes: `where('severity >= 3')`. */
  filter?: Filter;
}

export interface HistoryPage<T = unknown> {
  /** In the order asked for. There may be fewer than `limit`, even none, although more follow. */
  publications: Publication<T>[];
  /** What the log no longer holds, on the way or, backwards, before its beginning. */
  gaps: Gap[];
  /** The next page's `since`; `null` while nothing was ever published. */
  next: Position | null;
  /** Whether nothing more follows in this direction. */
  end: boolean;
}

/** One page of what was published into a room or pattern. It subscribes to nothing, and needs the right `history`. */
export async function historyOf<T = unknown>(client: Client, room: string, options: HistoryOptions = {}): Promise<HistoryPage<T>> {
  if (client.session && !client.session.features.includes('history')) throw new RoomcastError('UNSUPPORTED', 'the server has no history');
  const { filter, ...rest } = options;
  const page = await client.request<HistoryPageData>('history', { ...rest, room, filter: filter?.text });
  return { ...page, publications: page.publications.map((push) => toPublication<T>(push)) };
}

/** As handlers get them: what is left out on the wire says nothing. */
export function toPublication<T>({ requires_ack: requiresAck = false, cascade: _, ...plain }: HistoryPageData['publications'][number]): Publication<T> {
  return { priority: 'medium', headers: {}, replayed: false, ...plain, requiresAck } as Publication<T>;
}
