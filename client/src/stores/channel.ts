// One room, for whatever is published there.

import type { Client, Publication, Published, PublishRequest } from '../types.js';
import type { Store } from './store.js';
import { foldOf } from './subscription.js';
import type { RoomOptions, RoomsView } from './subscription.js';

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

export interface Channel<T> extends RoomsView, ChannelActions {
  /** The oldest first. */
  publications: readonly Publication<T>[];
}

/** What is published into a room: the last publications, and how to publish there. With `historyMax: 0` it keeps none, and tells of none. */
export function channelOf<T = unknown>(client: Client, room: string, options: ChannelOptions = {}): Store<Channel<T>> {
  const { historyMax = 100 } = options;
  const publications: Publication<T>[] = [];
  const actions: ChannelActions = {
    publish: (event, data, more) => client.publish({ ...more, room, event, data }),
    broadcast: (event, data) => client.publish({ room, event, data, log: false }),
  };
  return foldOf(client, room, options, () => ({
    add(publication: Publication<T>) {
      publications.push(publication);
      if (publications.length > historyMax) publications.shift();
      return historyMax > 0;
    },
    view: () => ({ publications: [...publications], ...actions }),
  }));
}
