// Runs the machine: opens transports, asks for tokens, sets the timer, and carries commands while a session stands.

import { createCalls } from './calls.js';
import type { Answered } from './calls.js';
import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { createMachine } from './machine.js';
import type { Action, Ask, Input, Machine, MachineSettings } from './machine.js';
import { readClose, readMessage } from './protocol.js';
import type { AuthenticatedData, ServerMessage } from './protocol.js';
import type { ConnectionState, TokenSource, Transport, TransportConnection } from './types.js';

/** A clock on the wall that went this much further than the one of the program: the computer was asleep. */
const SLEPT_MS = 5_000;

export interface ConnectionOptions {
  url: string;
  token: TokenSource;
  transports: readonly Transport[];
  settings: MachineSettings;
}

/** What the client above is asked and told. */
export interface ConnectionEvents {
  /** What `authenticate` says besides the token. */
  entering(ask: Ask, token: string): Record<string, unknown>;
  /** The server took the token; `false` as an answer ends the connection and begins another one. */
  entered(data: AuthenticatedData, renewal: boolean): boolean;
  /** After `entered`, once the state is `connected`. */
  live(): void;
  message(message: ServerMessage): void;
  heard(length: number): void;
  sent(length: number): void;
  pong(latencyMs: number, data: unknown): void;
  lost(fault: RoomcastError): void;
  state(state: ConnectionState, fault: RoomcastError | null): void;
  report(fault: RoomcastError): void;
}

export interface Connection {
  readonly machine: Machine;
  input(on: 'connect' | 'disconnect' | 'retry' | 'online' | 'offline' | 'wake' | 'expiring'): void;
  call(event: string, data: unknown, timeoutMs: number, answered: Answered): void;
  /** As `call`, with data that is JSON text already. */
  callText(event: string, data: string, timeoutMs: number, answered: Answered): void;
  /** Sends a command without waiting for an answer. */
  post(event: string, data: unknown): void;
  /** Gives the connection up, as if it had broken. */
  cut(fault: RoomcastError): void;
}

export function createConnection(options: ConnectionOptions, env: Environment, events: ConnectionEvents): Connection {
  const { url, transports, settings } = options;
  const machine = createMachine(settings, env.random);
  const calls = createCalls(env.after, send);
  let socket: TransportConnection | undefined;
  let token = '';
  let fetches = 0;
  let armedFor = Infinity;
  let disarm = () => {};

  function send(text: string) {
    events.sent(text.length);
    socket?.send(text);
  }

  function step(input: Input) {
    for (const action of machine.step(input, env.now())) run(action);
    arm();
  }

  function arm() {
    const dueAt = machine.dueAt();
    if (dueAt === armedFor) return;
    disarm();
    armedFor = dueAt;
    if (dueAt === Infinity) return;
    const [now, wall] = [env.now(), env.wallClock()];
    disarm = env.after(Math.max(0, dueAt - now), () => {
      armedFor = Infinity;
      if (env.wallClock() - wall - (env.now() - now) > SLEPT_MS) step({ on: 'wake' });
      step({ on: 'tick' });
    });
  }

  function run(action: Action) {
    switch (action.do) {
      case 'token':
        return fetchToken(action.why);
      case 'open':
        return open(transports[action.transport]!);
      case 'enter':
        return authenticate(events.entering(action.ask, token), false);
      case 'renew':
        return authenticate({}, true);
      case 'ping':
        return ping();
      case 'drop':
        return drop(new RoomcastError('DISCONNECTED', 'the client gave the connection up'), true);
      case 'state':
        return events.state(action.state, action.fault);
      case 'report':
        return events.report(action.fault);
    }
  }

  function fetchToken(why: 'connect' | 'expiring' | 'refused') {
    const mine = ++fetches;
    const source = options.token;
    const failed = (cause: unknown) => {
      if (mine !== fetches) return;
      step({ on: 'tokenFailed', fault: new RoomcastError('TOKEN_UNAVAILABLE', 'the token provider gave no token', { cause }) });
    };
    const got = (fresh: string) => {
      if (mine !== fetches) return;
      if (typeof fresh !== 'string' || !fresh) return failed(undefined);
      token = fresh;
      step({ on: 'token' });
    };
    // In a promise, so that a provider that throws at once is like one that rejects.
    Promise.resolve(why)
      .then(typeof source === 'string' ? () => source : source)
      .then(got, failed);
  }

  function open(transport: Transport) {
    let mine: TransportConnection | undefined;
    let over = false;
    const current = () => !over && mine === socket;
    const closed = (fault: RoomcastError) => {
      if (!current()) return;
      over = true;
      drop(fault, false);
      step({ on: 'closed', fault });
    };
    try {
      socket = undefined;
      mine = transport.open(url, {
        onOpen: () => current() && step({ on: 'opened' }),
        onMessage: (text) => current() && receive(text),
        onClose: (code, reason) => closed(readClose(code, reason)),
      });
      if (!over) socket = mine;
    } catch (cause) {
      closed(new RoomcastError('DISCONNECTED', `the transport ${transport.name} could not open`, { cause }));
    }
  }

  function drop(fault: RoomcastError, close: boolean) {
    const gone = socket;
    socket = undefined;
    fetches++;
    if (close) gone?.close(1000);
    calls.fail();
    events.lost(fault);
  }

  function receive(text: string) {
    events.heard(text.length);
    step({ on: 'heard' });
    const message = readMessage(text);
    if (!message) return;
    if (message.room !== undefined || !calls.settle(message)) events.message(message);
  }

  function authenticate(asked: Record<string, unknown>, renewal: boolean) {
    call('authenticate', { token, ...asked }, settings.connectTimeoutMs, (fault, answer) => {
      if (fault) return refused(fault);
      const data = answer as AuthenticatedData;
      if (!events.entered(data, renewal)) return cut(new RoomcastError('DISCONNECTED', 'what was kept belongs to somebody else'));
      step({ on: 'entered', expiresInMs: data.expires_at * 1_000 - env.wallClock() });
      if (!renewal && machine.phase === 'live') events.live();
    });
  }

  function refused(fault: RoomcastError) {
    // A lost connection is told of by itself.
    if (fault.code !== 'DISCONNECTED') step({ on: 'refused', fault });
  }

  function ping() {
    const sentAt = env.now();
    call('client:ping', undefined, settings.heartbeatTimeoutMs, (fault, data) => {
      if (fault) return;
      step({ on: 'pong' });
      events.pong(env.now() - sentAt, data);
    });
  }

  function call(event: string, data: unknown, timeoutMs: number, answered: Answered) {
    calls.call(event, JSON.stringify(data), timeoutMs, answered);
  }

  function cut(fault: RoomcastError) {
    if (!socket) return;
    drop(fault, true);
    step({ on: 'closed', fault });
  }

  return {
    machine,
    input: (on) => step({ on }),
    call,
    callText: calls.call,
    post: (event, data) => send(JSON.stringify({ event, data })),
    cut,
  };
}
