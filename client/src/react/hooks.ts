// The hooks: each shows a store of the shared client while its component is shown. One begins anew when its room, its target or an
// option has changed, other than a function.

import { useEffect } from 'react';
import { alertsOf, channelOf, connectionOf, healthOf, itemsOf, membersOf, subscriptionOf, updatesOf } from '../index.js';
import type { Alerts, AlertsOptions } from '../stores/alerts.js';
import type { Channel, ChannelActions, ChannelOptions } from '../stores/channel.js';
import type { Connection } from '../stores/connection.js';
import type { RealtimeSync, RealtimeSyncOptions } from '../stores/items.js';
import type { RealtimePresence, RealtimePresenceOptions } from '../stores/members.js';
import type { Alert, AttendanceUpdate, BacklogUpdate, KpiUpdate } from '../stores/payloads.js';
import type { RoomOptions, RoomsView, Target } from '../stores/subscription.js';
import type { Updates, UpdatesOptions } from '../stores/updates.js';
import type { Handler, Health, Publication } from '../types.js';
import { useRooms, useStore } from './store.js';

/** The shared client and the state of its connection: `const { state, client } = useWebSocket()`. */
export function useWebSocket(): Connection {
  return useStore(connectionOf);
}

/** Latency, quality, attempts and counters; news at most with each heartbeat and each change of state. */
export function useWebSocketHealth(): Health {
  return useStore(healthOf);
}

/**
 * Calls `handler` for what is published into the target, and keeps nothing: the component renders anew only when the subscription's
 * own state changes. A new function as handler does not subscribe anew.
 *
 * `useWebSocketSubscription({ channels: ['kpi', 'backlog'], departmentId: 'sales' }, (publication) => …)`
 */
export function useWebSocketSubscription<T = unknown>(target: Target, handler: Handler<T>, options?: RoomOptions): RoomsView {
  return useRooms(subscriptionOf, target, handled(handler, options));
}

/** Like `useWebSocketSubscription` for one room, which it can publish into too. */
export function useChannel<T = unknown>(room: string, handler: Handler<T>, options?: RoomOptions): RoomsView & ChannelActions {
  return useRooms(channelOf, room, { ...handled(handler, options), historyMax: 0 });
}

/** The last publications of a room, and how to publish into it. */
export function useRealtimeChannel<T = unknown>(room: string, options?: ChannelOptions): Channel<T> {
  return useRooms(channelOf<T>, room, options);
}

/**
 * KPIs of an org, a department or a queue, and of everything below it: `kpi:update` and `kpi:computed`, or what `event` says.
 *
 * `const { latest, byRoom } = useKPIUpdates({ departmentId: 'sales' })`. Name your own payload as in `useKPIUpdates<MyKpi>()`.
 */
export function useKPIUpdates<T = KpiUpdate>(options?: UpdatesOptions): Updates<T> {
  return useRooms(updatesOf<T>, 'kpi', options);
}

/** Backlogs of an org, a department or a queue, and of everything below it: `backlog:update` and `backlog:snapshot`. */
export function useBacklogUpdates<T = BacklogUpdate>(options?: UpdatesOptions): Updates<T> {
  return useRooms(updatesOf<T>, 'backlog', options);
}

/** Attendance in an org, a department or a queue, and in everything below it: updates, check-ins and check-outs. */
export function useAttendanceUpdates<T = AttendanceUpdate>(options?: UpdatesOptions): Updates<T> {
  return useRooms(updatesOf<T>, 'attendance', options);
}

/**
 * Alerts of an org, a department or a queue, and of everything below it, with what has become of them: triggered, escalated,
 * acknowledged, resolved. Payloads need an `id`.
 */
export function useAlertNotifications<T extends { id: string } = Alert>(options?: AlertsOptions): Alerts<T> {
  return useRooms(alertsOf<T>, 'alerts', options);
}

/**
 * Shows who is in a room, and enters it while the component is shown where `enter` is given. A changed `enter` is told to the others;
 * so is what `update` says, until `enter` changes again.
 */
export function useRealtimePresence<S = unknown>(room: string, options: RealtimePresenceOptions<S> = {}): RealtimePresence<S> {
  const { enabled = true, enter } = options;
  const shown = useStore((client) => membersOf(client, room, options), room, enabled, !enter);
  const { update } = shown;
  useEffect(() => {
    // A refusal shows in `fault`.
    if (enabled && enter) update(enter).catch(() => {});
  }, [update, JSON.stringify(enter)]);
  return shown;
}

/** Mirrors the collection in a room of the channel `sync`, and writes to it. Components that show the same one share it. */
export function useRealtimeSync<T = unknown>(room: string, options?: RealtimeSyncOptions): RealtimeSync<T> {
  return useStore((client) => itemsOf<T>(client, room, options), room, options);
}

function handled<T>(handler: Handler<T>, options?: RoomOptions): RoomOptions {
  const onPublication = (publication: Publication) => {
    handler(publication as Publication<T>);
    options?.onPublication?.(publication);
  };
  return { ...options, onPublication };
}
