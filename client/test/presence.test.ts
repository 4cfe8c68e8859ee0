import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { presence } from '../src/index.js';
import type { Client, Presence } from '../src/index.js';
import { createWorld, type World } from './fake-server.js';
import { FakePresence } from './fake/presence.js';

const lobby = 'chat:acme:lobby';
const bob = { user_id: 'bob', status: 'online', state: null } as const;

let world: World;
let server: FakePresence;
let client: Client;

afterEach(() => void vi.useRealTimers());

beforeEach(() => {
  world = createWorld();
  server = new FakePresence(world.server);
  client = world.client();
});

const sent = () => world.server.received.map(({ event }) => event).filter((event) => event.startsWith('presence:'));
const users = ({ members }: Presence) => members.map(({ userId }) => userId);

describe('watching', () => {
  test('shows who is there, and who comes, changes and goes', async () => {
    const other = world.client({ token: () => world.server.token({ sub: 'bob' }) });
    const here = presence(client, lobby);
    expect([here.synced, here.members]).toEqual([false, []]);
    await world.settle();
    expect([here.synced, here.members]).toEqual([true, []]);
    const there = presence<{ typing: boolean }>(other, lobby, { enter: { status: 'busy' } });
    await world.settle();
    expect(here.members).toEqual([{ userId: 'bob', status: 'busy', state: null }]);
    const updated = there.update({ state: { typing: true } });
    await world.settle();
    await updated;
    expect(here.members).toEqual([{ userId: 'bob', status: 'busy', state: { typing: true } }]);
    there.leave();
    await world.settle();
    expect(here.members).toEqual([]);
  });

  test('keeps the same list until somebody changes, and tells of each change', async () => {
    const here = presence(client, lobby);
    const changed = vi.fn();
    here.onChange(changed);
    await world.settle();
    const { members } = here;
    changed.mockClear();
    await world.settle();
    expect(changed).not.toHaveBeenCalled();
    expect(here.members).toBe(members);
    server.join(lobby, bob);
    await world.settle();
    expect(changed).toHaveBeenCalledTimes(1);
    expect(here.members).not.toBe(members);
  });

  test('understands the long form of a room', async () => {
    const here = presence(client, 'chat:org:acme:dept:lobby');
    await world.settle();
    server.join(lobby, bob);
    await world.settle();
    expect(users(here)).toEqual(['bob']);
  });

  test('watches again when a diff is missing', async () => {
    const here = presence(client, lobby, { enter: {} });
    await world.settle();
    server.loseDiff(lobby);
    server.join(lobby, bob);
    await world.settle();
    expect(sent().filter((event) => event === 'presence:watch')).toHaveLength(2);
    expect([here.synced, users(here)]).toEqual([true, ['alice']]);
  });

  test('takes diffs that come before the snapshot after it, once', async () => {
    const here = presence(client, lobby);
    await world.settle();
    world.server.cutAll();
    const early = (version: number, user_id: string) => ({ room: lobby, version, joined: [{ ...bob, user_id }], updated: [], left: [] });
    const answer = world.server.commands.get('presence:watch')!;
    world.server.commands.set('presence:watch', (data, session) => {
      const reply = answer(data, session);
      session.send('presence:diff', early(5, 'in the snapshot already'));
      session.send('presence:diff', early(6, 'carol'));
      return { ...reply, data: { ...(reply.data as object), version: 5, members: [bob] } };
    });
    await world.settle();
    expect([here.synced, users(here)]).toEqual([true, ['bob', 'carol']]);
  });

  test('shares one watch among uses of the same room, which ends with the last', async () => {
    const one = presence(client, lobby);
    const two = presence(client, 'chat:org:acme:dept:lobby');
    await world.settle();
    server.join(lobby, bob);
    await world.settle();
    expect(one.members).toBe(two.members);
    one.leave();
    await world.settle();
    expect(sent()).toEqual(['presence:watch']);
    two.leave();
    await world.settle();
    expect(sent()).toEqual(['presence:watch', 'presence:unwatch']);
  });

  test('sends nothing twice when it is left and made again at once', async () => {
    await world.settle();
    presence(client, lobby, { enter: {} }).leave();
    const here = presence(client, lobby, { enter: {} });
    await world.settle();
    here.leave();
    const again = presence(client, lobby, { enter: {} });
    await world.settle();
    expect(sent()).toEqual(['presence:watch', 'presence:enter']);
    expect(users(again)).toEqual(['alice']);
  });
});

describe('entering', () => {
  test('counts several sessions of a user once', async () => {
    const tab = world.client();
    const here = presence(client, lobby, { enter: {} });
    const there = presence(tab, lobby, { enter: { status: 'away' } });
    await world.settle();
    expect(users(here)).toEqual(['alice']);
    there.leave();
    await world.settle();
    expect(here.members).toEqual([{ userId: 'alice', status: 'online', state: null }]);
  });

  test('tells the latest state when updates come faster than answers', async () => {
    const here = presence<number>(client, lobby, { enter: {} });
    await world.settle();
    const all = [1, 2, 3, 4].map((state) => here.update({ state }));
    await world.settle();
    await Promise.all(all);
    expect(here.members[0]?.state).toBe(4);
    expect(sent().filter((event) => event === 'presence:update').length).toBeLessThan(3);
  });

  test('enters by an update where that has not been done', async () => {
    const here = presence(client, lobby);
    await world.settle();
    const entered = here.update({ status: 'busy' });
    await world.settle();
    await entered;
    expect(here.members).toEqual([{ userId: 'alice', status: 'busy', state: null }]);
  });

  test('refuses a state of more than 1,024 bytes before it is sent', async () => {
    const here = presence(client, lobby);
    await world.settle();
    await expect(here.update({ state: 'ä'.repeat(600) })).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
    expect(sent()).toEqual(['presence:watch']);
    expect(() => presence(client, lobby, { enter: { state: 'x'.repeat(1_100) } })).toThrow('at most 1024');
  });
});

describe('reconnects and refusals', () => {
  test('watches and enters again, with the state of now', async () => {
    const here = presence<string>(client, lobby, { enter: { status: 'busy', state: 'a' } });
    await world.settle();
    world.server.cutAll();
    await world.clock.until(() => client.state !== 'connected');
    expect(here.synced).toBe(false);
    const updated = here.update({ state: 'b' });
    server.sweep();
    await world.settle();
    await updated;
    expect(here.synced).toBe(true);
    expect(here.members).toEqual([{ userId: 'alice', status: 'busy', state: 'b' }]);
  });

  test('shows and rejects with UNSUPPORTED where the server has no presence, and sends nothing', async () => {
    world.server.features = [];
    const here = presence(client, lobby, { enter: {} });
    const updated = here.update({ status: 'away' });
    const refused = expect(updated).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await world.settle();
    await refused;
    expect([here.fault?.code, here.synced, sent()]).toEqual(['UNSUPPORTED', false, []]);
  });

  test('begins to work when a later server has presence', async () => {
    world.server.features = [];
    const here = presence(client, lobby);
    await world.settle();
    world.server.features = ['presence'];
    world.server.cutAll();
    await world.settle();
    expect([here.fault, here.synced]).toEqual([null, true]);
  });

  test('refuses patterns', async () => {
    const here = presence(client, 'chat:acme:*');
    await world.settle();
    expect([here.fault?.code, sent()]).toEqual(['INVALID_ROOM', []]);
  });

  test('shows nobody when the server refuses, and does not ask on and on', async () => {
    const here = presence(client, lobby);
    await world.settle();
    server.join(lobby, bob);
    world.server.refuse = ({ event }) => (event === 'presence:watch' ? { code: 'UNAUTHORIZED' } : undefined);
    world.server.cutAll();
    await world.settle(60_000);
    expect([here.fault?.code, here.members, sent().length]).toEqual(['UNAUTHORIZED', [], 2]);
  });

  test('settles an update with its refusal, and tells the next one anew', async () => {
    const here = presence(client, lobby, { enter: {} });
    await world.settle();
    world.server.refuse = ({ event }) => (event === 'presence:update' ? { code: 'INVALID_MESSAGE' } : undefined);
    const refused = expect(here.update({ status: 'away' })).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
    await world.settle();
    await refused;
    world.server.refuse = undefined;
    const updated = here.update({ status: 'busy' });
    await world.settle();
    await updated;
    expect(here.members[0]?.status).toBe('busy');
  });

  test('tells what was wanted meanwhile when something was refused', async () => {
    const here = presence<number>(client, lobby, { enter: {} });
    await world.settle();
    world.server.refuse = ({ event, data }) => (event === 'presence:update' && data?.state === 1 ? { code: 'INVALID_MESSAGE' } : undefined);
    const first = here.update({ state: 1 });
    await Promise.resolve();
    const second = here.update({ state: 2 });
    await world.settle();
    await Promise.all([first, second]);
    expect(here.members[0]?.state).toBe(2);
  });

  test('asks again after the wait that a busy server names', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    vi.spyOn(Math, 'random').mockReturnValue(0);
    world.server.refuse = ({ event }) => (event === 'presence:watch' ? { code: 'RATE_LIMIT_EXCEEDED', retry_after_ms: 700 } : undefined);
    const here = presence(client, lobby);
    await world.settle();
    expect(here.fault?.code).toBe('RATE_LIMIT_EXCEEDED');
    world.server.refuse = undefined;
    vi.advanceTimersByTime(699);
    await world.settle();
    expect(here.synced).toBe(false);
    vi.advanceTimersByTime(1);
    await world.settle();
    expect([here.synced, here.fault]).toEqual([true, null]);
  });

  test('shows nobody of the last org to whoever logs in next', async () => {
    const here = presence(client, lobby);
    await world.settle();
    server.join(lobby, bob);
    await world.settle();
    client.disconnect({ forget: true });
    world.server.features = [];
    client.connect();
    await world.settle();
    expect(here.members).toEqual([]);
  });

  test('rejects what waits when it is left, and what comes after', async () => {
    client.disconnect();
    const here = presence(client, lobby, { enter: {} });
    const waiting = expect(here.update({ status: 'away' })).rejects.toMatchObject({ code: 'DISCONNECTED' });
    here.leave();
    await world.settle();
    await waiting;
    await expect(here.update({})).rejects.toMatchObject({ code: 'DISCONNECTED' });
  });
});
