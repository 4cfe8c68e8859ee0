import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { expect, test } from 'vitest';
import type { ClientOptions } from '../../src/index.js';
import {
  ConnectionStatus,
  RealtimeIndicator,
  RoomcastProvider,
  useAlertNotifications,
  useChannel,
  useKPIUpdates,
  useRealtimeChannel,
  useRealtimePresence,
  useRealtimeSync,
  useWebSocket,
} from '../../src/react/index.js';
import { createWorld } from '../fake-server.js';

function Everything() {
  const { state } = useWebSocket();
  const kpis = useKPIUpdates({ organizationId: 'acme' });
  const { alerts } = useAlertNotifications();
  const { publications } = useRealtimeChannel('chat:acme');
  const channel = useChannel('chat:acme', () => undefined);
  const { members } = useRealtimePresence('chat:acme', { enter: {} });
  const { items } = useRealtimeSync('sync:acme:tasks');
  const seen = [state, kpis.status, channel.status, alerts.length, publications.length, members.length, items.length];
  return createElement('p', null, seen.join(' '), createElement(ConnectionStatus), createElement(RealtimeIndicator));
}

const begun = '<p>disconnected pending pending 0 0 0 0';

test('renders on a server without touching a connection', () => {
  const options: ClientOptions = {
    url: '/ws',
    token: () => {
      throw new Error('asked for a token');
    },
  };
  const html = renderToString(createElement(RoomcastProvider, { options }, createElement(Everything)));
  expect(html).toContain(begun);
  expect(html).toContain('data-state="disconnected"');
});

test('renders the same whatever a client that it was given has come to', async () => {
  const world = createWorld();
  const client = world.client();
  await world.settle();
  expect(client.state).toBe('connected');
  const sent = world.server.received.length;
  const html = renderToString(createElement(RoomcastProvider, { client }, createElement(Everything)));
  await world.settle(10);
  expect(html).toContain(begun);
  expect(html).toContain('● </span>Offline');
  expect(world.server.received.length).toBe(sent);
});
