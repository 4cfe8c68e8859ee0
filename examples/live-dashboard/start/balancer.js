// The smallest load balancer: each TCP connection goes to the first node that takes it, beginning with the one after the last.
// For trying things on one machine, where it stands for the real one.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** @import { AddressInfo, Socket } from 'node:net' */

const CONNECT_TIMEOUT_MS = 1_000;

/** @typedef {{ host: string, port: number }} Target */

/** Listens on loopback until closed. @param {readonly Target[]} targets @param {number} port 0 for any free one. */
export async function startBalancer(targets, port = 0) {
  let turn = 0;
  /** @type {Set<Socket>} */
  const open = new Set();
  const server = createServer(async (client) => {
    client.on('error', () => client.destroy());
    open.add(client.on('close', () => open.delete(client)));
    const order = targets.map((_, index) => targets[(turn + index) % targets.length]).filter((target) => target !== undefined);
    turn += 1;
    const node = await firstThatTakes(order);
    if (node === null || client.destroyed) return void client.destroy();
    join(client, node);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: /** @type {AddressInfo} */ (server.address()).port,
    close() {
      server.close();
      for (const client of open) client.destroy();
    },
  };
}

/** @param {readonly Target[]} targets */
async function firstThatTakes(targets) {
  for (const target of targets) {
    const node = connect({ ...target, timeout: CONNECT_TIMEOUT_MS });
    node.once('timeout', () => node.destroy(new Error('no answer')));
    try {
      await once(node, 'connect');
      node.setTimeout(0);
      return node;
    } catch {
      node.destroy();
    }
  }
  return null;
}

/** When either side goes, so does the other: a client must notice a killed node. @param {Socket} client @param {Socket} node */
function join(client, node) {
  node.on('error', () => client.destroy());
  node.on('close', () => client.destroy());
  client.on('close', () => node.destroy());
  client.pipe(node).pipe(client);
}
