// The public face of the client.

import { createClientIn } from './client.js';
import { environment } from './environment.js';
import type { Client, ClientOptions } from './types.js';

/** Makes a client, which connects at once unless told not to. */
export function createClient(options: ClientOptions): Client {
  return createClientIn(environment, options);
}

export { RoomcastError } from './fault.js';
export { keepIn } from './keep.js';
export { presence } from './presence.js';
export { collection } from './sync.js';
export { fallback } from './transport/fallback.js';
export { longPoll } from './transport/long-poll.js';
export type { HttpOptions } from './transport/http.js';
export { sse } from './transport/sse.js';
export { webSocket } from './transport/web-socket.js';
export type { WebSocketLike, WebSocketOptions } from './transport/web-socket.js';
export type * from './types.js';
