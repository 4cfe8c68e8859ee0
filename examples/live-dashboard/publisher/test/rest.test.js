import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { Refused } from '../outbox.js';
import { RestSink } from '../sinks/rest.js';

/** @import { AddressInfo } from 'node:net' */

const PUBLICATION = { room: 'kpi:o:d:q', event: 'kpi:update', data: { run: 'r', seq: 1 }, priority: /** @type {const} */ ('medium'), key: 'r-1' };

/** @type {import('node:http').Server | undefined} */
let server;

/** A gateway that always answers the same, and what it was asked. @param {number} status @param {object} answer */
async function gateway(status, answer) {
  /** @type {{ authorization?: string | undefined, body?: unknown }} */
  const asked = {};
  server = createServer(async (request, response) => {
    asked.authorization = request.headers.authorization;
    asked.body = JSON.parse((await request.toArray()).join(''));
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {AddressInfo} */ (server.address());
  return { asked, sink: new RestSink(`http://127.0.0.1:${port}`, 'secret'), address: `http://127.0.0.1:${port}` };
}

afterEach(() => server?.close());

describe('publishing by REST', () => {
  it('sends room, key and credentials, and reads each outcome by itself', async () => {
    const results = [{ room: 'r', duplicate: true }, { code: 'BROKER_UNAVAILABLE', detail: 'away' }, { code: 'INVALID_ROOM', detail: 'odd' }];
    const { asked, sink } = await gateway(200, { results });
    expect(await sink.publish([PUBLICATION])).toEqual(['accepted', { later: 'BROKER_UNAVAILABLE: away' }, { refused: 'INVALID_ROOM: odd' }]);
    expect(asked.authorization).toBe('Bearer secret');
    expect(asked.body).toEqual({
      publications: [{ event: 'kpi:update', data: { run: 'r', seq: 1 }, priority: 'medium', idempotency_key: 'r-1', target: { room: 'kpi:o:d:q' } }],
    });
  });

  it('gives up where the credentials are refused, and tries again where the gateway is unwell', async () => {
    const refusing = await gateway(401, { code: 'AUTH_FAILED', detail: 'no' });
    await expect(refusing.sink.publish([PUBLICATION])).rejects.toThrow(Refused);
    server?.close();
    const limiting = await gateway(429, { code: 'RATE_LIMIT_EXCEEDED', detail: 'slowly' });
    await expect(limiting.sink.publish([PUBLICATION])).rejects.not.toThrow(Refused);
  });

  it('says which address cannot be reached, and why', async () => {
    const { sink, address } = await gateway(200, {});
    server?.close();
    server?.closeAllConnections();
    await expect(sink.publish([PUBLICATION])).rejects.toThrow(`${address} cannot be reached (ECONNREFUSED)`);
  });
});
