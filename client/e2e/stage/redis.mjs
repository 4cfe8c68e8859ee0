// A Redis of the run's own, and a connection to it as a backend has one.

import { once } from 'node:events';
import { connect } from 'node:net';
import { Program, freePort } from './program.mjs';
import { command, read } from './resp.mjs';

export class Redis {
  #waiting = [];
  #bytes = Buffer.alloc(0);

  static async start() {
    const redis = new Redis();
    redis.port = await freePort();
    redis.url = `redis://127.0.0.1:${redis.port}`;
    const flags = ['--port', String(redis.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    redis.program = new Program('redis-server', flags);
    await redis.program.says(/Ready to accept connections/);
    redis.socket = connect(redis.port, '127.0.0.1');
    redis.socket.on('data', (chunk) => redis.#take(chunk));
    // The run itself ends the server, at its end.
    redis.socket.on('error', () => {});
    await once(redis.socket, 'connect');
    return redis;
  }

  /** Sends commands in one go; answers with their replies in order, and fails with the first that is an error. */
  async all(commands) {
    const replies = commands.map(() => new Promise((done, failed) => this.#waiting.push({ done, failed })));
    this.socket.write(commands.map(command).join(''));
    return Promise.all(replies);
  }

  async call(...parts) {
    const [reply] = await this.all([parts]);
    return reply;
  }

  #take(chunk) {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    let at = 0;
    for (let item; at < this.#bytes.length && (item = read(this.#bytes, at)); at = item.next) {
      const { done, failed } = this.#waiting.shift();
      if (item.reply instanceof Error) failed(item.reply);
      else done(item.reply);
    }
    this.#bytes = this.#bytes.subarray(at);
  }

  async close() {
    this.socket?.destroy();
    await this.program.kill();
  }
}
