// Runs the machine: opens transports, asks for tokens, sets the timer, and carries commands while a session stands.

import type { Environment } from './environment.js';
import { RoomcastError } from './fault.js';
import { createMachine } from './machine.js';
import type { Action, Ask, Input, Machine, MachineOptions, Sign, Why } from './machine.js';
import type { AuthenticatedData } from './protocol.generated.js';
import { readClose, readObject, toFault } from './protocol.js';
import type { Message } from './protocol.js';
import type { ConnectionState, Statistics, TokenSource, Transport, TransportConnection } from './types.js';

/** A clock on the wall that went this much further than the one of the program: the computer was asleep. */
const SLEPT_MS = 5_000;

/** More answers than this are not waited for at once. */
const CALLS_MAX = 4_096;

/** Told once: what the server answered, or why there is no answer. */
export type Answered = (fault: RoomcastError | undefined, data: unknown) => void;

export interface ConnectionOptions extends MachineOptions {
  url: string;
  token: TokenSource;
  transport: Transport;
  commandTimeoutMs?: number;
}

/** What is counted of all that the client does; its parts count into the same. */
export type Counts = Omit<Statistics, 'connectedMs'>;

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

export function createConnection(options: ConnectionOptions, env: Environment, counts: Counts, events: ConnectionEvents): Connection {
  const { url, token: source, transport, commandTimeoutMs = 10_000 } = options;
  const machine = createMachine(options, env.random);
  const waiting = new Map<unknown, Answered>();
  let last = 0;
  let socket: TransportConnection | undefined;
  let token = '';
  let fetches = 0;
  let armedFor = Infinity;
  let disarm: (() => void) | undefined;

  function call(event: string, data: string | undefined, answered: Answered, timeoutMs = commandTimeoutMs) {
    if (waiting.size >= CALLS_MAX) return answered(new RoomcastError('QUEUE_FULL', 'too many calls'), data);
    const id = ++last;
    const cancel = env.after(timeoutMs, () => finish(id, new RoomcastError('TIMEOUT', `${event}: no answer within ${timeoutMs} ms`)));
    waiting.set(id, (fault, answer) => {
      cancel();
      answered(fault, answer);
    });
    send(`{"event":"${event}","id":${id}${data ? `,"data":${data}` : ''}}`);
  }

  function finish(id: unknown, fault?: RoomcastError, data?: unknown) {
    const answered = waiting.get(id);
    waiting.delete(id);
    answered?.(fault, data);
    return !!answered;
  }

  function send(text: string) {
    counts.sent++;
    counts.sentBytes += text.length;
    socket?.send(text);
  }

  const run: Run = { ...events, token: fetchToken, open, enter: authenticate, ping, drop: () => drop() };

  function step(input: Input) {
    for (const action of machine.step(input, env.now())) (run[action.do] as (action: Action) => void)(action);
    arm();
  }

  function arm() {
    const dueAt = machine.dueAt();
    if (dueAt === armedFor) return;
    disarm?.();
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
      return step({ on: 'tokenFailed', fault: new RoomcastError('TOKEN_UNAVAILABLE', 'the provider gave no token', { cause }) });
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
    for (const id of [...waiting.keys()]) finish(id, new RoomcastError('DISCONNECTED', 'the connection ended'));
    events.lost(fault?.closeCode);
  }

  function receive(text: string) {
    counts.received++;
    counts.receivedBytes += text.length;
    step({ on: 'heard' });
    const message = readObject(text) as Message | undefined;
    if (!message) return;
    const { event, id, data } = message;
    if ('room' in message || !finish(id, event === 'error' ? toFault(data) : undefined, data)) events.message(message);
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
