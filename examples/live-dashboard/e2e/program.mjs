// A program that a test starts and ends.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

export class Program {
  #output = '';
  #process;
  #exited;

  constructor(command, flags, env = {}) {
    this.command = command;
    this.#process = spawn(command, flags, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#exited = once(this.#process, 'exit');
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      // Only the end is kept: programs that run for long say a lot.
      stream.on('data', (chunk) => (this.#output = (this.#output + chunk).slice(-64_000)));
    }
  }

  /** Waits until the output has it; fails with all of the output when the program ends first. */
  async says(pattern) {
    while (!pattern.test(this.#output)) {
      const news = Promise.race([once(this.#process.stdout, 'data'), once(this.#process.stderr, 'data')]);
      if ((await Promise.race([news, this.#exited.then(() => 'ended')])) === 'ended') throw new Error(`${this.command} ended: ${this.#output}`);
    }
  }

  async kill() {
    this.#process.kill('SIGKILL');
    await this.#exited;
  }
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}
