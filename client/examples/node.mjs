// Follows a room from Node: one line of JSON for each publication, and one for each gap.
//
//   ROOMCAST_TOKEN=… node examples/node.mjs ws://127.0.0.1:8080/ws kpi:demo
//
// Node 22 and later have a WebSocket of their own; before that the package `ws` brings one.

import { createClient, webSocket } from '@roomcast/client';
import { WebSocket } from 'ws';

const [url = 'ws://127.0.0.1:8080/ws', room = 'kpi:demo'] = process.argv.slice(2);
const token = process.env.ROOMCAST_TOKEN;
if (!token) throw new Error('ROOMCAST_TOKEN is not set: `make run` prints a token to try things with');

// A service outlives its broker's restarts, so it never gives up.
const client = createClient({ url, token, transport: webSocket({ WebSocket }), backoff: { attemptsMax: Infinity } });

const line = (value) => console.log(JSON.stringify(value));

client.on('state', (state) => console.error(state));
client.on('error', (fault) => console.error(`${fault.code}: ${fault.message}`));
client.subscribe(room, ({ id, room, event, data }) => line({ id, room, event, data }), { onGap: (gap) => line({ gap }) });

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => client.disconnect());
