// The state of queues, departments and orgs as their backends publish it.

import type { Client, Publication } from '../types.js';
import type { Store } from './store.js';
import { foldOf } from './subscription.js';
import type { RoomIds, RoomOptions, RoomsView } from './subscription.js';

export interface UpdatesOptions extends RoomIds, RoomOptions {
  /** Publications kept in `history`. Default 100. */
  historyMax?: number;
  /** Rooms kept in `byRoom`; the one that was silent for longest goes first. Default 1,000. */
  roomsMax?: number;
}

interface Kept<T> {
  /** What came last, in whichever room. */
  latest: T | null;
  /** What came last in each room, by the room's name. */
  byRoom: Readonly<Record<string, T>>;
  /** The oldest first. */
  history: readonly Publication<T>[];
  /** By the server's clock, in Unix milliseconds. */
  lastUpdatedAt: number | null;
}

export type Updates<T> = Kept<T> & RoomsView;

/**
 * The state of an org, a department or a queue, and of everything below it: what came last into each room, and the last publications.
 *
 * `updatesOf<KpiUpdate>(client, 'kpi', { departmentId: 'sales' })`
 */
export function updatesOf<T = unknown>(client: Client, channel: string, options: UpdatesOptions = {}): Store<Updates<T>> {
  const { historyMax = 100, roomsMax = 1_000 } = options;
  const byRoom = new Map<string, T>();
  const history: Publication<T>[] = [];
  let last: Publication<T> | undefined;
  return foldOf<Kept<T>>(client, { ...options, channels: [channel] }, options, () => ({
    add(publication: Publication<T>) {
      // Alerts of the family have payloads of another kind.
      if (publication.event.endsWith(':alert')) return false;
      last = publication;
      byRoom.delete(last.room);
      byRoom.set(last.room, last.data);
      if (byRoom.size > roomsMax) byRoom.delete(byRoom.keys().next().value ?? '');
      history.push(last);
      if (history.length > historyMax) history.shift();
      return true;
    },
    view: () => ({
      latest: last ? last.data : null,
      byRoom: Object.fromEntries(byRoom),
      history: [...history],
      lastUpdatedAt: last ? Date.parse(last.ts) : null,
    }),
  }));
}
