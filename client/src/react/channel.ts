// One room or several, for whatever is published there.

import type { Client, Handler, Publication, Published, PublishRequest } from '../types.js';
import { useRooms } from './rooms.js';
import type { Fold, RoomOptions, RoomsView, Target } from './rooms.js';

export interface ChannelActions {
  /** Publishes into the room; waits in the outbox while offline. */
  publish<D = unknown>(event: string, data: D, options?: Omit<PublishRequest, 'room' | 'event' | 'data' | 'log'>): Promise<Published>;
  /** Publishes for whoever is connected now, without id and replay: typing, cursors. */
  broadcast<D = unknown>(event: string, data: D): Promise<Published>;
}

export interface ChannelOptions extends RoomOptions {
  /** Publications kept. Default 100. */
  historyMax?: number;
}

interface Kept<T> {
  /** The oldest first. */
  publications: readonly Publication<T>[];
}

const nothing = {};

function keep<T>(client: Client, room: string, historyMax: number): Fold<Kept<T> & ChannelActions> {
  const publications: Publication<T>[] = [];
  const actions = actionsIn(client, room);
  return {
    add(publication: Publication<T>) {
      publications.push(publication);
      if (publications.length > historyMax) publications.shift();
      return true;
    },
    view: () => ({ publications: [...publications], ...actions }),
  };
}

const actionsIn = (client: Client, room: string): ChannelActions => ({
  publish: (event, data, options) => client.publish({ ...options, room, event, data }),
  broadcast: (event, data) => client.publish({ room, event, data, log: false }),
});

function useHandler<T, V extends object>(
  target: Target,
  handler: Handler<T>,
  options: RoomOptions = {},
  look: (client: Client) => V,
): V & RoomsView {
  const onPublication = (publication: Publication) => {
    handler(publication as Publication<T>);
    options.onPublication?.(publication);
  };
  return useRooms(target, { ...options, onPublication }, (client) => {
    const view = look(client);
    return { add: () => false, view: () => view };
  });
}

/**
 * Calls `handler` for what is published into the target, and keeps nothing: the component renders anew only when the subscription's
 * own state changes. A new function as handler does not subscribe anew.
 *
 * `useWebSocketSubscription({ channels: ['kpi', 'backlog'], departmentId: 'sales' }, (publication) => …)`
 */
export const useWebSocketSubscription = <T = unknown>(target: Target, handler: Handler<T>, options?: RoomOptions): RoomsView =>
  useHandler(target, handler, options, () => nothing);

/** Like `useWebSocketSubscription` for one room, which it can publish into too. */
export const useChannel = <T = unknown>(room: string, handler: Handler<T>, options?: RoomOptions): RoomsView & ChannelActions =>
  useHandler(room, handler, options, (client) => actionsIn(client, room));

/** The last publications of a room, and how to publish into it. */
export function useRealtimeChannel<T = unknown>(room: string, options: ChannelOptions = {}): Kept<T> & RoomsView & ChannelActions {
  const { historyMax = 100 } = options;
  return useRooms(room, options, (client) => keep<T>(client, room, historyMax));
}
