import assert from 'node:assert/strict';
import { test } from 'node:test';

import { backoffMs } from './backoff.js';
import { Connection } from './connection.js';

/** A connection with its server played by hand, and the clock with it. */
class Game {
  constructor(chance = 1) {
    this.now = 1_000;
    this.connection = new Connection(() => chance);
    this.actions = [];
  }

  run(input, ...args) {
    this.actions = this.connection[input](...args, this.now);
    return this.actions;
  }

  hears(message) {
    return this.run('received', JSON.stringify(message));
  }

  sent() {
    return this.actions.filter((action) => action.do === 'send').map((action) => JSON.parse(action.text));
  }

  told(what) {
    return this.actions.filter((action) => action.do === 'tell' && action.what === what);
  }

  does() {
    return this.actions.filter((action) => action.do !== 'tell').map((action) => action.do);
  }

  /** Opens the socket and lets the server accept; returns the `authenticate` that was sent. */
  accepted(position = '1-0-0') {
    this.run('opened');
    const [authenticate] = this.sent();
    const data = { session_id: 's', user_id: 'ada', organization_id: 'acme', expires_at: 9, rooms: authenticate.data.rooms, position };
    this.hears({ event: 'authenticated', id: authenticate.id, data });
    return authenticate;
  }

  connected() {
    this.run('connect', 'token');
    this.accepted();
    return this;
  }

  publication(id, more = {}) {
    return this.hears({ event: 'kpi:update', room: 'kpi:acme', id, ts: '2026-01-01T00:00:00.000Z', data: 1, ...more });
  }
}

test('connects, authenticates and pings', () => {
  const game = new Game();
  game.run('connect', 'token');
  assert.deepEqual(game.does(), ['open']);
  const authenticate = game.accepted();
  assert.equal(authenticate.event, 'authenticate');
  assert.deepEqual(authenticate.data, { token: 'token', rooms: [] });
  assert.equal(game.connection.phase, 'connected');
  const [ping] = game.sent();
  assert.equal(ping.event, 'client:ping');
  game.now += 7;
  game.hears({ event: 'client:pong', id: ping.id, data: { ts: 1, position: null } });
  assert.equal(game.connection.latencyMs, 7);
});

test('comes back with every room and the latest position', () => {
  const game = new Game().connected();
  game.run('subscribe', ['kpi:org:acme']);
  game.hears({ event: 'subscribed', id: game.sent()[0].id, data: { rooms: ['kpi:acme'], position: '1-4-a' } });
  game.publication('1-5-b');
  game.publication('1-6-c', { replayed: true });
  game.run('closed', 1006, '');
  assert.equal(game.connection.phase, 'waiting');
  game.now = game.connection.wakeAt();
  game.run('tick');
  assert.deepEqual(game.does(), ['open']);
  assert.deepEqual(game.accepted('1-6-c').data, { token: 'token', rooms: ['kpi:acme'], since: '1-6-c' });
  const [news] = game.told('connected');
  assert.equal(news.again, true);
  assert.equal(news.since, '1-6-c');
});

test('positions move with pushes and gaps, but not with urgent or ephemeral publications', () => {
  const game = new Game().connected();
  game.publication('1-9-a', { priority: 'urgent' });
  assert.equal(game.told('publication').length, 1);
  assert.equal(game.connection.position, '1-0-0');
  game.publication(undefined);
  assert.equal(game.connection.position, '1-0-0');
  game.hears({ event: 'position', data: { position: '1-12-b' } });
  assert.equal(game.connection.position, '1-12-b');
  game.hears({ event: 'gap', data: { from: '1-12-b', to: '2-3-c', reason: 'fork' } });
  assert.equal(game.connection.position, '2-3-c');
  assert.equal(game.told('gap')[0].gap.reason, 'fork');
  game.hears({ event: 'subscribed', id: 99, data: { rooms: [], position: null } });
  assert.equal(game.connection.position, '2-3-c');
});

test('a publication that comes twice is told once', () => {
  const game = new Game().connected();
  game.publication('1-1-a');
  game.publication('1-1-a', { replayed: true });
  assert.equal(game.told('publication').length, 0);
  assert.equal(game.told('duplicate').length, 1);
});

test('close codes from 4500 on end it, others do not', () => {
  const fatal = new Game().connected();
  fatal.run('closed', 4502, '{"code":"AUTH_FAILED"}');
  assert.equal(fatal.connection.phase, 'refused');
  assert.equal(fatal.connection.fault.code, 'AUTH_FAILED');
  assert.equal(fatal.connection.wakeAt(), null);

  const drain = new Game(0).connected();
  drain.run('closed', 4000, '{"code":"INTERNAL_ERROR","retry_after_ms":1500}');
  assert.equal(drain.connection.phase, 'waiting');
  assert.equal(drain.connection.wakeAt(), drain.now + 1_500);
});

test('the error to authenticate is what a refusal shows', () => {
  const game = new Game();
  game.run('connect', 'bad');
  game.run('opened');
  game.hears({ event: 'error', id: game.connection.lastId, data: { code: 'AUTH_FAILED', message: 'the token has expired' } });
  game.run('closed', 4500, '{"code":"AUTH_FAILED"}');
  assert.deepEqual(game.told('refused')[0].message, 'the token has expired');
});

test('attempts that fail wait longer and longer, and success starts over', () => {
  const game = new Game();
  game.run('connect', 'token');
  const waits = [];
  for (let attempt = 0; attempt < 9; attempt += 1) {
    game.run('closed', 1006, '');
    waits.push(game.connection.wakeAt() - game.now);
    game.now = game.connection.wakeAt();
    game.run('tick');
  }
  assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  game.accepted();
  game.run('closed', 1006, '');
  assert.equal(game.connection.wakeAt() - game.now, 500);
});

test('jitter reaches over the whole range and keeps to the hint', () => {
  assert.equal(backoffMs(3, 0, 0), 0);
  assert.equal(backoffMs(3, 0, 0.5), 2_000);
  assert.equal(backoffMs(3, 5_000, 0.5), 5_000);
  assert.ok(backoffMs(5_000, 0, 1) <= 30_000);
});

test('a server that does not answer is given up', () => {
  const game = new Game();
  game.run('connect', 'token');
  game.now = game.connection.wakeAt();
  game.run('tick');
  assert.deepEqual(game.does(), ['close']);
  assert.equal(game.connection.phase, 'waiting');

  const silent = new Game().connected();
  silent.now = silent.connection.wakeAt();
  silent.run('tick');
  assert.deepEqual(silent.does(), ['close']);
  assert.equal(silent.told('lost')[0].wasConnected, true);
});

test('a timer that fires late after a sleep pings before it judges', () => {
  const game = new Game().connected();
  game.hears({ event: 'client:pong', id: game.sent()[0].id, data: {} });
  game.now += 3_600_000;
  game.run('tick');
  assert.equal(game.connection.phase, 'connected');
  assert.equal(game.sent()[0].event, 'client:ping');
});

test('a dropped connection stays away as long as asked, or until retried', () => {
  const game = new Game(0).connected();
  game.run('drop', 2_500);
  assert.deepEqual(game.does(), ['close']);
  assert.equal(game.connection.wakeAt(), game.now + 2_500);
  assert.deepEqual(game.run('drop', 2_500), []);
  game.run('retry');
  assert.deepEqual(game.does(), ['open']);
});

test('publications without an answer are counted when the connection goes', () => {
  const game = new Game().connected();
  game.run('publish', { room: 'kpi:acme', event: 'kpi:update', data: 1 });
  game.run('publish', { room: 'kpi:acme', event: 'kpi:update', data: 2 });
  game.hears({ event: 'published', id: game.sent()[0].id, data: { id: '1-1-a', duplicate: false } });
  game.run('closed', 1006, '');
  assert.equal(game.told('lost')[0].unanswered, 1);
});

test('a token is renewed on the open connection', () => {
  const game = new Game().connected();
  game.run('connect', 'fresh');
  const [command] = game.sent();
  assert.deepEqual(command.data, { token: 'fresh' });
  assert.deepEqual(game.does(), ['send']);
  game.hears({ event: 'authenticated', id: command.id, data: { session_id: 's', rooms: [], position: '1-0-0' } });
  assert.equal(game.told('renewed').length, 1);
});

test('a subscription that the server ended is gone and said to be', () => {
  const game = new Game().connected();
  game.hears({ event: 'subscribed', id: 50, data: { rooms: ['kpi:acme', 'chat:acme'], position: null } });
  game.hears({ event: 'unsubscribed', data: { rooms: ['kpi:acme'], code: 'UNAUTHORIZED', message: 'no longer granted' } });
  assert.deepEqual([...game.connection.rooms], ['chat:acme']);
  assert.equal(game.told('fault')[0].code, 'UNAUTHORIZED');
  game.hears({ event: 'unsubscribed', id: 51, data: { rooms: ['chat:acme'] } });
  assert.equal(game.told('fault').length, 0);
  assert.equal(game.connection.rooms.size, 0);
});

test('nonsense from the server is told, not thrown', () => {
  const game = new Game().connected();
  for (const text of ['', 'null', '7', '{', '[]', '{"event":"new:thing"}', '{"event":"subscribed","id":1}']) {
    assert.doesNotThrow(() => game.run('received', text), text);
  }
  assert.equal(game.connection.phase, 'connected');
});

test('signing out forgets the place and the rooms', () => {
  const game = new Game().connected();
  game.publication('1-1-a');
  game.run('signOut');
  assert.equal(game.connection.phase, 'idle');
  assert.equal(game.connection.position, null);
  game.run('connect', 'other');
  assert.equal('since' in game.accepted().data, false);
});
