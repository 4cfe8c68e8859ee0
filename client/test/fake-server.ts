// What tests of the client live in: a virtual clock, a fake server, and clients whose time and chance are the test's.

import { createClientIn } from '../src/client.js';
import type { Environment, Sign } from '../src/environment.js';
import type { Client, ClientOptions } from '../src/types.js';
import { Clock, seeded } from './fake/clock.js';
import { FakeServer } from './fake/server.js';
import { fakeTransport } from './fake/transports.js';

export { Clock, seeded, settled } from './fake/clock.js';
export { FakeServer } from './fake/server.js';
export type { Fate, NewPublication, Received } from './fake/server.js';
export { FakeSession, Refusal } from './fake/session.js';
export { mint } from './fake/token.js';
export { fakeTransport, fakeWebSocket } from './fake/transports.js';

export interface World {
  clock: Clock;
  server: FakeServer;
  environment: Environment;
  /** What handlers threw. */
  reported: unknown[];
  /** The browser notices something. */
  sign(sign: Sign): void;
  /** A client of the server with a token of alice of acme; it connects at once. */
  client(options?: Partial<ClientOptions>): Client;
  /** Lets a little time pass: enough for commands and answers, not for timeouts. */
  settle(ms?: number): Promise<void>;
}

export function createWorld({ seed = 1 } = {}): World {
  const clock = new Clock();
  const server = new FakeServer(clock);
  const reported: unknown[] = [];
  const watchers = new Set<(sign: Sign) => void>();
  const environment: Environment = {
    now: () => clock.now,
    wallClock: () => clock.wall,
    random: seeded(seed),
    after: (delayMs, task) => clock.after(delayMs, task),
    watch(tell) {
      watchers.add(tell);
      return () => watchers.delete(tell);
    },
    report: (error) => reported.push(error),
  };
  return {
    clock,
    server,
    environment,
    reported,
    sign: (sign) => [...watchers].forEach((tell) => tell(sign)),
    client: (options = {}) =>
      createClientIn(environment, { url: 'ws://fake/ws', token: () => server.token(), transport: fakeTransport(server), ...options }),
    settle: (ms = 50) => clock.advance(ms),
  };
}
