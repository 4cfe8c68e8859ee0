// Where hooks find the client that they share.

import { createContext, useContext } from 'react';
import type { Client } from '../types.js';

export const ClientContext = createContext<Client | null>(null);

/**
 * The client of the nearest `RoomcastProvider`.
 *
 * @throws when there is none
 */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (!client) throw new Error('no roomcast client: wrap this in <RoomcastProvider client={…}> or <RoomcastProvider options={…}>');
  return client;
}
