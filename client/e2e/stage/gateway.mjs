// A gateway of the run's own.

import { Program, freePort } from './program.mjs';

export class Gateway {
  /** Without a Redis it is one for development. `settings` are variables of the configuration without their prefix, such as `HUB__TAIL_BYTES_MAX`. */
  constructor(binary, { redisUrl, secret, settings = {} }) {
    this.binary = binary;
    const variables = Object.entries({ ...(secret && { AUTH__SECRET: secret }), ...settings });
    this.env = Object.fromEntries(variables.map(([name, value]) => [`ROOMCAST_${name}`, String(value)]));
    this.redisUrl = redisUrl;
  }

  /** Starts it; every start of the same gateway has the same port. */
  async start() {
    this.port ??= await freePort();
    const flags = ['serve', '--listen', `127.0.0.1:${this.port}`, '--internal-listen', '127.0.0.1:0'];
    if (this.redisUrl) flags.push('--redis-url', this.redisUrl);
    else flags.push('--dev');
    this.program = new Program(this.binary, flags, { env: this.env });
    await this.program.says(/serving/);
    return this;
  }

  /** Calls the REST interface; answers with the body, and fails on every status but those of success. */
  async rest(method, path, token, body) {
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  }

  async kill() {
    await this.program?.kill();
  }
}
