// @vitest-environment jsdom
import { act, cleanup, renderHook } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { useRealtimePresence, useRealtimeSync } from '../../src/react/index.js';
import { FakeCollections } from '../fake/collections.js';
import { FakePresence } from '../fake/presence.js';
import { createStage, type Stage } from './stage.js';

const lobby = 'chat:acme:lobby';
const tasks = 'sync:acme:tasks';

let stage: Stage;
let presence: FakePresence;
let collections: FakeCollections;

beforeEach(() => {
  stage = createStage();
  presence = new FakePresence(stage.server);
  collections = new FakeCollections(stage.server);
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const sent = (kind: string) => stage.server.received.map(({ event }) => event).filter((event) => event.startsWith(kind));

describe('useRealtimePresence', () => {
  test('enters while it is shown, once in StrictMode', async () => {
    const { result, unmount } = renderHook(() => useRealtimePresence(lobby, { enter: { status: 'busy' } }), { wrapper: stage.strict });
    await stage.play();
    expect(result.current.members).toEqual([{ userId: 'alice', status: 'busy', state: null }]);
    expect([result.current.synced, sent('presence:')]).toEqual([true, ['presence:watch', 'presence:enter']]);
    unmount();
    await stage.play();
    expect(sent('presence:').slice(2)).toEqual(['presence:leave', 'presence:unwatch']);
  });

  test('tells a changed enter, and updates', async () => {
    const { result, rerender } = renderHook(({ away }) => useRealtimePresence<number>(lobby, { enter: { status: away ? 'away' : 'online' } }), {
      ...stage,
      initialProps: { away: false },
    });
    await stage.play();
    rerender({ away: false });
    rerender({ away: true });
    await stage.play();
    expect(result.current.members[0]?.status).toBe('away');
    const updated = result.current.update({ state: 7 });
    await stage.play();
    await updated;
    expect(result.current.members[0]).toEqual({ userId: 'alice', status: 'away', state: 7 });
    expect(sent('presence:')).toEqual(['presence:watch', 'presence:enter', 'presence:update', 'presence:update']);
  });

  test('leaves and goes on watching when enter goes', async () => {
    const { result, rerender } = renderHook(({ enter }) => useRealtimePresence(lobby, { enter }), {
      ...stage,
      initialProps: { enter: {} as object | undefined },
    });
    await stage.play();
    rerender({ enter: undefined });
    await stage.play();
    expect([result.current.members, result.current.synced]).toEqual([[], true]);
    expect(sent('presence:')).toEqual(['presence:watch', 'presence:enter', 'presence:leave']);
  });

  test('renders for each change, and not without one', async () => {
    const renders = vi.fn();
    renderHook(() => renders(useRealtimePresence(lobby)), stage);
    await stage.play();
    renders.mockClear();
    await stage.play(60_000);
    expect(renders).not.toHaveBeenCalled();
    presence.join(lobby, { user_id: 'bob', status: 'online', state: null });
    await stage.play();
    expect(renders).toHaveBeenCalledTimes(1);
  });

  test('does nothing while disabled', async () => {
    const { result } = renderHook(() => useRealtimePresence(lobby, { enabled: false, enter: {} }), stage);
    await stage.play();
    expect([result.current.synced, sent('presence:')]).toEqual([false, []]);
    await expect(result.current.update({})).rejects.toThrow('not enabled');
  });

  test('shows that the server has no presence', async () => {
    stage.server.features = [];
    const { result } = renderHook(() => useRealtimePresence(lobby, { enter: {} }), stage);
    await stage.play();
    expect([result.current.fault?.code, sent('presence:')]).toEqual(['UNSUPPORTED', []]);
  });
});

describe('useRealtimeSync', () => {
  const write = (key: string, value: unknown) => collections.write(tasks, { op: 'insert', key, value });

  test('mirrors and writes, and reads once in StrictMode and for several components', async () => {
    write('a', 1);
    const { result } = renderHook(() => useRealtimeSync<number>(tasks), { wrapper: stage.strict });
    const other = renderHook(() => useRealtimeSync<number>(tasks), { wrapper: stage.strict });
    await stage.play();
    expect([result.current.synced, result.current.items]).toEqual([true, [{ key: 'a', version: 1, value: 1 }]]);
    const updated = result.current.update('a', 2);
    await stage.play();
    expect(await updated).toEqual({ key: 'a', version: 2, value: 2 });
    expect(result.current.items).toBe(other.result.current.items);
    expect([sent('sync:subscribe').length, stage.server.commandsOf('subscribe').length]).toEqual([1, 1]);
    other.unmount();
    await stage.play();
    expect(stage.server.commandsOf('unsubscribe')).toEqual([]);
  });

  test('shows optimistic writes in the next frame', async () => {
    const { result } = renderHook(() => useRealtimeSync<string>(tasks, { optimistic: true }), stage);
    await stage.play();
    stage.server.refuse = ({ event }) => (event === 'sync:write' ? { code: 'UNAUTHORIZED' } : undefined);
    const refused = expect(result.current.insert('a', 'mine')).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await act(async () => stage.frame());
    expect(result.current.items).toEqual([{ key: 'a', version: 0, value: 'mine' }]);
    await stage.play();
    await refused;
    expect(result.current.items).toEqual([]);
  });

  test('keeps its actions, and renders nothing anew while nothing changes', async () => {
    const renders = vi.fn();
    const { result } = renderHook(() => (renders(), useRealtimeSync(tasks)), stage);
    await stage.play();
    const { insert } = result.current;
    renders.mockClear();
    await stage.play(60_000);
    expect(renders).not.toHaveBeenCalled();
    write('a', 1);
    await stage.play();
    expect([renders.mock.calls.length, result.current.insert === insert]).toEqual([1, true]);
  });

  test('does nothing while disabled', async () => {
    const { result } = renderHook(() => useRealtimeSync(tasks, { enabled: false }), stage);
    await stage.play();
    expect([result.current.items, sent('sync:')]).toEqual([[], []]);
    await expect(result.current.remove('a')).rejects.toThrow('not enabled');
  });
});
