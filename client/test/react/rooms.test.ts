// @vitest-environment jsdom
import { act, cleanup, renderHook } from '@testing-library/react';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { useChannel, useKPIUpdates, useRealtimeChannel, useWebSocketSubscription } from '../../src/react/index.js';
import type { UpdatesOptions } from '../../src/react/index.js';
import { createStage, type Stage } from './stage.js';

let stage: Stage;

beforeEach(() => {
  stage = createStage();
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const subscribed = () => stage.server.commandsOf('subscribe').map(({ data }) => data?.rooms);
const unsubscribed = () => stage.server.commandsOf('unsubscribe').map(({ data }) => data?.rooms);

describe('useKPIUpdates', () => {
  test('shows the latest KPI, the KPIs by room and the history', async () => {
    const { result } = renderHook(() => useKPIUpdates({ organizationId: 'acme', departmentId: 'sales', historyMax: 2 }), stage);
    expect(result.current).toMatchObject({ latest: null, byRoom: {}, history: [], status: 'pending', gap: null, lastUpdatedAt: null });
    await stage.play();
    expect(result.current.status).toBe('active');
    for (const answered of [1, 2, 3]) stage.server.publish({ room: `kpi:acme:sales:q${answered % 2}`, data: { answered } });
    await stage.play();
    expect(result.current.latest).toEqual({ answered: 3 });
    expect(result.current.byRoom).toEqual({ 'kpi:acme:sales:q0': { answered: 2 }, 'kpi:acme:sales:q1': { answered: 3 } });
    expect(result.current.history.map(({ data }) => data.answered)).toEqual([2, 3]);
    expect(result.current.lastUpdatedAt).toBe(Date.parse(result.current.history[1]!.ts));
  });

  test('takes the org from the session, and a queue without a department in every department', async () => {
    renderHook(() => useKPIUpdates({ queueName: 'support' }), stage);
    await stage.play();
    expect(subscribed()).toEqual([['kpi:acme:*:support']]);
  });

  test('passes over alerts of the family, unless an event is asked for', async () => {
    const { result } = renderHook(() => useKPIUpdates(), stage);
    const renders = vi.fn();
    renderHook(() => renders(useKPIUpdates()), stage);
    await stage.play();
    renders.mockClear();
    stage.server.publish({ room: 'kpi:acme', event: 'kpi:alert', data: { text: 'late' } });
    await stage.play();
    expect(result.current.latest).toBe(null);
    expect(renders).not.toHaveBeenCalled();
  });

  test('bounds the rooms that it keeps', async () => {
    const { result } = renderHook(() => useKPIUpdates({ roomsMax: 2 }), stage);
    await stage.play();
    for (const dept of ['a', 'b', 'a', 'c']) stage.server.publish({ room: `kpi:acme:${dept}`, data: dept });
    await stage.play();
    expect(result.current.byRoom).toEqual({ 'kpi:acme:a': 'a', 'kpi:acme:c': 'c' });
  });

  test('begins anew for other rooms', async () => {
    const { result, rerender } = renderHook((options: UpdatesOptions) => useKPIUpdates(options), {
      ...stage,
      initialProps: { departmentId: 'sales' },
    });
    await stage.play();
    stage.server.publish({ room: 'kpi:acme:sales', data: {} });
    await stage.play();
    rerender({ departmentId: 'care' });
    expect(result.current.history).toEqual([]);
    await stage.play();
    expect(subscribed()).toEqual([['kpi:acme:sales'], ['kpi:acme:care']]);
    expect(unsubscribed()).toEqual([['kpi:acme:sales']]);
  });

  test('tells of gaps, and of the reconnect', async () => {
    const onGap = vi.fn();
    const { result } = renderHook(() => useKPIUpdates({ onGap }), stage);
    await stage.play();
    stage.server.publish({ room: 'kpi:acme', data: {} });
    await stage.play();
    stage.server.publish({ room: 'kpi:acme', data: {} });
    stage.server.cutAll();
    stage.server.publish({ room: 'kpi:acme', data: {} });
    stage.server.log().trim(0);
    await stage.clock.until(() => stage.shared.state !== 'connected');
    await act(async () => stage.frame());
    expect(result.current.status).toBe('pending');
    await stage.play();
    expect(result.current.status).toBe('active');
    expect(result.current.gap?.reason).toBe('trimmed');
    expect(onGap).toHaveBeenCalledTimes(1);
  });

  test('throws when an id has a colon', () => {
    vi.spyOn(console, 'error').mockReturnValue();
    expect(() => renderHook(() => useKPIUpdates({ organizationId: 'acme', departmentId: 'a:b' }), stage)).toThrow('a colon');
  });
});

describe('rendering', () => {
  test('StrictMode sends one subscribe, and unmounting the last use one unsubscribe', async () => {
    const one = renderHook(() => useKPIUpdates(), { wrapper: stage.strict });
    const two = renderHook(() => useKPIUpdates(), { wrapper: stage.strict });
    await stage.play();
    expect([subscribed(), unsubscribed()]).toEqual([[['kpi:acme']], []]);
    one.unmount();
    await stage.play();
    expect(unsubscribed()).toEqual([]);
    two.unmount();
    await stage.play();
    expect([subscribed(), unsubscribed()]).toEqual([[['kpi:acme']], [['kpi:acme']]]);
  });

  test('renders once per frame, however much comes', async () => {
    const renders = vi.fn();
    renderHook(() => renders(useKPIUpdates().history.length), stage);
    await stage.play();
    renders.mockClear();
    for (let count = 0; count < 50; count++) stage.server.publish({ room: 'kpi:acme', data: count });
    await stage.settle();
    expect(renders).not.toHaveBeenCalled();
    await act(async () => stage.frame());
    expect(renders.mock.calls).toEqual([[50]]);
  });

  test('does not wait for frames on a hidden page, or when told so', async () => {
    const { result } = renderHook(() => [useKPIUpdates({ batch: 'microtask' }), useKPIUpdates()] as const, stage);
    await stage.play();
    const publish = () => act(async () => (stage.server.publish({ room: 'kpi:acme', data: {} }), stage.settle()));
    await publish();
    expect(result.current.map(({ history }) => history.length)).toEqual([1, 0]);
    vi.spyOn(document, 'visibilityState', 'get').mockReturnValue('hidden');
    await publish();
    expect(result.current.map(({ history }) => history.length)).toEqual([2, 2]);
  });

  test('does not render when nothing has changed', async () => {
    const renders = vi.fn();
    const { rerender } = renderHook(() => renders(useRealtimeChannel('chat:acme:lobby')), stage);
    await stage.play();
    const { calls } = renders.mock;
    const settled = calls.length;
    await stage.play(60_000);
    stage.server.publish({ room: 'chat:acme:another', event: 'chat:message' });
    await stage.play();
    expect(calls.length).toBe(settled);
    rerender();
    expect(calls.at(-1)).toEqual(calls[settled - 1]);
    expect(calls.at(-1)![0]).toBe(calls[settled - 1]![0]);
  });

  test('subscribes to nothing while disabled', async () => {
    const { result, rerender } = renderHook(({ enabled }) => useKPIUpdates({ enabled }), { ...stage, initialProps: { enabled: false } });
    await stage.play();
    expect([result.current.status, subscribed()]).toEqual(['disabled', []]);
    rerender({ enabled: true });
    await stage.play();
    expect([result.current.status, subscribed()]).toEqual(['active', [['kpi:acme']]]);
    rerender({ enabled: false });
    await stage.play();
    expect([result.current.status, unsubscribed()]).toEqual(['disabled', [['kpi:acme']]]);
  });

  test('subscribes again after a login as somebody else', async () => {
    const { result } = renderHook(() => useKPIUpdates(), stage);
    await stage.play();
    act(() => stage.shared.disconnect({ forget: true }));
    await stage.play();
    expect(result.current.status).toBe('ended');
    act(() => stage.shared.connect());
    await stage.play();
    expect(result.current.status).toBe('active');
    stage.server.publish({ room: 'kpi:acme', data: { answered: 1 } });
    await stage.play();
    expect(result.current.latest).toEqual({ answered: 1 });
  });
});

describe('useWebSocketSubscription', () => {
  test('calls the handler of the last render, without subscribing anew or rendering', async () => {
    const first = vi.fn();
    const second = vi.fn();
    const renders = vi.fn();
    const { rerender } = renderHook(
      ({ handler }) => renders(useWebSocketSubscription({ channels: ['kpi', 'backlog'], departmentId: 'sales' }, handler)),
      { ...stage, initialProps: { handler: first } },
    );
    await stage.play();
    rerender({ handler: second });
    renders.mockClear();
    stage.server.publish({ room: 'backlog:acme:sales', event: 'backlog:update', data: 7 });
    await stage.play();
    expect([first.mock.calls.length, second.mock.calls[0]?.[0].data]).toEqual([0, 7]);
    expect(renders).not.toHaveBeenCalled();
    expect([subscribed(), unsubscribed()]).toEqual([[['kpi:acme:sales', 'backlog:acme:sales']], []]);
  });

  test('hears a publication once, however many of its rooms it reaches', async () => {
    const handler = vi.fn();
    renderHook(() => useWebSocketSubscription(['kpi:acme', 'kpi:acme:sales', 'kpi:acme:*'], handler), stage);
    await stage.play();
    stage.server.publish({ room: 'kpi:acme:sales' });
    await stage.play();
    expect(handler).toHaveBeenCalledTimes(1);
  });

  test('hears only the event that it asks for', async () => {
    const handler = vi.fn();
    renderHook(() => useWebSocketSubscription('kpi:acme', handler, { event: 'kpi:computed' }), stage);
    await stage.play();
    stage.server.publish({ room: 'kpi:acme' });
    stage.server.publish({ room: 'kpi:acme', event: 'kpi:computed' });
    await stage.play();
    expect(handler.mock.calls.map(([{ event }]) => event)).toEqual(['kpi:computed']);
  });

  test('shows why it was refused', async () => {
    stage.shared.disconnect();
    stage = createStage({ token: () => stage.server.token({ grants: ['kpi:acme:sales'] }) });
    const { result } = renderHook(() => useWebSocketSubscription(['kpi:acme:sales', 'kpi:acme:care'], () => undefined), stage);
    await stage.play();
    expect([result.current.status, result.current.fault?.code]).toEqual(['failed', 'UNAUTHORIZED']);
  });
});

describe('channels', () => {
  test('useRealtimeChannel shows the last publications, publishes and broadcasts', async () => {
    const { result } = renderHook(() => useRealtimeChannel<{ text: string }>('chat:acme:lobby', { historyMax: 2 }), stage);
    await stage.play();
    const { publish, broadcast } = result.current;
    for (const text of ['a', 'b']) void publish('chat:message', { text }, { priority: 'high' });
    await stage.play();
    const ephemeral = broadcast('chat:typing', { text: 'c' });
    await stage.play();
    expect(result.current.publications.map(({ data, id }) => [data.text, !!id])).toEqual([['b', true], ['c', false]]);
    expect(await ephemeral).toEqual({ id: null, duplicate: false });
    expect(stage.server.commandsOf('publish')[0]?.data).toMatchObject({ room: 'chat:acme:lobby', priority: 'high' });
    expect(result.current.publish).toBe(publish);
  });

  test('useChannel hears and publishes, and keeps nothing', async () => {
    const handler = vi.fn();
    const { result } = renderHook(() => useChannel<number>('chat:acme:lobby', handler), stage);
    await stage.play();
    const before = result.current;
    void result.current.publish('chat:message', 1);
    await stage.play();
    expect(handler.mock.calls.map(([{ data }]) => data)).toEqual([1]);
    expect(result.current).toBe(before);
  });
});
