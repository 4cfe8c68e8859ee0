// The one address that a page knows: serves it, and carries its WebSockets to whichever node it is pointed at. Connections can be cut,
// frozen as by a dead network, and looked into.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { judged } from './frames.mjs';

export class Front {
  #server = createServer((request, response) => this.#serve(request, response));
  #carried = new Set();

  /** Where new connections go; `null` refuses them. */
  target = null;
  /** Where set, new connections have it judge each message of the server; see frames.mjs. */
  judge = null;
  /** Connections that were asked for, the refused ones included. */
  arrivals = 0;

  /** `pages` answers with `[type, body]` for the paths that it knows. */
  constructor(pages) {
    this.pages = pages;
  }

  async open() {
    this.#server.on('upgrade', (request, socket, head) => this.#carry(request, socket, head));
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.origin = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  get connections() {
    return this.#carried.size;
  }

  /** Ends every connection without a close frame. */
  cut() {
    for (const { client, node } of this.#carried) {
      client.destroy();
      node.destroy();
    }
  }

  /** The connections that stand now carry nothing any more, and neither side is told. */
  freeze() {
    for (const { client, node, from } of this.#carried) {
      client.unpipe(node);
      from.unpipe(client);
      client.pause();
      from.pause();
    }
  }

  async close() {
    this.cut();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request, response) {
    const page = await this.pages(new URL(request.url, this.origin));
    if (!page) return response.writeHead(404).end();
    const [type, body] = page;
    return response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(body);
  }

  #carry(request, client, head) {
    this.arrivals += 1;
    if (!this.target) return client.destroy();
    const node = connect(this.target.port, '127.0.0.1');
    const end = () => {
      client.destroy();
      node.destroy();
      this.#carried.delete(pair);
    };
    const from = this.judge ? node.pipe(judged((text) => this.judge?.(text) ?? 'pass', end)) : node;
    const pair = { client, node, from };
    this.#carried.add(pair);
    for (const socket of [client, node]) socket.on('error', end).on('close', end);
    node.write(headOf(request, this.judge !== null));
    node.write(head);
    client.pipe(node);
    from.pipe(client);
  }
}

/** The request as it came; without compression where messages are to be read. */
function headOf({ method, url, rawHeaders }, readable) {
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (!readable || !/^sec-websocket-extensions$/i.test(rawHeaders[index])) lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}
