// The entry `@roomcast/client/react`: hooks and components over one shared client.

export { useClient } from './client.js';
export { RoomcastProvider } from './provider.js';
export type { RoomcastProviderProps } from './provider.js';
export { useWebSocket, useWebSocketHealth } from './connection.js';
export type { Connection } from './connection.js';
export { useChannel, useRealtimeChannel, useWebSocketSubscription } from './channel.js';
export type { ChannelActions, ChannelOptions } from './channel.js';
export { useAttendanceUpdates, useBacklogUpdates, useKPIUpdates } from './updates.js';
export type { Updates, UpdatesOptions } from './updates.js';
export { useAlertNotifications } from './alerts.js';
export type { AlertActions, AlertEntry, Alerts, AlertsOptions, AlertStatus } from './alerts.js';
export { useRealtimePresence } from './presence.js';
export type { RealtimePresence, RealtimePresenceOptions } from './presence.js';
export { useRealtimeSync } from './sync.js';
export type { RealtimeSync, RealtimeSyncOptions } from './sync.js';
export { ConnectionStatus, RealtimeIndicator } from './status.js';
export type { ConnectionStatusProps, RealtimeIndicatorProps } from './status.js';
export { roomsOf } from './rooms.js';
export type { RoomIds, RoomOptions, RoomsView, Target } from './rooms.js';
export type { Batch } from './store.js';
export type { Alert, AttendanceUpdate, BacklogUpdate, KpiUpdate } from './payloads.js';
