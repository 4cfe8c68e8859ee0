// Runs the machine: opens transports, asks for tokens, sets the timer, and carries commands while a session stands.

import { createCalls } from './calls.js';
import type { Answered } from './calls.js';
import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { createMachine } from './machine.js';
import type { Action, Ask, Input, Machine, MachineOptions, Sign, Why } from './machine.js';
import type { AuthenticatedData } from './protocol.generated.js';
import { readClose, readObject } from './protocol.js';
import type { Message } from './protocol.js';
import type { ConnectionState, TokenSource, Transport, TransportConnection } from './types.js';

/** A clock on the wall that went this much further than the one of the program: the computer was asleep. */
const SLEPT_MS = 5_000;

export interface ConnectionOptions extends MachineOptions {
  url: string;
  token: TokenSource;
  transport: Transport;
  commandTimeoutMs?: number;
}

/** What the client above is asked and told. */
export interface ConnectionEvents {
  /** A token is at hand. */
  token(token: string): void;
  /** What `authenticate` says besides the token. */
  entering(ask: Ask): Record<string, unknown>;
  /** The server took the token; `false` as an answer ends the connection and begins another one. */
  entered(data: AuthenticatedData, ask: Ask): boolean;
  /** After `entered`, once the state is `connected`. */
  live(): void;
  /** Anything that answers no command. */
  message(message: Message): void;
  /** Texts came and went. */
  carried(way: 'received' | 'sent', characters: number): void;
  pong(latencyMs: number): void;
  lost(closeCode: number | undefined): void;
  state(change: { state: ConnectionState; fault: RoomcastError | null }): void;
  report(trouble: { fault: RoomcastError }): void;
}

export interface Connection {
  machine: Machine;
  input(on: Sign): void;
  /** Sends a command, with data as JSON text, and tells the answer. */
  call(event: string, data: string | undefined, answered: Answered, timeoutMs?: number): void;
  /** Sends a text without waiting for an answer. */
  send(text: string): void;
  /** Gives the connection up, as if it had broken. */
  cut(fault: RoomcastError): void;
}

type Run = { [K in Action['do']]: (action: Action & { do: K }) => void };

export function createConnection(options: ConnectionOptions, env: Environment, events: ConnectionEvents): Connection {
  const { url, token: source, transport, commandTimeoutMs } = options;
  const machine = createMachine(options, env.random);
  const { call, settle, fail } = createCalls(env.after, send, commandTimeoutMs);
  let socket: TransportConnection | undefined;
  let token = '';
  let fetches = 0;
  let armedFor = Infinity;
  let disarm = () => {};

  function send(text: string) {
    events.carried('sent', text.length);
    socket?.send(text);
  }

  const run: Run = {
    token: fetchToken,
    open,
    enter: authenticate,
    ping,
    drop: () => drop(),
    state: events.state,
    report: events.report,
  };

  function step(input: Input) {
    for (const action of machine.step(input, env.now())) (run[action.do] as (action: Action) => void)(action);
    arm();
  }

  function arm() {
    const dueAt = machine.dueAt();
    if (dueAt === armedFor) return;
    disarm();
    armedFor = dueAt;
    if (dueAt === Infinity) return;
    const behind = env.wallClock() - env.now();
    disarm = env.after(dueAt - env.now(), () => {
      armedFor = Infinity;
      if (env.wallClock() - env.now() - behind > SLEPT_MS) step({ on: 'wake' });
      step({ on: 'tick' });
    });
  }

  async function fetchToken({ why }: { why: Why }) {
    const mine = ++fetches;
    let fresh: unknown;
    let cause: unknown;
    try {
      fresh = await (typeof source === 'string' ? source : source(why));
    } catch (error) {
      cause = error;
    }
    if (mine !== fetches) return;
    if (!fresh || typeof fresh !== 'string') {
      return step({ on: 'tokenFailed', fault: new RoomcastError('TOKEN_UNAVAILABLE', 'the token provider gave no token', { cause }) });
    }
    events.token((token = fresh));
    step({ on: 'token' });
  }

  function open() {
    let mine: TransportConnection | undefined;
    // What a connection tells after it was given up concerns nobody.
    const current = () => mine && mine === socket;
    try {
      socket = mine = transport.open(url, {
        onOpen: () => current() && step({ on: 'opened' }),
        onMessage: (text) => current() && receive(text),
        onClose: (code, reason) => current() && end(readClose(code, reason)),
      });
    } catch (cause) {
      end(new RoomcastError('DISCONNECTED', `${transport.name} could not open`, { cause }));
    }
  }

  function end(fault: RoomcastError) {
    drop(fault);
    step({ on: 'closed', fault });
  }

  function drop(fault?: RoomcastError) {
    const gone = socket;
    socket = undefined;
    fetches++;
    gone?.close();
    fail();
    events.lost(fault?.closeCode);
  }

  function receive(text: string) {
    events.carried('received', text.length);
    step({ on: 'heard' });
    const message = readObject(text) as Message | undefined;
    if (message && ('room' in message || !settle(message))) events.message(message);
  }

  function authenticate({ ask }: { ask: Ask }) {
    call('authenticate', JSON.stringify({ token, ...events.entering(ask) }), (fault, answer) => {
      // A lost connection is told of by itself.
      if (fault) return fault.code === 'DISCONNECTED' ? undefined : step({ on: 'refused', fault });
      const data = answer as AuthenticatedData;
      if (!events.entered(data, ask)) return end(new RoomcastError('DISCONNECTED', 'another user has come'));
      step({ on: 'entered', expiresInMs: data.expires_at * 1_000 - env.wallClock() });
      if (ask !== 'renewal' && socket) events.live();
    });
  }

  function ping() {
    const sentAt = env.now();
    call('client:ping', undefined, (fault) => {
      if (fault) return;
      step({ on: 'pong' });
      events.pong(env.now() - sentAt);
    });
  }

  return { machine, input: (on) => step({ on }), call, send, cut: (fault) => socket && end(fault) };
}
