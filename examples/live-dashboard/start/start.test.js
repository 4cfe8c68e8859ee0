import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startBalancer } from './balancer.js';
import { UsageError, readOptions } from './options.js';

/** @import { AddressInfo, Socket } from 'node:net' */

/** @type {(() => void)[]} */
const ends = [];
afterEach(() => ends.splice(0).forEach((end) => end()));

/** A node that says its name to whoever connects, and can be killed. @param {string} name */
async function node(name) {
  /** @type {Set<Socket>} */
  const open = new Set();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => socket.destroy());
    socket.write(name);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const kill = () => {
    server.close();
    for (const socket of open) socket.destroy();
  };
  ends.push(kill);
  return { host: '127.0.0.1', port: /** @type {AddressInfo} */ (server.address()).port, kill };
}

/** @param {number} port */
async function client(port) {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => socket.destroy());
  const closed = once(socket, 'close');
  const greeted = once(socket, 'data').then(([data]) => String(data));
  return { greeting: await Promise.race([greeted, closed.then(() => 'closed')]), closed };
}

describe('the balancer', () => {
  it('takes turns, passes over dead nodes, and hangs up with them', async () => {
    const [a, b] = [await node('a'), await node('b')];
    const balancer = await startBalancer([a, b]);
    ends.push(balancer.close);
    const first = await client(balancer.port);
    expect([first.greeting, (await client(balancer.port)).greeting]).toEqual(['a', 'b']);
    a.kill();
    await first.closed;
    expect([(await client(balancer.port)).greeting, (await client(balancer.port)).greeting]).toEqual(['b', 'b']);
    b.kill();
    expect((await client(balancer.port)).greeting).toBe('closed');
  });
});

describe('the command line of npm start', () => {
  it('has defaults, and passes on what is for the backend', () => {
    const options = readOptions(['--gateway', 'http://a:1,http://b:2', '--speed', '60']);
    expect(options.gateways.map(({ host }) => host)).toEqual(['a:1', 'b:2']);
    expect(options).toMatchObject({ publisher: true, redis: false, port: 5173, passedOn: ['--speed', '60'] });
    expect(readOptions([]).gateways[0]?.origin).toBe('http://127.0.0.1:8080');
  });

  it.each([[['--gateway', 'ws://a']], [['--port', 'x']], [['--nonsense']]])('refuses %j', (args) => {
    expect(() => readOptions(args)).toThrow(UsageError);
  });
});
