import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PageClient } from './page-client.js';

/** A client of the page with its server played by hand. */
class Game {
  constructor(t) {
    this.told = [];
    this.sent = [];
    this.opened = 0;
    this.client = new PageClient('ws://roomcast.test/ws', (news) => this.told.push(news), this);
    // Its timers would keep the test alive.
    t.after(() => this.client.leave());
  }

  // The transport.
  name = 'by hand';
  supported = () => true;
  open(_url, events) {
    this.events = events;
    this.opened += 1;
    queueMicrotask(() => events.onOpen());
    return { send: (text) => this.sent.push(JSON.parse(text)), close() {} };
  }

  /** The next command with this event that nobody has looked at, once it is there. */
  async command(event) {
    await until(() => this.sent.some((command) => command.event === event), `the command ${event}`);
    return this.sent.splice(this.sent.findIndex((command) => command.event === event), 1)[0];
  }

  async news(what) {
    await until(() => this.told.some((news) => news.what === what), `news of ${what}`);
    return this.told.splice(this.told.findIndex((news) => news.what === what), 1)[0];
  }

  says(message) {
    this.events.onMessage(JSON.stringify(message));
  }

  /** Accepts the next `authenticate`, and returns it. */
  async accepts(expiresAt = Date.now() / 1_000 + 3_600) {
    const command = await this.command('authenticate');
    const position = command.data.since ?? '1-0-0';
    const data = { session_id: 's', user_id: 'ada', organization_id: 'acme', expires_at: expiresAt, rooms: command.data.rooms ?? [], position };
    this.says({ event: 'authenticated', id: command.id, data });
    return command;
  }

  async enters(token = 'token') {
    this.client.enter(token);
    const command = await this.accepts();
    await this.news('connected');
    return command;
  }

  async subscribes(room) {
    this.client.subscribe(room);
    const { id } = await this.command('subscribe');
    this.says({ event: 'subscribed', id, data: { rooms: [room], position: '1-4-a' } });
    await this.news('rooms');
  }
}

/** One turn of the event loop, after which all that was promised by now is settled. */
const turn = () => new Promise(setImmediate);

async function until(condition, what) {
  for (let turns = 0; turns < 1_000; turns += 1) {
    if (condition()) return;
    await turn();
  }
  throw new Error(`${what} never came`);
}

test('tells who is connected, and where in the log', async (t) => {
  const game = new Game(t);
  game.client.enter('token');
  assert.equal((await game.accepts()).data.token, 'token');
  assert.deepEqual(await game.news('connected'), { what: 'connected', position: '1-0-0', back: null });
  assert.equal(game.client.phase, 'connected');
  assert.equal(game.client.session.userId, 'ada');
});

test('a connection dropped on purpose stays away as long as asked, or until retried, and goes on from its place', async (t) => {
  const game = new Game(t);
  await game.enters();
  await game.subscribes('kpi:acme');
  game.client.drop(60_000);
  const { why, wasConnected, attempt, waitMs } = await game.news('lost');
  assert.deepEqual([why, wasConnected, attempt, waitMs > 59_000], ['dropped by you', true, 1, true]);
  assert.equal(game.client.phase, 'waiting');
  game.client.drop(60_000);
  assert.equal(game.opened, 1);
  game.client.retry();
  const { data } = await game.accepts();
  assert.deepEqual(data, { token: 'token', rooms: ['kpi:acme'], since: '1-4-a' });
  assert.equal((await game.news('connected')).back.since, '1-4-a');
  assert.deepEqual([...game.client.rooms.keys()], ['kpi:acme']);
});

test('a subscription that is refused or ended by the server is no longer listed, and the fault says why', async (t) => {
  const game = new Game(t);
  await game.enters();
  await game.subscribes('kpi:acme');
  game.client.subscribe('nope:acme');
  const { id } = await game.command('subscribe');
  game.says({ event: 'error', id, data: { code: 'INVALID_ROOM', message: 'no such channel' } });
  assert.deepEqual(await game.news('fault'), { what: 'fault', command: 'subscribe', code: 'INVALID_ROOM', message: 'no such channel' });
  game.says({ event: 'unsubscribed', data: { rooms: ['kpi:acme'], code: 'UNAUTHORIZED', message: 'no longer granted' } });
  assert.equal((await game.news('fault')).code, 'UNAUTHORIZED');
  assert.equal(game.client.rooms.size, 0);
});

test('a room under two spellings is listed once, and unsubscribing ends it', async (t) => {
  const game = new Game(t);
  await game.enters();
  await game.subscribes('kpi:acme');
  game.client.subscribe('kpi:org:acme');
  game.client.subscribe('kpi:acme:**');
  await turn();
  assert.deepEqual([...game.client.rooms.keys()], ['kpi:acme']);
  game.client.unsubscribe('kpi:acme');
  assert.deepEqual((await game.command('unsubscribe')).data.rooms, ['kpi:acme']);
  assert.equal(game.client.rooms.size, 0);
});

test('a token is renewed on the open connection, and a bad one changes nothing', async (t) => {
  const game = new Game(t);
  await game.enters('first');
  game.client.enter('second');
  assert.deepEqual((await game.accepts(4_000_000_000)).data, { token: 'second' });
  await game.news('renewed');
  assert.equal(game.client.session.expiresAt, 4_000_000_000);
  game.client.enter('bad');
  const { id } = await game.command('authenticate');
  game.says({ event: 'error', id, data: { code: 'AUTH_FAILED', message: 'forged' } });
  assert.equal((await game.news('fault')).command, 'authenticate');
  assert.deepEqual([game.client.token, game.client.phase, game.opened], ['second', 'connected', 1]);
});

test('a refusal is told with the reason that the server gave', async (t) => {
  const game = new Game(t);
  game.client.enter('bad');
  // The same token once more, because another one might have been there.
  for (const _attempt of ['first', 'second']) {
    const { id } = await game.command('authenticate');
    game.says({ event: 'error', id, data: { code: 'AUTH_FAILED', message: 'forged' } });
    game.events.onClose(4_500, '{"code":"AUTH_FAILED"}');
  }
  const { fault } = await game.news('refused');
  assert.deepEqual([fault.code, fault.message], ['AUTH_FAILED', 'forged']);
  assert.equal(game.client.phase, 'refused');
});

test('leaving forgets the place, the rooms and the token', async (t) => {
  const game = new Game(t);
  await game.enters();
  await game.subscribes('kpi:acme');
  game.client.leave();
  assert.deepEqual([game.client.phase, game.client.position, game.client.token, game.client.session], ['idle', null, null, null]);
  assert.equal(game.client.rooms.size, 0);
  assert.deepEqual((await game.enters('other')).data, { token: 'other' });
});
