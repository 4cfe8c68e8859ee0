// The entry `@roomcast/client/react`: hooks and components over one shared client.

export { useClient } from './store.js';
export { RoomcastProvider } from './provider.js';
export type { RoomcastProviderProps } from './provider.js';
export { useAlertNotifications, useAttendanceUpdates, useBacklogUpdates, useChannel, useKPIUpdates, useRealtimeChannel } from './hooks.js';
export { useRealtimePresence, useRealtimeSync, useWebSocket, useWebSocketHealth, useWebSocketSubscription } from './hooks.js';
export { ConnectionStatus, RealtimeIndicator } from './status.js';
export type { ConnectionStatusProps, RealtimeIndicatorProps } from './status.js';
export { roomsOf } from '../index.js';
export type { AlertActions, AlertEntry, Alerts, AlertsOptions, AlertStatus, Updates, UpdatesOptions } from '../index.js';
export type { Batch, ChannelActions, ChannelOptions, Connection, RoomIds, RoomOptions, RoomsView, Target } from '../index.js';
export type { RealtimePresence, RealtimePresenceOptions, RealtimeSync, RealtimeSyncOptions } from '../index.js';
export type { Alert, AttendanceUpdate, BacklogUpdate, KpiUpdate } from '../index.js';
