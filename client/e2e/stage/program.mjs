// A program that the run starts and ends.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Characters of a program's output that are kept: those that run for long say a lot. */
const OUTPUT_MAX = 64_000;

export class Program {
  #output = '';
  #process;
  #exited;
  #waiting = [];

  constructor(command, flags, { env = {}, cwd } = {}) {
    this.command = command;
    this.#process = spawn(command, flags, { env: { PATH: process.env.PATH, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    // Awaited only when it is ended, which must not make an early failure one that nobody handles.
    this.#exited = once(this.#process, 'exit');
    this.#exited.catch(() => {});
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (chunk) => {
        this.#output = (this.#output + chunk).slice(-OUTPUT_MAX);
        this.#tell();
      });
    }
    // Its last words come before this.
    this.#process.on('close', () => this.#tell());
  }

  #tell() {
    for (const heard of this.#waiting.splice(0)) heard();
  }

  get output() {
    return this.#output;
  }

  get running() {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Waits until the output has it; fails with all of the output when the program ends first. */
  async says(pattern) {
    for (;;) {
      const said = pattern.exec(this.#output);
      if (said) return said;
      if (!this.running) throw new Error(`${this.command} ended before it said ${pattern}: ${this.#output}`);
      await new Promise((heard) => this.#waiting.push(heard));
    }
  }

  signal(name) {
    this.#process.kill(name);
  }

  /** Waits until it has ended by itself. */
  async ended() {
    await this.#exited;
  }

  async kill() {
    if (this.running) this.signal('SIGKILL');
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
