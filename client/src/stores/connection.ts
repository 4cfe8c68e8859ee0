// The connection itself: its state and its quality.

import type { Client, ClientEvents, ConnectionState, Health, RoomcastFault, Session } from '../types.js';
import { createStore } from './store.js';
import type { Store } from './store.js';

export interface Connection {
  client: Client;
  state: ConnectionState;
  isConnected: boolean;
  session: Session | null;
  /** Why the state is `error`, or why the last attempt failed. */
  fault: RoomcastFault | null;
}

const away = { state: 'disconnected', isConnected: false, session: null, fault: null, quality: 'offline', latencyMs: null } as const;

function storeOf<V extends { state: ConnectionState }>(client: Client, look: () => V, ...events: readonly (keyof ClientEvents)[]): Store<V> {
  const make = (changed: () => void) => {
    let shown = look();
    const renew = () => {
      shown = look();
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
  };
  return createStore<V>(make, 'microtask', away);
}

/** The state of a client's connection. */
export function connectionOf(client: Client): Store<Connection> {
  const look = () => {
    const { state, session, fault } = client;
    return { client, state, isConnected: state === 'connected', session, fault };
  };
  return storeOf(client, look, 'state', 'session', 'error');
}

/** Latency, quality, attempts and counters; news at most with each heartbeat and each change of state. */
export function healthOf(client: Client): Store<Health> {
  return storeOf(client, () => client.health, 'health');
}
