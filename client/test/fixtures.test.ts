// The protocol by example: the same files that the gateway is tested against. A file that no test knows fails.

import { asBytes } from '../src/binary.js';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Client, ClientOptions, Collection, Gap, Item, Priority, Publication, RoomcastFault, Transport, TransportEvents } from '../src/types.js';
import { historyOf } from '../src/history.js';
import type { HistoryOptions, HistoryPage } from '../src/history.js';
import { followLatest } from '../src/latest.js';
import { canonical } from '../src/pattern.js';
import { presence } from '../src/presence.js';
import type { WireMember } from '../src/presence/roster.js';
import { collection } from '../src/sync.js';
import { where } from '../src/where.js';
import { createWorld, settled } from './fake-server.js';

const ROOT = new URL('../../fixtures/', import.meta.url);

/** The members of messages that tests look at. */
interface Data {
  rooms: string[];
  since?: string;
  position: string | null;
  id: string | null;
  code: string;
  message: string;
  retry_after_ms?: number;
  to: string;
  session_id: string;
  user_id: string;
  organization_id: string;
  expires_at: number;
  room: string;
  members: WireMember[];
  joined: WireMember[];
  updated: WireMember[];
}

interface Wire {
  event: string;
  room: string;
  id: string;
  data: Data;
}

interface Meaning {
  ids: string[];
  rooms: string[];
  since: string | null;
  room: string;
  event: string;
  data: unknown;
  priority: Priority;
  log: boolean;
  cascade: boolean;
  headers: Record<string, string>;
  requires_ack: boolean;
  idempotency_key: string;
  ttl_ms: number;
}

interface Fixture {
  wire: Wire;
  meaning: Meaning;
}

function read(folder: string): Record<string, Fixture> {
  const files = readdirSync(new URL(`${folder}/`, ROOT));
  return Object.fromEntries(files.map((file) => [file.replace('.json', ''), JSON.parse(readFileSync(new URL(`${folder}/${file}`, ROOT), 'utf8')) as Fixture]));
}

const TOKEN = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl';
const replies = read('replies');
const authenticated = replies.authenticated!;

/** A client whose server is the test itself. */
function scripted(options: Partial<ClientOptions> = {}) {
  const world = createWorld();
  const sent: Record<string, unknown>[] = [];
  let events: TransportEvents;
  const transport: Transport = {
    name: 'scripted',
    supported: () => true,
    open: (_url, told) => {
      events = told;
      queueMicrotask(() => told.onOpen());
      return { send: (text) => sent.push(JSON.parse(text)), close: () => {} };
    },
  };
  const client = world.client({ token: TOKEN, transport, ...options });
  const say = async (message: object) => {
    events.onMessage(JSON.stringify(message));
    await settled();
  };
  /** Answers the last command of a name. */
  const answer = (command: string, reply: { event: string; data?: unknown }) => say({ ...reply, id: sent.findLast(({ event }) => event === command)?.id });
  const enter = async (data: object = {}) => {
    await settled();
    await answer('authenticate', { event: 'authenticated', data: { ...authenticated.wire.data, rooms: [], ...data } });
  };
  return { world, client, sent, say, answer, enter, close: (code: number, reason: string) => events.onClose(code, reason) };
}

const LOBBY = 'chat:acme:lobby';

/** A client that is present in a room, and what a test says of it. */
async function present(self: { status?: 'online' | 'away' | 'busy'; state?: unknown } = {}) {
  const script = scripted();
  await script.enter({ features: ['presence'] });
  const handle = presence(script.client, LOBBY, { enter: self });
  await settled();
  const entered = () => script.answer('presence:enter', replies['presence-entered']!.wire);
  const watched = () => script.answer('presence:watch', replies['presence-snapshot']!.wire);
  return { ...script, handle, entered, watched };
}

/** What a command says, its id aside, which is the client's own. */
const said = (sent: Record<string, unknown>[], command: string) => ({ ...sent.findLast(({ event }) => event === command), id: undefined });

/** The members of a write that tests look at. */
interface ItemMeaning {
  key: string;
  value: unknown;
  if_version: number;
}

/** A client that mirrors the collection of the fixtures, up to its question for the first page. */
async function mirrored() {
  const script = scripted();
  await script.enter({ features: ['sync'] });
  const tasks = collection(script.client, 'sync:acme:tasks');
  await settled();
  await script.answer('subscribe', { event: 'subscribed', data: { rooms: ['sync:acme:tasks'], position: null } });
  return { ...script, tasks };
}

describe('commands', () => {
  const commands = read('commands');
  const wire = (name: string) => ({ ...commands[name]!.wire, id: undefined });
  const meaning = (name: string) => commands[name]!.meaning;

  const tests: Record<string, () => Promise<void>> = {
    async authenticate() {
      const { sent } = scripted();
      await settled();
      expect(said(sent, 'authenticate')).toEqual(wire('authenticate'));
    },
    async 'authenticate-resume'() {
      const { client, sent, enter, answer, close, world } = scripted();
      const { rooms, since } = meaning('authenticate-resume');
      for (const room of rooms) client.subscribe(room, () => {});
      await enter();
      await answer('subscribe', { event: 'subscribed', data: { rooms, position: since } });
      close(1006, '');
      await world.settle();
      expect(said(sent, 'authenticate')).toEqual(wire('authenticate-resume'));
    },
    async 'authenticate-filters'() {
      const { client, sent, enter, answer, close, world } = scripted();
      const { rooms, since } = meaning('authenticate-filters');
      client.subscribe('kpi:acme:sales', () => {});
      client.subscribe('alerts:acme', () => {}, { filter: where('severity>=3') });
      await enter();
      await answer('subscribe', { event: 'subscribed', data: { rooms, position: since } });
      close(1006, '');
      await world.settle();
      expect(said(sent, 'authenticate')).toEqual(wire('authenticate-filters'));
    },
    async ping() {
      const { sent, enter } = scripted();
      await enter();
      expect(said(sent, 'client:ping')).toEqual(wire('ping'));
    },
    publish: () => publishes('publish', {}),
    'publish-bytes': () => publishes('publish-bytes', asBytes(Uint8Array.from([0, 1, 2, 253, 254, 255]))),
    async 'publish-ephemeral'() {
      await publishes('publish-ephemeral', { log: false });
    },
    async 'publish-options'() {
      const { priority, log, cascade, headers, requires_ack: requiresAck, idempotency_key: idempotencyKey, ttl_ms: ttlMs } = meaning('publish-options');
      await publishes('publish-options', { priority, log, cascade, headers, requiresAck, idempotencyKey, ttlMs });
    },
    async 'subscribe-filter'() {
      const { client, sent, enter } = scripted();
      const { data } = wire('subscribe-filter') as unknown as { data: { rooms: string[]; filter: string } };
      client.subscribe(data.rooms[0]!, () => {}, { filter: where(data.filter) });
      await enter();
      // A client names the filter with its room, so that it can ask for others in the same command; it means the same.
      expect((said(sent, 'subscribe') as { data?: unknown }).data).toEqual({ rooms: meaning('subscribe-filter').rooms });
    },
    async 'unsubscribe-filter'() {
      const { client, sent, enter, answer } = scripted();
      const { data } = wire('unsubscribe-filter') as unknown as { data: { rooms: string[]; filter: string } };
      const subscription = client.subscribe(data.rooms[0]!, () => {}, { filter: where(data.filter) });
      await enter();
      await answer('subscribe', { event: 'subscribed', data: { rooms: data.rooms, position: null } });
      subscription.unsubscribe();
      await settled();
      expect((said(sent, 'unsubscribe') as { data?: unknown }).data).toEqual({ rooms: meaning('unsubscribe-filter').rooms });
    },
    async ack() {
      const { client, sent, enter } = scripted();
      await enter({ features: ['ack'] });
      for (const id of meaning('ack').ids) client.ack({ id } as Publication);
      await settled();
      expect(said(sent, 'ack')).toEqual(wire('ack'));
    },
    'subscribe-rooms': () => subscribes('subscribe-rooms'),
    'subscribe-since': () => subscribes('subscribe-since'),
    'subscribe-long-form': () => subscribes('subscribe-long-form'),
    'subscribe-all-channels': () => means('subscribe-all-channels', ['all:acme']),
    'subscribe-channels': () => means('subscribe-channels', ['kpi:acme:sales:support', 'backlog:acme:sales:support']),
    'subscribe-queue': () => means('subscribe-queue', ['kpi:org:acme:queue:support']),
    async 'sync-subscribe'() {
      const { sent } = await mirrored();
      expect(said(sent, 'sync:subscribe')).toEqual(wire('sync-subscribe'));
    },
    async 'sync-subscribe-next'() {
      const { sent, answer } = await mirrored();
      await answer('sync:subscribe', replies['sync-snapshot']!.wire);
      expect(said(sent, 'sync:subscribe')).toEqual(wire('sync-subscribe-next'));
    },
    'sync-write-insert': () => writes('sync-write-insert', (tasks, { key, value }) => tasks.insert(key, value)),
    'sync-write-update': () =>
      writes('sync-write-update', (tasks, { key, value, if_version: ifVersion }) => tasks.update(key, value, { ifVersion })),
    'sync-write-delete': () => writes('sync-write-delete', (tasks, { key, if_version: ifVersion }) => tasks.remove(key, { ifVersion })),
    // For backends that do not ask what is there; the client has no method for it.
    async 'sync-write-put'() {
      expect(canonical((wire('sync-write-put').data as unknown as { room: string }).room)).toBe(meaning('sync-write-put').room);
    },
    async 'subscribe-latest'() {
      const { client, sent, enter, answer } = scripted();
      const rooms = meaning('subscribe-latest').rooms;
      followLatest(client, rooms[0]!, () => {});
      await enter({ features: ['latest'] });
      await answer('subscribe', { event: 'subscribed', data: { rooms, position: null } });
      expect(said(sent, 'subscribe')).toEqual(wire('subscribe-latest'));
    },
    history: () => asksForHistory('history', {}),
    'history-options': () => {
      const { since, limit, reverse, filter } = meaning('history-options') as unknown as { since: string; limit: number; reverse: boolean; filter: string };
      return asksForHistory('history-options', { since, limit, reverse, filter: where(filter) });
    },
    async unsubscribe() {
      const { client, sent, enter, answer } = scripted();
      const rooms = meaning('unsubscribe').rooms;
      const subscription = client.subscribe(rooms[0]!, () => {});
      await enter();
      await answer('subscribe', { event: 'subscribed', data: { rooms, position: null } });
      subscription.unsubscribe();
      await settled();
      expect(said(sent, 'unsubscribe')).toEqual(wire('unsubscribe'));
    },
    async 'presence-enter'() {
      const { sent } = await present({ status: 'away', state: { typing: true } });
      expect(said(sent, 'presence:enter')).toEqual(wire('presence-enter'));
    },
    // The client spells out what a server would put in.
    async 'presence-enter-defaults'() {
      const { sent } = await present();
      const { room, status, state } = meaning('presence-enter-defaults') as unknown as Record<string, unknown>;
      expect(said(sent, 'presence:enter')).toMatchObject({ data: { room, status, state } });
      expect(canonical(wire('presence-enter-defaults').data.room)).toBe(room);
    },
    'presence-update': () => updates('presence-update', { status: 'busy' }),
    'presence-update-state': () => updates('presence-update-state', { state: null }),
    async 'presence-leave'() {
      const { sent, handle, entered } = await present();
      await entered();
      handle.leave();
      await settled();
      expect(said(sent, 'presence:leave')).toEqual(wire('presence-leave'));
    },
    async 'presence-watch'() {
      const { sent } = await present();
      expect(said(sent, 'presence:watch')).toEqual(wire('presence-watch'));
    },
    async 'presence-unwatch'() {
      const { sent, handle } = await present();
      handle.leave();
      await settled();
      expect(said(sent, 'presence:unwatch')).toEqual(wire('presence-unwatch'));
    },
  };

  /** What a collection sends for a change, whose key for retries is its own. */
  async function writes(name: string, act: (tasks: Collection, item: ItemMeaning) => Promise<unknown>) {
    const { sent, tasks } = await mirrored();
    act(tasks, meaning(name) as unknown as ItemMeaning).catch(() => {});
    await settled();
    const plain = wire(name).data as unknown as Record<string, unknown>;
    expect(said(sent, 'sync:write')).toEqual({ event: 'sync:write', id: undefined, data: { ...plain, idempotency_key: expect.any(String) } });
  }

  /** The client tells all of itself each time. */
  async function updates(name: string, self: { status?: 'busy'; state?: unknown }) {
    const { sent, handle, entered } = await present({ state: { typing: true } });
    await entered();
    handle.update(self).catch(() => {});
    await settled();
    expect(said(sent, 'presence:update')).toMatchObject(wire(name));
  }

  /** The command as written; an option with its default may be left out or spelled out, and a key is always there. */
  async function publishes(name: string, options: object) {
    const { client, sent, enter } = scripted();
    const { room, event, data, log } = meaning(name);
    await enter();
    client.publish({ room, event, data, ...options }).catch(() => {});
    await settled();
    const { channel: _c, organization_id: _o, queue_name: _q, ...plain } = wire(name).data as unknown as Record<string, unknown>;
    const key = log ? { idempotency_key: expect.any(String) } : {};
    expect(said(sent, 'publish')).toEqual({ event: 'publish', id: undefined, data: { ...key, ...plain, room } });
  }

  async function asksForHistory(name: string, options: HistoryOptions) {
    const { client, sent, enter } = scripted();
    await enter({ features: ['history'] });
    historyOf(client, meaning(name).room, options).catch(() => {});
    await settled();
    expect(said(sent, 'history')).toEqual(wire(name));
  }

  async function subscribes(name: string) {
    const { client, sent, enter } = scripted();
    const { rooms, since } = wire(name).data;
    for (const room of rooms) client.subscribe(room, () => {}, { since });
    await enter();
    expect(said(sent, 'subscribe')).toEqual(wire(name));
    await means(name, rooms);
  }

  /** The client has rooms alone, which mean the same. */
  async function means(name: string, rooms: string[]) {
    expect(rooms.map(canonical)).toEqual(meaning(name).rooms);
  }

  test.each(Object.keys(commands))('%s', async (name) => {
    expect(Object.keys(tests)).toContain(name);
    await tests[name]!();
  });
});

describe('replies', () => {
  type Check = (wire: Wire) => Promise<void>;
  const subscribed: Check = async (wire) => {
    const { client, enter, answer } = scripted();
    await enter();
    const before = client.position;
    const subscriptions = wire.data.rooms;
    const made = subscriptions.map((room) => client.subscribe(room, () => {}));
    await settled();
    await answer('subscribe', wire);
    expect(made.map(({ status }) => status)).toEqual(made.map(() => 'active'));
    expect(client.position).toBe(wire.data.position ?? before);
  };
  const snapshots = async () => {
    const [first, last] = [replies['sync-snapshot']!.wire, replies['sync-snapshot-last']!.wire];
    const { answer, tasks } = await mirrored();
    await answer('sync:subscribe', first);
    expect(tasks.synced).toBe(false);
    await answer('sync:subscribe', last);
    expect(tasks.synced).toBe(true);
    expect(tasks.items).toEqual((first.data as unknown as { items: Item[] }).items);
  };
  const published: Check = async (wire) => {
    const { client, enter, answer } = scripted();
    await enter();
    const outcome = client.publish({ room: 'kpi:acme', event: 'kpi:update', data: 1, log: wire.data.id === null ? false : undefined });
    await settled();
    await answer('publish', wire);
    expect(await outcome).toEqual(wire.data);
  };
  const tests: Record<string, Check> = {
    async authenticated(wire) {
      const { client, enter } = scripted();
      await enter(wire.data);
      const { session_id: id, user_id: userId, organization_id: organizationId, expires_at: expiresAt } = wire.data;
      expect(client.session).toEqual({ id, userId, organizationId, expiresAt, features: [] });
      expect([client.state, client.position]).toEqual(['connected', wire.data.position]);
    },
    // Where a cookie came with the handshake the server has said so before this client's own `authenticate`, which is a renewal then.
    async 'authenticated-by-handshake'(wire) {
      const { client, say, enter } = scripted();
      await settled();
      await say(wire);
      expect(client.state).toBe('connecting');
      await enter(wire.data);
      expect(client.state).toBe('connected');
    },
    subscribed,
    'subscribed-catching-up': subscribed,
    async 'subscribed-latest'(wire) {
      const { client, enter, answer } = scripted();
      const seen: Publication[] = [];
      followLatest(client, 'kpi:acme:sales', (publication) => seen.push(publication));
      await enter({ features: ['latest'] });
      await answer('subscribe', replies.subscribed!.wire);
      await answer('subscribe', wire);
      const { latest } = wire.data as unknown as { latest: { publications: object[] } };
      expect(seen).toEqual(latest.publications.map((push) => ({ ...push, priority: 'medium', headers: {}, replayed: false, latest: true, requiresAck: false })));
    },
    published,
    'published-duplicate': published,
    'published-ephemeral': published,
    async unsubscribed(wire) {
      const { client, enter, answer, sent } = scripted();
      const rooms = wire.data.rooms;
      const subscription = client.subscribe(rooms[0]!, () => {});
      await enter();
      await answer('subscribe', { event: 'subscribed', data: { rooms, position: null } });
      subscription.unsubscribe();
      await settled();
      client.subscribe(rooms[0]!, () => {});
      await settled();
      expect(sent.filter(({ event }) => event === 'subscribe')).toHaveLength(1);
      await answer('unsubscribe', wire);
      expect(sent.filter(({ event }) => event === 'subscribe')).toHaveLength(2);
    },
    async history(wire) {
      const { client, enter, answer } = scripted();
      await enter({ features: ['history'] });
      const page = historyOf(client, 'kpi:acme:sales');
      await settled();
      await answer('history', wire);
      const { publications, ...rest } = wire.data as unknown as HistoryPage;
      expect(await page).toEqual({ ...rest, publications: publications.map((push: object) => ({ priority: 'medium', headers: {}, replayed: false, requiresAck: false, ...push })) });
    },
    'sync-snapshot': () => snapshots(),
    'sync-snapshot-last': () => snapshots(),
    async 'sync-written'(wire) {
      const { answer, tasks } = await mirrored();
      const outcome = tasks.update('task-17', 1);
      await settled();
      await answer('sync:write', wire);
      const { key, version } = wire.data as unknown as Item;
      expect(await outcome).toEqual({ key, version, value: 1 });
    },
    async 'sync-written-nothing'(wire) {
      const { answer, tasks } = await mirrored();
      const outcome = tasks.remove('task-19');
      await settled();
      await answer('sync:write', wire);
      expect(await outcome).toBeUndefined();
    },
    async 'conflict-deleted'(wire) {
      const { answer, tasks } = await mirrored();
      const outcome = tasks.update('task-17', 1, { ifVersion: 2 }).catch((fault: RoomcastFault) => fault);
      await settled();
      await answer('sync:write', wire);
      expect(await outcome).toMatchObject({ code: 'CONFLICT', data: { current: null } });
    },
    async acked(wire) {
      const { client, enter, answer } = scripted();
      await enter();
      const outcome = client.request('ack', { ids: [] });
      await settled();
      await answer('ack', wire);
      expect(await outcome).toEqual(wire.data);
    },
    async pong(wire) {
      const { client, enter, answer, world } = scripted();
      await enter();
      world.clock.sleep(20);
      await answer('client:ping', wire);
      expect(client.health.latencyMs).toBe(20);
    },
    async error(wire) {
      await refused(wire);
    },
    async 'presence-entered'(wire) {
      const { handle, answer } = await present();
      const told = handle.update({});
      await answer('presence:enter', wire);
      await expect(told).resolves.toBeUndefined();
    },
    async 'presence-updated'(wire) {
      const { handle, entered, answer } = await present();
      await entered();
      const told = handle.update({ status: 'busy' });
      await settled();
      await answer('presence:update', wire);
      await expect(told).resolves.toBeUndefined();
    },
    'presence-left': (wire) => parted('presence:leave', wire),
    'presence-unwatched': (wire) => parted('presence:unwatch', wire),
    async 'presence-snapshot'(wire) {
      const { handle, answer } = await present();
      await answer('presence:watch', wire);
      expect(handle.members).toEqual(wire.data.members.map(({ user_id: userId, status, state }) => ({ userId, status, state })));
      expect(handle.synced).toBe(true);
    },
  };

  async function parted(command: string, wire: Wire) {
    const { client, handle, entered, answer } = await present();
    await entered();
    handle.leave();
    await settled();
    await answer(command, wire);
    expect(client.state).toBe('connected');
  }

  test.each(Object.keys(replies))('%s', async (name) => {
    expect(Object.keys(tests)).toContain(name);
    await tests[name]!(replies[name]!.wire);
  });
});

async function refused(wire: Wire) {
  const { client, enter, answer } = scripted();
  await enter();
  const outcome = client.request('some:command', {}).catch((fault: RoomcastFault) => fault);
  await settled();
  await answer('some:command', wire);
  const { code, message, retry_after_ms: retryAfterMs } = wire.data;
  expect(await outcome).toMatchObject({ code, message, retryAfterMs });
}

describe('errors', () => {
  const errors = read('errors');
  test.each(Object.keys(errors))('%s', (name) => refused(errors[name]!.wire));
});

describe('pushes', () => {
  const pushes = read('pushes');

  async function delivered(client: Client, say: (message: object) => Promise<void>, wire: Wire) {
    const got: Publication[] = [];
    client.on('publication', (publication) => got.push(publication));
    const before = client.position;
    await say(wire);
    const { requires_ack: requiresAck = false, cascade: _, overtook, ...plain } = wire as unknown as Record<string, unknown>;
    expect(got).toEqual([{ priority: 'medium', headers: {}, replayed: false, ...plain, requiresAck }]);
    expect(client.position).toBe(overtook || plain.redelivered ? before : (wire.id ?? before));
  }

  const tests: Record<string, (wire: Wire) => Promise<void>> = {
    publication,
    'publication-options': publication,
    'publication-bytes': publication,
    'publication-ephemeral': publication,
    'publication-replayed': publication,
    'publication-overtook': publication,
    'publication-conflated': publication,
    'publication-redelivered': publication,
    async conflated(wire) {
      const { client, enter, say } = scripted();
      const told: unknown[] = [];
      client.onPush('conflated', (data) => told.push(data));
      await enter();
      const before = client.position;
      await say(wire);
      expect([told, client.position]).toEqual([[wire.data], before]);
    },
    'publication-sync-update': publication,
    'publication-sync-delete': publication,
    async 'publication-cascade'(wire) {
      const { client, enter, answer, say } = scripted();
      const deeper: Publication[] = [];
      client.subscribe(`${wire.room}:sales`, (received) => deeper.push(received));
      await enter();
      await answer('subscribe', { event: 'subscribed', data: { rooms: [`${wire.room}:sales`], position: null } });
      await delivered(client, say, wire);
      expect(deeper).toHaveLength(1);
    },
    'gap-trimmed': gap,
    'gap-evicted': gap,
    'gap-fork': gap,
    'gap-log-lost': gap,
    'gap-unreadable': gap,
    async position(wire) {
      const { client, enter, say } = scripted();
      await enter();
      await say(wire);
      expect(client.position).toBe(wire.data.position);
    },
    async 'token-expiring'(wire) {
      let tokens = 0;
      const { enter, say, world } = scripted({ token: () => `token-${++tokens}` });
      await enter({ expires_at: world.clock.wall / 1_000 + 86_400 });
      await say(wire);
      await world.settle(5_000);
      expect(tokens).toBe(2);
    },
    async unsubscribed(wire) {
      const { client, enter, answer, say } = scripted();
      const { rooms, code, message } = wire.data;
      const faults: RoomcastFault[] = [];
      const subscription = client.subscribe(rooms[0]!, () => {}, { onError: (fault) => faults.push(fault) });
      await enter();
      await answer('subscribe', { event: 'subscribed', data: { rooms, position: null } });
      await say(wire);
      expect(subscription.status).toBe('ended');
      expect(faults).toMatchObject([{ code, message }]);
    },
    async 'presence-diff'(wire) {
      const { handle, watched, say } = await present();
      await watched();
      await say(wire);
      const { joined, updated } = wire.data;
      expect(handle.members).toEqual([...updated, ...joined].map(({ user_id: userId, status, state }) => ({ userId, status, state })));
    },
    async 'presence-ended'(wire) {
      const { handle, sent, entered, watched, say } = await present();
      await entered();
      await watched();
      const before = sent.length;
      await say(wire);
      const { code, message } = wire.data;
      expect([handle.fault, handle.members, handle.synced]).toMatchObject([{ code, message }, [], false]);
      expect(sent.length, 'nothing is tried again').toBe(before);
    },
  };

  async function publication(wire: Wire) {
    const { client, enter, say } = scripted();
    await enter();
    await delivered(client, say, wire);
  }

  async function gap(wire: Wire) {
    const { client, enter, say } = scripted();
    const gaps: Gap[] = [];
    client.on('gap', (told) => gaps.push(told));
    await enter();
    await say(wire);
    expect(gaps).toEqual([wire.data]);
    expect(client.position).toBe(wire.data.to);
  }

  test.each(Object.keys(pushes))('%s', async (name) => {
    expect(Object.keys(tests)).toContain(name);
    await tests[name]!(pushes[name]!.wire);
  });
});

describe('closes', () => {
  const closes = read('closes') as unknown as Record<string, { close_code: number; reason: { code?: string; retry_after_ms?: number } | null; reconnect: boolean }>;

  test.each(Object.keys(closes))('%s', async (name) => {
    const { close_code: closeCode, reason, reconnect } = closes[name]!;
    const { client, enter, close } = scripted({ token: () => TOKEN });
    await enter();
    close(closeCode, reason ? JSON.stringify(reason) : '');
    // On an open session a token that is refused, as it may be by a renewal elsewhere, is worth a fresh one.
    const back = reconnect || closeCode === 4500;
    expect(client.state).toBe(back ? 'reconnecting' : 'error');
    expect(client.fault).toMatchObject({ code: reason?.code ?? 'DISCONNECTED', closeCode, retryAfterMs: reason?.retry_after_ms, fatal: !back });
    expect(client.health.retryInMs).toBe(back ? (reason?.retry_after_ms ?? 0) : null);
  });
});

test('every folder of fixtures is read', () => {
  const folders = readdirSync(ROOT, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  // What is refused is not for clients to send; filters and patterns have tests of their own.
  expect(folders.sort()).toEqual(['closes', 'commands', 'errors', 'filters', 'http', 'patterns', 'pushes', 'refused', 'replies']);
});
