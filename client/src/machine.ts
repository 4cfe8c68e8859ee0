// What the connection does next: inputs and times in, actions out. Pure: no socket, no timer, no token; connection.ts runs it.
//
//   idle -> token -> opening -> entering -> live          (waiting lies between attempts, failed ends them)

import { backoffMs } from './backoff.js';
import { ASKED_TOO_MUCH, RoomcastError } from './fault.js';
import type { ClientOptions, ConnectionState } from './types.js';

/** A session that stood this long makes the counting of attempts begin anew. */
const STABLE_MS = 60_000;
/** After a sleep nothing is known of the connection, and an answer is expected sooner than usual. */
const WAKE_MS = 5_000;
/** Tokens are renewed this long before they expire, and never faster than `RENEW_PAUSE_MS` one after the other. */
const RENEW_LEAD_MS = 60_000;
const RENEW_PAUSE_MS = 5_000;

export type Phase = 'idle' | 'waiting' | 'token' | 'opening' | 'entering' | 'live' | 'failed';
export type Why = 'connect' | 'expiring' | 'refused';
/** What `authenticate` asks for besides entering: it shrinks with every refusal. A renewal asks for nothing. */
export type Ask = 'rooms' | 'position' | 'nothing' | 'renewal';

const ASKS: readonly Ask[] = ['rooms', 'position', 'nothing'];

export type MachineOptions = Pick<ClientOptions, 'token' | 'backoff' | 'heartbeatIntervalMs' | 'heartbeatTimeoutMs' | 'connectTimeoutMs'>;

export type Sign = 'connect' | 'disconnect' | 'retry' | 'online' | 'offline' | 'wake' | 'token' | 'opened' | 'heard' | 'pong' | 'expiring' | 'tick';

export type Input =
  | { on: Sign }
  /** The server took the token, for the first time on this connection or as a renewal. */
  | { on: 'entered'; expiresInMs: number }
  /** No token could be had, or the server did not take it, or the connection is gone. */
  | { on: 'tokenFailed' | 'refused' | 'closed'; fault: RoomcastError };

export type Action =
  | { do: 'token'; why: Why }
  | { do: 'enter'; ask: Ask }
  | { do: 'open' | 'ping' | 'drop' }
  | { do: 'state'; state: ConnectionState; fault: RoomcastError | null }
  | { do: 'report'; fault: RoomcastError };

export interface Machine {
  phase: Phase;
  /** Attempts in a row that came to nothing. */
  failures: number;
  liveSince: number;
  step(input: Input, now: number): Action[];
  /** When it wants a `tick`. */
  dueAt(): number;
}

type On = { [K in Input['on']]: (input: Input & { on: K }) => void };

export function createMachine(options: MachineOptions, random: () => number): Machine {
  const { token, backoff = {}, heartbeatIntervalMs = 30_000, heartbeatTimeoutMs = 10_000, connectTimeoutMs = 10_000 } = options;
  const { attemptsMax = 20 } = backoff;
  // A static one can only be used again.
  const renewable = typeof token !== 'string';
  let now = 0;
  let actions: Action[] = [];
  let hintUntil = 0;
  /** Of the waiting, or of the attempt under way. */
  let deadline = Infinity;
  let refusal: RoomcastError | undefined;
  let refusals = 0;
  let triedFresh = false;
  let exhausted = false;
  let offline = false;
  let tokenAt = 0;
  let heardAt = 0;
  let pingAt = 0;
  let pongBy = Infinity;
  let graced = false;
  let renewAt = Infinity;
  let renewFailures = 0;

  const act = (action: Action) => actions.push(action);
  const tell = (state: ConnectionState, fault: RoomcastError | null = null) => act({ do: 'state', state, fault });

  function begin() {
    self.failures = refusals = 0;
    triedFresh = false;
    tell('connecting');
    attempt();
  }

  function attempt() {
    self.phase = 'token';
    refusal = undefined;
    askForToken(triedFresh ? 'refused' : 'connect');
    deadline = now + connectTimeoutMs;
  }

  function askForToken(why: Why) {
    tokenAt = now;
    act({ do: 'token', why });
  }

  function ping(timeoutMs = heartbeatTimeoutMs) {
    pingAt = now + heartbeatIntervalMs;
    pongBy = now + Math.min(timeoutMs, heartbeatTimeoutMs);
    act({ do: 'ping' });
  }

  /** A renewal that fails leaves the session as it is until its token ends, so there is time to try again. */
  function renewLater(fault: RoomcastError) {
    act({ do: 'report', fault });
    renewAt = now + Math.max(RENEW_PAUSE_MS, backoffMs(++renewFailures + 1, backoff, fault.retryAfterMs, random()));
  }

  function lost(fault: RoomcastError) {
    const live = self.phase === 'live';
    const why = refusal ?? fault;
    const { closeCode, retryAfterMs = why.retryAfterMs } = fault;
    if (live && now - self.liveSince >= STABLE_MS) self.failures = 0;
    let fatal = !!fault.fatal;
    if (closeCode === 4500 || closeCode === 4002) {
      // A fresh token may do where an old one did not, but only once.
      fatal = !renewable || (!live && triedFresh);
      triedFresh = !live;
    } else if (self.phase === 'entering' && ASKED_TOO_MUCH.test(why.code) && ++refusals < ASKS.length) fatal = false;
    exhausted = !fatal && ++self.failures > attemptsMax && !offline;
    fatal ||= exhausted;
    self.phase = fatal ? 'failed' : 'waiting';
    hintUntil = now + (retryAfterMs ?? 0);
    deadline = fatal ? Infinity : now + backoffMs(self.failures, backoff, retryAfterMs, random());
    tell(fatal ? 'error' : 'reconnecting', Object.assign(why, { retryAfterMs, closeCode, fatal }));
  }

  function dead(message: string) {
    act({ do: 'drop' });
    lost(new RoomcastError('TIMEOUT', message));
  }

  function comeBack() {
    if (self.phase === 'live') ping(WAKE_MS);
    if (self.phase === 'waiting') deadline = Math.max(now, hintUntil);
    if (self.phase === 'failed' && exhausted) begin();
  }

  function tickLive() {
    // Whatever came after the ping is an answer too.
    if (heardAt > pingAt - heartbeatIntervalMs) pongBy = Math.max(pongBy, heardAt + heartbeatTimeoutMs);
    // A tick that comes far too late follows a sleep, and the answer may well be waiting to be read. Once is enough, because a
    // page in the background has all its ticks late.
    const late = now >= Math.min(pongBy, pingAt) + WAKE_MS;
    if (now >= pongBy && (graced || !late)) return dead('no answer to a ping');
    if (late || now >= pingAt) ping(late ? WAKE_MS : heartbeatTimeoutMs);
    graced ||= late;
    if (now >= renewAt) {
      // Tried again should nothing come of it.
      renewAt = now + connectTimeoutMs;
      askForToken('expiring');
    }
  }

  const on: On = {
    connect() {
      if (/idle|failed/.test(self.phase)) begin();
    },
    disconnect() {
      if (self.phase === 'idle') return;
      self.phase = 'idle';
      deadline = Infinity;
      act({ do: 'drop' });
      tell('disconnected');
    },
    retry() {
      if (self.phase === 'waiting') attempt();
      else comeBack();
    },
    online() {
      offline = false;
      comeBack();
    },
    wake: comeBack,
    offline() {
      offline = true;
      if (self.phase === 'live') ping(WAKE_MS);
    },
    token() {
      if (self.phase === 'live') return act({ do: 'enter', ask: 'renewal' });
      self.phase = 'opening';
      deadline = now + connectTimeoutMs;
      return act({ do: 'open' });
    },
    opened() {
      self.phase = 'entering';
      act({ do: 'enter', ask: ASKS[refusals] ?? 'nothing' });
    },
    entered({ expiresInMs }) {
      renewFailures = 0;
      // Clocks may differ so much that a good token looks expired; the server's own warning then sets things right.
      renewAt = renewable ? tokenAt + Math.max(expiresInMs - RENEW_LEAD_MS, expiresInMs / 2, RENEW_PAUSE_MS) : Infinity;
      if (self.phase === 'live') return;
      self.phase = 'live';
      self.liveSince = heardAt = now;
      refusals = 0;
      triedFresh = graced = false;
      tell('connected');
      ping();
    },
    refused({ fault }) {
      if (self.phase === 'live') return renewLater(fault);
      refusal = fault;
      // For what it could not even read the server does not close.
      if (fault.code === 'INVALID_MESSAGE') dead('');
    },
    tokenFailed: ({ fault }) => (self.phase === 'live' ? renewLater(fault) : lost(fault)),
    closed: ({ fault }) => lost(fault),
    heard() {
      heardAt = now;
      graced = false;
    },
    pong() {
      pongBy = Infinity;
    },
    expiring() {
      if (renewable) renewAt = Math.min(renewAt, Math.max(now, tokenAt + RENEW_PAUSE_MS));
    },
    tick() {
      if (now < self.dueAt()) return;
      if (self.phase === 'waiting') attempt();
      else if (self.phase === 'live') tickLive();
      else dead(`no session within ${connectTimeoutMs} ms`);
    },
  };

  const self: Machine = {
    phase: 'idle',
    failures: 0,
    liveSince: 0,
    step(input, at) {
      now = at;
      actions = [];
      (on[input.on] as (input: Input) => void)(input);
      return actions;
    },
    dueAt: () => (self.phase === 'live' ? Math.min(pingAt, pongBy, renewAt) : deadline),
  };
  return self;
}
