// The state of queues, departments and orgs as their backends publish it.

import type { Publication } from '../types.js';
import type { AttendanceUpdate, BacklogUpdate, KpiUpdate } from './payloads.js';
import { useRooms } from './rooms.js';
import type { Fold, RoomIds, RoomOptions, RoomsView } from './rooms.js';

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

function keep<T>(historyMax: number, roomsMax: number): Fold<Kept<T>> {
  const byRoom = new Map<string, T>();
  const history: Publication<T>[] = [];
  let last: Publication<T> | undefined;
  return {
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
  };
}

function useUpdates<T>(channel: string, options: UpdatesOptions): Updates<T> {
  const { historyMax = 100, roomsMax = 1_000 } = options;
  return useRooms({ ...options, channels: [channel] }, options, () => keep<T>(historyMax, roomsMax));
}

/**
 * KPIs of an org, a department or a queue, and of everything below it: `kpi:update` and `kpi:computed`, or what `event` says.
 *
 * `const { latest, byRoom } = useKPIUpdates({ departmentId: 'sales' })`. Name your own payload as in `useKPIUpdates<MyKpi>()`.
 */
export const useKPIUpdates = <T = KpiUpdate>(options: UpdatesOptions = {}): Updates<T> => useUpdates('kpi', options);

/** Backlogs of an org, a department or a queue, and of everything below it: `backlog:update` and `backlog:snapshot`. */
export const useBacklogUpdates = <T = BacklogUpdate>(options: UpdatesOptions = {}): Updates<T> => useUpdates('backlog', options);

/** Attendance in an org, a department or a queue, and in everything below it: updates, check-ins and check-outs. */
export const useAttendanceUpdates = <T = AttendanceUpdate>(options: UpdatesOptions = {}): Updates<T> => useUpdates('attendance', options);
