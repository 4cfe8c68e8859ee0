// The state of the connection for people, in words first: colour and shape are left to the page's own style sheet, which finds the
// state in `data-state` and the quality in `data-quality`.

import { createElement } from 'react';
import type { HTMLAttributes, ReactElement } from 'react';
import type { ConnectionQuality, ConnectionState } from '../types.js';
import { useWebSocket, useWebSocketHealth } from './hooks.js';

const polite = { role: 'status', 'aria-live': 'polite' } as const;

const words: Record<ConnectionState, string> = {
  connected: 'Connected',
  connecting: 'Connecting…',
  disconnected: 'Disconnected',
  error: 'Connection failed',
  reconnecting: 'Reconnecting…',
};

const qualities: Record<ConnectionQuality, string> = { excellent: 'Live', good: 'Live', offline: 'Offline', poor: 'Slow' };

export interface ConnectionStatusProps extends HTMLAttributes<HTMLElement> {
  /** Words for the states, for instance in another language. */
  labels?: Partial<Record<ConnectionState, string>>;
}

/** Says how the connection stands, and tells screen readers when that changes. Children follow the words. */
export function ConnectionStatus({ labels, children, ...rest }: ConnectionStatusProps): ReactElement {
  const { state } = useWebSocket();
  return createElement('span', { ...polite, 'data-state': state, ...rest }, labels?.[state] ?? words[state], children);
}

export interface RealtimeIndicatorProps extends HTMLAttributes<HTMLElement> {
  /** Words for the qualities, for instance in another language. */
  labels?: Partial<Record<ConnectionQuality, string>>;
  /** Shows the latency of the last heartbeat. It is not read aloud, because it changes all the time. */
  showLatency?: boolean;
}

/** A dot and a word for how live the page is. */
export function RealtimeIndicator({ labels, showLatency, ...rest }: RealtimeIndicatorProps): ReactElement {
  const { state, quality, latencyMs } = useWebSocketHealth();
  const silent = (text: string) => createElement('span', { 'aria-hidden': true }, text);
  return createElement(
    'span',
    { ...polite, 'data-state': state, 'data-quality': quality, ...rest },
    silent('● '),
    labels?.[quality] ?? qualities[quality],
    showLatency && latencyMs !== null && silent(` ${Math.round(latencyMs)} ms`),
  );
}
