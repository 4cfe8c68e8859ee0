// The connection itself: its state, its quality, and how to steer it.

import type { Client, ClientEvents, ConnectionState, Health, RoomcastFault, Session } from '../types.js';
import { useStore } from './store.js';

export interface Connection {
  client: Client;
  state: ConnectionState;
  isConnected: boolean;
  session: Session | null;
  /** Why the state is `error`, or why the last attempt failed. */
  fault: RoomcastFault | null;
}

const away = { state: 'disconnected', isConnected: false, session: null, fault: null, quality: 'offline', latencyMs: null } as const;

function useLook<V extends { state: ConnectionState }>(look: (client: Client) => V, ...events: readonly (keyof ClientEvents)[]): V {
  return useStore<V>(
    (client, changed) => {
      let shown = look(client);
      const renew = () => {
        shown = look(client);
        changed();
      };
      return {
        view: () => shown,
        start() {
          if (client.state !== shown.state) renew();
          const stops = events.map((event) => client.on(event, renew));
          return () => stops.forEach((stop) => stop());
        },
      };
    },
    '',
    'microtask',
    away,
  );
}

/** The shared client and the state of its connection: `const { state, client } = useWebSocket()`. */
export const useWebSocket = (): Connection =>
  useLook(
    (client) => {
      const { state, session, fault } = client;
      return { client, state, isConnected: state === 'connected', session, fault };
    },
    'state',
    'session',
    'error',
  );

/** Latency, quality, attempts and counters; news at most with each heartbeat and each change of state. */
export const useWebSocketHealth = (): Health => useLook((client) => client.health, 'health');
