import { beforeEach, describe, expect, test } from 'vitest';
import { RoomcastError } from '../src/fault.js';
import { createMachine } from '../src/machine.js';
import type { Input, Machine, MachineOptions } from '../src/machine.js';
import { readClose } from '../src/protocol.js';

const MINUTE = 60_000;
const fault = (code: string, details = {}) => new RoomcastError(code, 'told so', details);
const closed = (code: number, reason: object | '' = ''): Input => ({ on: 'closed', fault: readClose(code, reason && JSON.stringify(reason)) });

let machine: Machine;
let now: number;
let chance: number;

function make(options: Partial<MachineOptions> = {}) {
  machine = createMachine({ token: () => 'token', ...options }, () => chance);
}

/** What an input brings about, in words. */
function step(input: Input | Input['on'], afterMs = 0): string[] {
  now += afterMs;
  const given = (typeof input === 'string' ? { on: input } : input) as Input;
  return machine.step(given, now).map((action) => {
    if (action.do === 'state') return `${action.do} ${action.state}${action.fault ? ` ${action.fault.code}` : ''}`;
    if (action.do === 'token') return `token ${action.why}`;
    if (action.do === 'enter') return `enter ${action.ask}`;
    if (action.do === 'report') return `report ${action.fault.code}`;
    return action.do;
  });
}

const tickWhenDue = () => step('tick', Math.max(0, machine.dueAt() - now));
const entered = (expiresInMs = 60 * MINUTE): Input => ({ on: 'entered', expiresInMs });

function live(expiresInMs?: number) {
  step('connect');
  step('token');
  step('opened');
  step(entered(expiresInMs));
}

beforeEach(() => {
  now = 1_000;
  chance = 0.5;
  make();
});

describe('the way in', () => {
  test('goes by token, transport and authenticate to a session', () => {
    expect(step('connect')).toEqual(['state connecting', 'token connect']);
    expect(step('token')).toEqual(['open']);
    expect(step('opened')).toEqual(['enter rooms']);
    expect(step(entered())).toEqual(['state connected', 'ping']);
    expect(machine.phase).toBe('live');
  });

  test('is not begun twice', () => {
    step('connect');
    expect(step('connect')).toEqual([]);
    live();
    expect(step('connect')).toEqual([]);
  });

  test.each(['token', 'opening', 'entering'])('is given up when it hangs at %s', (phase) => {
    step('connect');
    if (phase !== 'token') step('token');
    if (phase === 'entering') step('opened');
    expect(machine.phase).toBe(phase);
    expect(step('tick', 9_999)).toEqual([]);
    expect(step('tick', 1)).toEqual(['drop', 'state reconnecting TIMEOUT']);
  });

  test('a token that cannot be had is asked for again after a wait', () => {
    step('connect');
    expect(step({ on: 'tokenFailed', fault: fault('TOKEN_UNAVAILABLE') })).toEqual(['state reconnecting TOKEN_UNAVAILABLE']);
    expect(tickWhenDue()).toEqual(['token connect']);
    step({ on: 'tokenFailed', fault: fault('TOKEN_UNAVAILABLE') });
    expect(machine.dueAt() - now).toBe(500);
  });
});

describe('coming back', () => {
  test('begins at once, then waits longer and longer', () => {
    live();
    const waits = [];
    for (let attempt = 0; attempt < 8; attempt++) {
      step(closed(1006));
      waits.push(machine.dueAt() - now);
      expect(tickWhenDue()).toEqual(['token connect']);
      step('token');
    }
    expect(waits).toEqual([0, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
  });

  test('waits at least as long as the server asks', () => {
    live();
    step(closed(4000, { retry_after_ms: 45_000 }));
    expect(machine.dueAt() - now).toBe(45_000);
  });

  test('counts anew once a session has stood for a minute', () => {
    live();
    step(closed(1006));
    tickWhenDue();
    step('token');
    step('opened');
    step(entered());
    step(closed(1006), MINUTE - 1);
    expect(machine.failures).toBe(2);
    tickWhenDue();
    step('token');
    step('opened');
    step(entered());
    step(closed(1006), MINUTE);
    expect(machine.failures).toBe(1);
  });

  test('ends after so many attempts, and the next connect begins anew', () => {
    make({ backoff: { attemptsMax: 2 } });
    step('connect');
    for (const expected of ['state reconnecting DISCONNECTED', 'state reconnecting DISCONNECTED', 'state error DISCONNECTED']) {
      step('token');
      expect(step(closed(1006))).toEqual([expected]);
      if (machine.phase === 'waiting') tickWhenDue();
    }
    expect(machine.dueAt()).toBe(Infinity);
    expect(step('connect')).toEqual(['state connecting', 'token connect']);
  });

  test('can go on for ever', () => {
    make({ backoff: { attemptsMax: Infinity } });
    step('connect');
    for (let attempt = 0; attempt < 200; attempt++) {
      step('token');
      step(closed(1006));
      expect(tickWhenDue()).toEqual(['token connect']);
    }
  });

  test('does not give up while there is no network', () => {
    make({ backoff: { attemptsMax: 1 } });
    step('connect');
    step('offline');
    for (let attempt = 0; attempt < 5; attempt++) {
      step('token');
      expect(step(closed(1006))).toEqual(['state reconnecting DISCONNECTED']);
      tickWhenDue();
    }
  });

  test('can be cut short', () => {
    live();
    for (let attempt = 0; attempt < 3; attempt++) {
      step(closed(4000, { retry_after_ms: 5_000 }));
      expect(step('retry')).toEqual(['token connect']);
      step('token');
    }
  });

  test.each(['online', 'wake'] as const)('is hastened by %s, but never before the server wants it', (sign) => {
    live();
    step(closed(1006));
    tickWhenDue();
    step('token');
    step(closed(4000, { retry_after_ms: 200 }));
    expect(machine.dueAt() - now).toBe(500);
    step(sign, 50);
    expect(machine.dueAt() - now).toBe(150);
    expect(tickWhenDue()).toEqual(['token connect']);
  });

  test('is taken up again by a sign of life after attempts ran out, but not after a refusal', () => {
    make({ backoff: { attemptsMax: 0 } });
    step('connect');
    step('token');
    expect(step(closed(1006))).toEqual(['state error DISCONNECTED']);
    expect(step('online')).toEqual(['state connecting', 'token connect']);
    step('token');
    step(closed(4502, { code: 'AUTH_FAILED' }));
    expect(step('online')).toEqual([]);
    expect(step('retry')).toEqual([]);
  });

  test('disconnect ends it at every point', () => {
    for (const inputs of [[], ['token'], ['token', 'opened'], ['token', closed(1006)]] as (Input | Input['on'])[][]) {
      make();
      step('connect');
      inputs.forEach((input) => step(input));
      expect(step('disconnect')).toEqual(['drop', 'state disconnected']);
      expect(machine.dueAt()).toBe(Infinity);
      expect(step('disconnect')).toEqual([]);
    }
  });
});

describe('refusals', () => {
  const refused = (code: string): Input => ({ on: 'refused', fault: fault(code) });

  function enter() {
    if (machine.phase === 'idle') step('connect');
    else tickWhenDue();
    step('token');
    return step('opened');
  }

  test.each([4501, 4502, 4503, 4504, 4999])('%i ends it and says why', (code) => {
    step('connect');
    step('token');
    expect(step(closed(code, { code: 'AUTH_FAILED' }))).toEqual(['state error AUTH_FAILED']);
  });

  test.each([4500, 4002])('%i has one fresh token tried', (code) => {
    enter();
    step(refused('AUTH_FAILED'));
    expect(step(closed(code, { code: 'AUTH_FAILED' }))).toEqual(['state reconnecting AUTH_FAILED']);
    expect(tickWhenDue()).toEqual(['token refused']);
    step('token');
    step('opened');
    expect(step(closed(code, { code: 'AUTH_FAILED' }))).toEqual(['state error AUTH_FAILED']);
  });

  test('a token that expires on an open session costs no more than another one', () => {
    live();
    expect(step(closed(4002, { code: 'AUTH_FAILED' }), 5 * MINUTE)).toEqual(['state reconnecting AUTH_FAILED']);
    expect(tickWhenDue()).toEqual(['token connect']);
  });

  test.each([4500, 4002])('%i ends it where the token is static', (code) => {
    make({ token: 'static' });
    enter();
    expect(step(closed(code, { code: 'AUTH_FAILED' }))).toEqual(['state error AUTH_FAILED']);
    make({ token: 'static' });
    live();
    expect(step(closed(code))).toEqual(['state error DISCONNECTED']);
  });

  test('what is refused besides the token is asked for less and less', () => {
    expect(enter()).toEqual(['enter rooms']);
    step(refused('UNAUTHORIZED'));
    expect(step(closed(4503, { code: 'UNAUTHORIZED' }))).toEqual(['state reconnecting UNAUTHORIZED']);
    expect(enter()).toEqual(['enter position']);
    step(refused('ROOM_FULL'));
    expect(step(closed(4003, { code: 'ROOM_FULL' }))).toEqual(['state reconnecting ROOM_FULL']);
    expect(enter()).toEqual(['enter nothing']);
    step(refused('UNAUTHORIZED'));
    expect(step(closed(4503, { code: 'UNAUTHORIZED' }))).toEqual(['state error UNAUTHORIZED']);
  });

  test('what the server could not read it does not close for', () => {
    enter();
    expect(step(refused('INVALID_MESSAGE'))).toEqual(['drop', 'state reconnecting INVALID_MESSAGE']);
    expect(enter()).toEqual(['enter position']);
    step(entered());
    step(closed(1006), MINUTE);
    expect(enter()).toEqual(['enter rooms']);
  });

  test('the moment is not held against what was asked for', () => {
    enter();
    step(refused('CONNECTION_LIMIT'));
    step(closed(4003, { code: 'CONNECTION_LIMIT', retry_after_ms: 2_400 }));
    expect(machine.dueAt() - now).toBe(2_400);
    expect(enter()).toEqual(['enter rooms']);
  });
});

describe('heartbeat', () => {
  test('pings, and gives a silent server up', () => {
    live();
    expect(step('pong', 20)).toEqual([]);
    expect(step('tick', 29_980)).toEqual(['ping']);
    expect(step('tick', 9_999)).toEqual([]);
    expect(step('tick', 1)).toEqual(['drop', 'state reconnecting TIMEOUT']);
  });

  test('anything heard is a sign of life', () => {
    live();
    step('heard', 9_000);
    expect(step('tick', 1_000)).toEqual([]);
    expect(machine.dueAt() - now).toBe(9_000);
    expect(tickWhenDue()).toEqual(['drop', 'state reconnecting TIMEOUT']);
  });

  test.each(['online', 'wake', 'offline', 'retry'] as const)('%s has the connection tried at once', (sign) => {
    live();
    step('pong', 1);
    expect(step(sign)).toEqual(['ping']);
    expect(step('tick', 5_000)).toEqual(['drop', 'state reconnecting TIMEOUT']);
  });

  test('after a sleep the connection gets one more chance', () => {
    live();
    expect(step('tick', 40 * MINUTE)).toEqual(['ping']);
    expect(step('tick', MINUTE)).toEqual(['drop', 'state reconnecting TIMEOUT']);
  });

  test('late ticks of a page in the background do no harm while answers come', () => {
    live();
    for (let minute = 0; minute < 10; minute++) {
      step('heard', 10);
      step('pong');
      expect(step('tick', MINUTE)).toEqual(['ping']);
    }
  });
});

describe('renewal', () => {
  test('comes a minute before the end', () => {
    live(60 * MINUTE);
    step('pong');
    const asked: string[] = [];
    while (!asked.includes('token expiring') && asked.length < 400) {
      asked.push(...tickWhenDue());
      step('pong');
    }
    expect(now).toBe(1_000 + 59 * MINUTE);
    expect(step('token')).toEqual(['enter renewal']);
    expect(step(entered(60 * MINUTE))).toEqual([]);
  });

  test.each([
    [20_000, 10_000],
    [-5 * MINUTE, 5_000],
  ])('a token of %i ms is renewed after %i', (lifeMs, expectedMs) => {
    live(lifeMs);
    step('pong');
    expect(machine.dueAt() - now).toBe(expectedMs);
  });

  test('comes when the server warns, but not in a circle', () => {
    live(120 * MINUTE);
    step('pong');
    step('expiring');
    expect(machine.dueAt() - now).toBe(5_000);
    expect(tickWhenDue()).toEqual(['token expiring']);
    step('token');
    step(entered(120 * MINUTE));
    step('expiring', MINUTE / 3);
    expect(tickWhenDue()).toEqual(['token expiring']);
  });

  test.each([
    { on: 'tokenFailed', fault: fault('TOKEN_UNAVAILABLE') },
    { on: 'refused', fault: fault('AUTH_FAILED') },
  ] as Input[])('that fails ($on) is tried again, and the session goes on', (failure) => {
    live(120_000);
    step('pong');
    step('expiring', 20_000);
    expect(tickWhenDue()).toEqual(['token expiring']);
    expect(step(failure)).toEqual([`report ${(failure as { fault: RoomcastError }).fault.code}`]);
    expect(machine.phase).toBe('live');
    expect(machine.dueAt() - now).toBe(5_000);
    step('heard', 5_000);
    expect(step('tick')).toContain('token expiring');
  });

  test('that hangs is begun again', () => {
    live(120_000);
    step('pong');
    step('expiring', 20_000);
    expect(tickWhenDue()).toEqual(['token expiring']);
    const began = now;
    step('pong');
    while (now - began < 10_000) {
      const did = tickWhenDue();
      step('pong');
      if (did.includes('token expiring')) break;
    }
    expect(now - began).toBe(10_000);
  });

  test('is not for static tokens', () => {
    make({ token: 'static' });
    live(MINUTE);
    step('pong');
    step('expiring');
    expect(machine.dueAt() - now).toBe(30_000);
  });
});
