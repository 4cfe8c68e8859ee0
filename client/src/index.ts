// The public face of the client.

import { createClientIn } from './client.js';
import { environment } from './environment.js';
import type { Client, ClientOptions } from './types.js';

/** Makes a client, which connects at once unless told not to. */
export function createClient(options: ClientOptions): Client {
  return createClientIn(environment, options);
}

export { asBytes, bytesOf } from './binary.js';
export { RoomcastError } from './fault.js';
export { historyOf } from './history.js';
export type { HistoryOptions, HistoryPage } from './history.js';
export { keepIn } from './keep.js';
export { followLatest } from './latest.js';
export type { LatestOptions } from './latest.js';
export { presence } from './presence.js';
export { onReceipt, publishForReceipt } from './receipts.js';
export { alertsOf } from './stores/alerts.js';
export type { AlertActions, AlertEntry, Alerts, AlertsOptions, AlertStatus } from './stores/alerts.js';
export { channelOf } from './stores/channel.js';
export type { Channel, ChannelActions, ChannelOptions } from './stores/channel.js';
export { connectionOf, healthOf } from './stores/connection.js';
export type { Connection } from './stores/connection.js';
export { itemsOf } from './stores/items.js';
export type { RealtimeSync, RealtimeSyncOptions } from './stores/items.js';
export { membersOf } from './stores/members.js';
export type { RealtimePresence, RealtimePresenceOptions } from './stores/members.js';
export type { Alert, AttendanceUpdate, BacklogUpdate, KpiUpdate } from './stores/payloads.js';
export type { Batch, Store } from './stores/store.js';
export { roomsOf, subscriptionOf } from './stores/subscription.js';
export type { RoomIds, RoomOptions, RoomsView, Target } from './stores/subscription.js';
export { updatesOf } from './stores/updates.js';
export type { Updates, UpdatesOptions } from './stores/updates.js';
export { collection } from './sync.js';
export { fallback } from './transport/fallback.js';
export { longPoll } from './transport/long-poll.js';
export type { HttpOptions } from './transport/http.js';
export { msgpack } from './transport/msgpack.js';
export { sse } from './transport/sse.js';
export { webSocket } from './transport/web-socket.js';
export { where } from './where.js';
export type { WebSocketLike, WebSocketOptions } from './transport/web-socket.js';
export type * from './types.js';
