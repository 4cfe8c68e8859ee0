// The one address that a page knows: serves it, and carries its WebSockets to whichever node it is pointed at. Connections can be cut,
// frozen as by a dead network, and looked into. Plain requests for sessions go to one node after the other, as from a balancer that
// knows nothing of sessions; upgrades can be stripped and streams held back, as by proxies that know nothing of either.

import { once } from 'node:events';
import { createServer, request as ask } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
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
  /** Where plain requests for sessions go, in turn. */
  nodes = [];
  /** Requests for a WebSocket arrive at the node as plain ones. */
  strips = false;
  /** Streams are collected to their end before anything of them is handed on. */
  holds = false;
  #turn = 0;

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
    if (/^\/(sse|poll)\b/.test(request.url)) return this.#hand(request, response);
    const page = await this.pages(new URL(request.url, this.origin));
    if (!page) return response.writeHead(404).end();
    const [type, body] = page;
    return response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'no-store' }).end(body);
  }

  /** Passes a plain request on, to another node each time. */
  #hand(request, response) {
    const { method, url, headers } = request;
    const node = this.nodes[this.#turn++ % this.nodes.length];
    const away = () => (response.headersSent ? response.destroy() : response.writeHead(502).end());
    const onward = ask({ host: '127.0.0.1', port: node.port, method, path: url, headers }, (answer) => {
      const head = () => response.writeHead(answer.statusCode, answer.headers);
      answer.on('error', away);
      if (this.holds && /event-stream/.test(answer.headers['content-type'])) text(answer).then((held) => head().end(held), away);
      else answer.pipe(head());
    });
    onward.on('error', away);
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  }

  /** What a proxy makes of an upgrade that it does not know: a request like any other. */
  #strip({ method, url, headers: { upgrade, connection, ...headers } }, client) {
    const onward = ask({ host: '127.0.0.1', port: this.target.port, method, path: url, headers }, (answer) => {
      client.end(`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nConnection: close\r\n\r\n`);
      answer.resume();
    });
    onward.on('error', () => client.destroy()).end();
    client.on('error', () => {});
  }

  #carry(request, client, head) {
    this.arrivals += 1;
    if (!this.target) return client.destroy();
    if (this.strips) return this.#strip(request, client);
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
