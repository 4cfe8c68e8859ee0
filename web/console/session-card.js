// The header's state and the session card: how the connection stands, and who is connected.

import { byId, setHidden, setText } from './dom.js';

const TEXT = {
  idle: 'Not connected',
  connecting: 'Connecting…',
  connected: 'Connected',
  waiting: 'Reconnecting',
  refused: 'Refused',
};

const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });

export function renderState(phase, { latencyMs, retryInMs }) {
  byId('state').dataset.phase = phase;
  setText(byId('state-text'), TEXT[phase]);
  setText(byId('latency'), phase === 'waiting' ? countdown(retryInMs) : latency(phase, latencyMs));
  setHidden(byId('retry'), phase !== 'waiting');
}

/** The countdown stands apart from the state's text, which is announced whenever it changes. */
function countdown(retryInMs) {
  return retryInMs === null ? 'now' : `in ${(retryInMs / 1_000).toFixed(1)} s`;
}

function latency(phase, latencyMs) {
  if (phase !== 'connected' || latencyMs === null) return '';
  return latencyMs < 10 ? `${latencyMs.toFixed(1)} ms` : `${Math.round(latencyMs)} ms`;
}

export function renderSession({ phase, session, fault, token }) {
  setText(byId('user'), session?.userId ?? '–');
  setText(byId('org'), session?.organizationId ?? '–');
  setText(byId('session'), session?.id ?? '–');
  byId('session').title = session?.id ?? '';
  setText(byId('expires'), session ? timeOfDay.format(session.expiresAt * 1_000) : '–');
  setText(byId('session-alert'), fault ? `${fault.code}: ${fault.message}` : '');
  setText(byId('connect'), phase === 'connected' ? 'Renew' : 'Connect');
  setHidden(byId('sign-out'), phase === 'idle');
  setHidden(byId('second-tab'), phase === 'idle' || phase === 'refused');
  // The fragment never leaves the browser, and the new tab removes it from its address at once.
  byId('second-tab').href = token ? `./#token=${encodeURIComponent(token)}` : './';
}
