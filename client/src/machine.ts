// What the connection does next: inputs and times in, actions out. Pure: no socket, no timer, no token; connection.ts runs it.
//
//   idle -> token -> opening -> entering -> live          (waiting lies between attempts, failed ends them)

import { backoffMs } from './backoff.js';
import type { BackoffLaw } from './backoff.js';
import { RoomcastError } from './fault.js';
import type { ConnectionState } from './types.js';

/** A session that stood this long makes the counting of attempts begin anew. */
const STABLE_MS = 60_000;
/** After a sleep nothing is known of the connection, and an answer is expected sooner than usual. */
const WAKE_TIMEOUT_MS = 5_000;
/** Tokens are renewed this long before they expire, and never faster than `RENEW_PAUSE_MS` one after the other. */
const RENEW_LEAD_MS = 60_000;
const RENEW_PAUSE_MS = 5_000;
/** Attempts without a word from the server before the next transport has its turn: one that never worked, and one that has. */
const STRIKES_NEW = 2;
const STRIKES_PROVEN = 6;

export type Phase = 'idle' | 'waiting' | 'token' | 'opening' | 'entering' | 'live' | 'failed';

export interface MachineSettings extends BackoffLaw {
  attemptsMax: number;
  heartbeatIntervalMs: number;
  heartbeatTimeoutMs: number;
  connectTimeoutMs: number;
  transports: number;
  /** Whether a fresh token can be had at all. */
  renewable: boolean;
}

export type Input =
  | { on: 'connect' | 'disconnect' | 'retry' | 'online' | 'offline' | 'wake' | 'token' | 'opened' | 'heard' | 'pong' | 'expiring' | 'tick' }
  /** The server took the token, for the first time on this connection or as a renewal. */
  | { on: 'entered'; expiresInMs: number }
  /** No token could be had, or the server did not take it. */
  | { on: 'tokenFailed' | 'refused' | 'closed'; fault: RoomcastError };

export type Action =
  | { do: 'token'; why: 'connect' | 'expiring' | 'refused' }
  | { do: 'open'; transport: number }
  /** Send `authenticate`. What it asks for besides shrinks with every refusal: rooms and position, the position alone, nothing. */
  | { do: 'enter'; ask: Ask }
  | { do: 'renew' | 'ping' | 'drop' }
  | { do: 'state'; state: ConnectionState; fault: RoomcastError | null }
  | { do: 'report'; fault: RoomcastError };

export type Ask = 'rooms' | 'position' | 'nothing';

const ASKS: readonly Ask[] = ['rooms', 'position', 'nothing'];
/** Refusals that speak against the credentials or the moment, not against what was asked for besides. */
const NOT_FOR_ASKING = /^(AUTH_FAILED|CONNECTION_LIMIT|BROKER_UNAVAILABLE|RATE_LIMIT_EXCEEDED|INTERNAL_ERROR|DISCONNECTED|TIMEOUT)$/;

export interface Machine {
  readonly phase: Phase;
  /** Attempts in a row that came to nothing. */
  readonly failures: number;
  readonly retryAt: number;
  readonly liveSince: number;
  readonly transport: number;
  step(input: Input, now: number): Action[];
  /** When it wants a `tick`. */
  dueAt(): number;
}

export function createMachine(settings: MachineSettings, random: () => number): Machine {
  let phase: Phase = 'idle';
  let actions: Action[] = [];
  let failures = 0;
  let retryAt = 0;
  let hintUntil = 0;
  let deadline = 0;
  let refusal: RoomcastError | undefined;
  let refusals = 0;
  let triedFresh = false;
  let why: 'connect' | 'refused' = 'connect';
  let exhausted = false;
  let offline = false;
  let transport = 0;
  let strikes = 0;
  let proven = false;
  let liveSince = 0;
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
    failures = refusals = strikes = 0;
    exhausted = triedFresh = false;
    why = 'connect';
    tell('connecting');
  }

  function attempt(now: number) {
    phase = 'token';
    refusal = undefined;
    tokenAt = now;
    deadline = now + settings.connectTimeoutMs;
    act({ do: 'token', why });
  }

  function ping(now: number, timeoutMs: number) {
    pingAt = now + settings.heartbeatIntervalMs;
    pongBy = now + timeoutMs;
    act({ do: 'ping' });
  }

  const wakePing = (now: number) => ping(now, Math.min(WAKE_TIMEOUT_MS, settings.heartbeatTimeoutMs));

  function entered(expiresInMs: number, now: number) {
    renewFailures = 0;
    // Clocks may differ so much that a good token looks expired; the server's own warning then sets things right.
    const lifeMs = Math.max(expiresInMs - RENEW_LEAD_MS, expiresInMs / 2, RENEW_PAUSE_MS);
    renewAt = settings.renewable ? tokenAt + lifeMs : Infinity;
    if (phase === 'live') return;
    phase = 'live';
    liveSince = heardAt = now;
    graced = false;
    refusals = 0;
    triedFresh = false;
    why = 'connect';
    tell('connected');
    ping(now, settings.heartbeatTimeoutMs);
  }

  /** A renewal that fails leaves the session as it is until its token ends, so there is time to try again. */
  function renewLater(fault: RoomcastError, now: number) {
    act({ do: 'report', fault });
    renewAt = now + Math.max(RENEW_PAUSE_MS, backoffMs(++renewFailures + 1, settings, fault.retryAfterMs ?? 0, random()));
  }

  function lost(fault: RoomcastError, now: number): void {
    const wasLive = phase === 'live';
    const wasEntering = phase === 'entering';
    if (wasLive && now - liveSince >= STABLE_MS) failures = 0;
    if (!wasLive) strike(fault);
    const stale = fault.closeCode === 4500 || fault.closeCode === 4002;
    const told = refusal ?? fault;
    const floorMs = fault.retryAfterMs ?? told.retryAfterMs ?? 0;
    let fatal = fault.fatal === true;
    if (stale && !wasLive) {
      fatal = !settings.renewable || triedFresh;
      triedFresh = true;
      why = 'refused';
    } else if (stale) {
      fatal = !settings.renewable;
    } else if (wasEntering && !NOT_FOR_ASKING.test(told.code) && ++refusals < ASKS.length) {
      fatal = false;
    }
    exhausted = !fatal && ++failures > settings.attemptsMax && !offline;
    const final = fatal || exhausted;
    const { closeCode } = fault;
    const cause = new RoomcastError(told.code, told.message, { retryAfterMs: floorMs || undefined, closeCode, fatal: final, cause: fault.cause });
    if (final) {
      phase = 'failed';
      tell('error', cause);
      return;
    }
    phase = 'waiting';
    hintUntil = now + floorMs;
    retryAt = now + backoffMs(failures, settings, floorMs, random());
    tell('reconnecting', cause);
  }

  /** Lets another transport try where this one does not get through. */
  function strike(fault: RoomcastError) {
    if (phase === 'token' || offline) return;
    if ((fault.closeCode ?? 0) >= 4000) return heard();
    if (++strikes >= (proven ? STRIKES_PROVEN : STRIKES_NEW)) {
      transport = (transport + 1) % settings.transports;
      strikes = 0;
      proven = false;
    }
  }

  function heard() {
    strikes = 0;
    proven = true;
  }

  function comeBack(now: number) {
    if (phase === 'live') return wakePing(now);
    if (phase === 'waiting') retryAt = Math.min(retryAt, Math.max(now, hintUntil));
    if (phase === 'failed' && exhausted) {
      begin();
      attempt(now);
    }
  }

  function tick(now: number) {
    if (phase === 'waiting' && now >= retryAt) return attempt(now);
    if (phase === 'live') return tickLive(now);
    if ((phase === 'token' || phase === 'opening' || phase === 'entering') && now >= deadline) {
      act({ do: 'drop' });
      lost(new RoomcastError('TIMEOUT', `no session within ${settings.connectTimeoutMs} ms`), now);
    }
  }

  function tickLive(now: number) {
    if (now >= pongBy && heardAt + settings.heartbeatTimeoutMs > now) pongBy = heardAt + settings.heartbeatTimeoutMs;
    // A tick that comes far too late follows a sleep, and the answer may well be waiting to be read. Once is enough, because a
    // page in the background has all its ticks late.
    const late = now >= Math.min(pongBy, pingAt) + WAKE_TIMEOUT_MS;
    if (now >= pongBy && (graced || !late)) {
      act({ do: 'drop' });
      return lost(new RoomcastError('TIMEOUT', 'the server does not answer pings any more'), now);
    }
    if (late) {
      graced = true;
      wakePing(now);
    } else if (now >= pingAt) ping(now, settings.heartbeatTimeoutMs);
    if (now >= renewAt) {
      // Tried again should nothing come of it.
      renewAt = now + settings.connectTimeoutMs;
      tokenAt = now;
      act({ do: 'token', why: 'expiring' });
    }
  }

  function take(input: Input, now: number) {
    switch (input.on) {
      case 'connect':
        if (phase !== 'idle' && phase !== 'failed') return;
        begin();
        return attempt(now);
      case 'disconnect':
        if (phase === 'idle') return;
        phase = 'idle';
        act({ do: 'drop' });
        return tell('disconnected');
      case 'retry':
        if (phase === 'waiting') return attempt(now);
        return comeBack(now);
      case 'online':
        offline = false;
        return comeBack(now);
      case 'wake':
        return comeBack(now);
      case 'offline':
        offline = true;
        if (phase === 'live') wakePing(now);
        return;
      case 'token':
        if (phase === 'live') return void act({ do: 'renew' });
        if (phase !== 'token') return;
        phase = 'opening';
        deadline = now + settings.connectTimeoutMs;
        return void act({ do: 'open', transport });
      case 'tokenFailed':
        return phase === 'live' ? renewLater(input.fault, now) : lost(input.fault, now);
      case 'opened':
        phase = 'entering';
        return void act({ do: 'enter', ask: ASKS[refusals] ?? 'nothing' });
      case 'heard':
        heardAt = now;
        graced = false;
        return heard();
      case 'entered':
        return entered(input.expiresInMs, now);
      case 'refused':
        if (phase === 'live') return renewLater(input.fault, now);
        refusal = input.fault;
        // What the server could not even read it does not close for.
        if (refusal.code !== 'INVALID_MESSAGE') return;
        act({ do: 'drop' });
        return lost(refusal, now);
      case 'pong':
        pongBy = Infinity;
        return;
      case 'expiring':
        if (settings.renewable) renewAt = Math.min(renewAt, Math.max(now, tokenAt + RENEW_PAUSE_MS));
        return;
      case 'closed':
        return lost(input.fault, now);
      case 'tick':
        return tick(now);
    }
  }

  return {
    get phase() {
      return phase;
    },
    get failures() {
      return phase === 'live' ? 0 : failures;
    },
    get retryAt() {
      return retryAt;
    },
    get liveSince() {
      return liveSince;
    },
    get transport() {
      return transport;
    },
    step(input, now) {
      actions = [];
      take(input, now);
      return actions;
    },
    dueAt() {
      if (phase === 'waiting') return retryAt;
      if (phase === 'live') return Math.min(pingAt, pongBy, renewAt);
      return phase === 'idle' || phase === 'failed' ? Infinity : deadline;
    },
  };
}
