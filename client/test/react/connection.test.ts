// @vitest-environment jsdom
import { act, cleanup, render, renderHook, screen } from '@testing-library/react';
import { createElement, StrictMode } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ClientOptions, Transport } from '../../src/index.js';
import {
  ConnectionStatus,
  RealtimeIndicator,
  RoomcastProvider,
  useClient,
  useKPIUpdates,
  useWebSocket,
  useWebSocketHealth,
} from '../../src/react/index.js';
import { createStage, type Stage } from './stage.js';

let stage: Stage;

beforeEach(() => {
  stage = createStage();
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

async function cut() {
  stage.server.door = 'silent';
  stage.server.cutAll();
  await act(async () => stage.clock.until(() => stage.shared.state === 'reconnecting'));
}

describe('useWebSocket', () => {
  test('shows the state, the session and the client', async () => {
    const { result } = renderHook(() => useWebSocket(), stage);
    expect(result.current).toMatchObject({ state: 'connecting', isConnected: false, session: null });
    await stage.play();
    expect(result.current).toMatchObject({ state: 'connected', isConnected: true, session: { userId: 'alice' }, client: stage.shared });
    await cut();
    expect(result.current).toMatchObject({ state: 'reconnecting', isConnected: false, session: null, fault: { code: 'DISCONNECTED' } });
  });

  test('does not render while nothing changes', async () => {
    const renders = vi.fn();
    await stage.play();
    renderHook(() => renders(useWebSocket(), useWebSocketHealth()), stage);
    await stage.play();
    expect(renders).toHaveBeenCalledTimes(1);
  });

  test('says what to do without a provider', () => {
    vi.spyOn(console, 'error').mockReturnValue();
    expect(() => renderHook(() => useWebSocket())).toThrow('<RoomcastProvider');
    expect(() => renderHook(() => useKPIUpdates())).toThrow('<RoomcastProvider');
  });
});

test('useWebSocketHealth shows the latency of each heartbeat', async () => {
  const { result } = renderHook(() => useWebSocketHealth(), stage);
  await stage.play(31_000);
  expect(result.current).toMatchObject({ state: 'connected', latencyMs: 2, quality: 'excellent' });
});

describe('components', () => {
  test('ConnectionStatus says the state in words, for everybody', async () => {
    render(createElement(ConnectionStatus, { className: 'mine', id: 'status' }), stage);
    const status = screen.getByRole('status');
    expect([status.textContent, status.dataset.state]).toEqual(['Connecting…', 'connecting']);
    await stage.play();
    expect([status.textContent, status.dataset.state]).toEqual(['Connected', 'connected']);
    expect([status.className, status.id, status.getAttribute('aria-live')]).toEqual(['mine', 'status', 'polite']);
    await cut();
    expect([status.textContent, status.dataset.state]).toEqual(['Reconnecting…', 'reconnecting']);
  });

  test('ConnectionStatus takes words of other languages and children', async () => {
    render(createElement(ConnectionStatus, { labels: { connected: 'Verbunden' } }, ' !'), stage);
    await stage.play();
    expect(screen.getByRole('status').textContent).toBe('Verbunden !');
  });

  test('RealtimeIndicator says the quality in words and reads no latency aloud', async () => {
    render(createElement(RealtimeIndicator, { showLatency: true, className: 'mine' }), stage);
    const status = screen.getByRole('status');
    expect([status.textContent, status.dataset.quality]).toEqual(['● Offline', 'offline']);
    await stage.play(31_000);
    expect([status.textContent, status.dataset.quality, status.className]).toEqual(['● Live 2 ms', 'excellent', 'mine']);
    expect([...status.querySelectorAll('[aria-hidden]')].map(({ textContent }) => textContent)).toEqual(['● ', ' 2 ms']);
  });
});

describe('RoomcastProvider', () => {
  /** Opens never, and counts. */
  function counting() {
    const urls: string[] = [];
    const closed = vi.fn();
    const transport: Transport = {
      name: 'counting',
      supported: () => true,
      open: (url) => (urls.push(url), { send: () => undefined, close: closed }),
    };
    return { urls, closed, transport };
  }

  const settle = () => act(async () => new Promise((resolve) => setImmediate(resolve)));

  test('makes a client, one connection in StrictMode, and ends it when it goes', async () => {
    const { urls, closed, transport } = counting();
    const options: ClientOptions = { url: 'ws://fake/ws', token: 'token', transport };
    const seen = vi.fn();
    const Page = () => (seen(useClient()), null);
    const page = createElement(StrictMode, null, createElement(RoomcastProvider, { options }, createElement(Page)));
    const { unmount } = render(page);
    await settle();
    expect(urls).toEqual(['ws://fake/ws']);
    const client = seen.mock.lastCall![0];
    expect(client.state).toBe('connecting');
    unmount();
    await settle();
    expect([client.state, closed.mock.calls.length]).toEqual(['disconnected', 1]);
  });

  test('keeps its client over renders, asks the token function of the last one, and makes another for another url', async () => {
    const { urls, transport } = counting();
    const first = vi.fn(async () => 'first');
    const second = vi.fn(async () => 'second');
    const provide = (url: string, token: ClientOptions['token']) =>
      createElement(RoomcastProvider, { options: { url, token, transport } });
    const { rerender } = render(provide('ws://one', first));
    await settle();
    rerender(provide('ws://one', second));
    await settle();
    expect([urls, second.mock.calls.length]).toEqual([['ws://one'], 0]);
    rerender(provide('ws://two', second));
    await settle();
    expect([urls, first.mock.calls.length, second.mock.calls.length]).toEqual([['ws://one', 'ws://two'], 1, 1]);
  });

  test('leaves a client alone that it was given', async () => {
    const { unmount } = render(createElement(RoomcastProvider, { client: stage.shared }));
    await stage.play();
    unmount();
    await stage.play();
    expect(stage.shared.state).toBe('connected');
  });

  test('does not connect with autoConnect off', async () => {
    const { urls, transport } = counting();
    render(createElement(RoomcastProvider, { options: { url: 'ws://fake', token: 'token', autoConnect: false, transport } }));
    await settle();
    expect(urls).toEqual([]);
  });

  test('hydrates what a server rendered, though the client has connected meanwhile', async () => {
    await stage.play();
    const complaints = vi.spyOn(console, 'error');
    const page = createElement(RoomcastProvider, { client: stage.shared }, createElement(ConnectionStatus), createElement(RealtimeIndicator));
    const container = document.createElement('div');
    container.innerHTML = renderToString(page);
    expect(container.textContent).toBe('Disconnected● Offline');
    render(page, { container, hydrate: true });
    await stage.play();
    expect(container.textContent).toBe('Connected● Live');
    expect(complaints).not.toHaveBeenCalled();
  });

  test('says what it needs', () => {
    vi.spyOn(console, 'error').mockReturnValue();
    expect(() => render(createElement(RoomcastProvider, {}))).toThrow('client or options');
  });
});
