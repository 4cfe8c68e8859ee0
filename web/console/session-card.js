// The header's state and the session card: how the connection stands, and who is connected.

import { byId, setHidden, setText } from './dom.js';

const TEXT = {
  idle: 'Not connected',
  connecting: 'Connecting…',
  authenticating: 'Authenticating…',
  connected: 'Connected',
  refused: 'Refused',
};

const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });

export function renderState(connection, now) {
  const { phase, latencyMs } = connection;
  byId('state').dataset.phase = phase;
  setText(byId('state-text'), phase === 'waiting' ? 'Reconnecting' : TEXT[phase]);
  setText(byId('latency'), phase === 'waiting' ? countdown(connection, now) : latency(phase, latencyMs));
  setHidden(byId('retry'), phase !== 'waiting');
}

/** The countdown stands apart from the state's text, which is announced whenever it changes. */
function countdown({ retryAt }, now) {
  return `in ${Math.max(0, (retryAt - now) / 1_000).toFixed(1)} s`;
}

function latency(phase, latencyMs) {
  if (phase !== 'connected' || latencyMs === null) return '';
  return latencyMs < 10 ? `${latencyMs.toFixed(1)} ms` : `${Math.round(latencyMs)} ms`;
}

export function renderSession({ phase, session, fault, token }) {
  setText(byId('user'), session?.user_id ?? '–');
  setText(byId('org'), session?.organization_id ?? '–');
  setText(byId('session'), session?.session_id ?? '–');
  byId('session').title = session?.session_id ?? '';
  setText(byId('expires'), session ? timeOfDay.format(session.expires_at * 1_000) : '–');
  setText(byId('session-alert'), fault ? `${fault.code}: ${fault.message}` : '');
  setText(byId('connect'), phase === 'connected' ? 'Renew' : 'Connect');
  setHidden(byId('sign-out'), phase === 'idle');
  setHidden(byId('second-tab'), phase === 'idle' || phase === 'refused');
  // The fragment never leaves the browser, and the new tab removes it from its address at once.
  byId('second-tab').href = token ? `./#token=${encodeURIComponent(token)}` : './';
}
