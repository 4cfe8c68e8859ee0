import { useWebSocket, useWebSocketHealth } from '@roomcast/client/react';
import { useState } from 'react';
import { useLastSession } from '../connection/useLastSession.ts';
import { clock as timeOfDay, title } from '../model/format.ts';
import type { Scope } from '../model/scope.ts';
import { WHOLE_ORG, fragmentOf } from '../model/scope.ts';
import { THEMES, applyTheme, keptTheme } from './theme.ts';

interface Props {
  scope: Scope;
  clock: { day: string; timeS: number } | null;
  onSignOut: () => void;
}

export function Header({ scope, clock, onSignOut }: Props) {
  return (
    <header className="bar">
      <h1 className="brand"><img src="./favicon.svg" alt="" width="24" height="24" />Intraday</h1>
      <Path scope={scope} />
      <p className="day-clock">
        {clock === null ? 'waiting for figures' : <><time>{timeOfDay(clock.timeS)}</time> <span>{dayName(clock.day)}, simulated</span></>}
      </p>
      <ConnectionPill />
      <ThemeSwitch />
      <button className="quiet" type="button" onClick={onSignOut}>Sign out</button>
    </header>
  );
}

/** Where one is, and the way back up. */
function Path({ scope }: { scope: Scope }) {
  const session = useLastSession();
  const steps = [
    { name: session?.organizationId ?? 'org', scope: WHOLE_ORG },
    ...(scope.department === null ? [] : [{ name: title(scope.department), scope: { ...scope, queue: null } }]),
    ...(scope.queue === null ? [] : [{ name: title(scope.queue), scope }]),
  ];
  return (
    <nav aria-label="Part of the company">
      <ol className="path">
        {steps.map((step, index) => (
          <li key={fragmentOf(step.scope)}>
            {index === steps.length - 1 ? <span aria-current="page">{step.name}</span> : <a href={fragmentOf(step.scope)}>{step.name}</a>}
          </li>
        ))}
      </ol>
    </nav>
  );
}

const STATE_NAMES = { connected: 'Connected', connecting: 'Connecting', reconnecting: 'Reconnecting', disconnected: 'Disconnected', error: 'Refused' };

function ConnectionPill() {
  const { state } = useWebSocket();
  const { latencyMs, quality } = useWebSocketHealth();
  const detail = state === 'connected' && latencyMs !== null ? `${quality}, ${Math.max(1, Math.round(latencyMs))} ms` : '';
  return (
    <p className="pill" data-state={state} title="State of the connection, its quality and how long an answer takes">
      <span className="dot" aria-hidden="true" />
      <strong>{STATE_NAMES[state]}</strong>
      {detail !== '' && <span className="detail">{detail}</span>}
    </p>
  );
}

function ThemeSwitch() {
  const [theme, setTheme] = useState(keptTheme);
  return (
    <label className="theme">
      <span className="sr-only">Colours</span>
      <select value={theme} onChange={({ target }) => {
        const chosen = THEMES.find((one) => one === target.value) ?? 'auto';
        applyTheme(chosen);
        setTheme(chosen);
      }}>
        {THEMES.map((one) => <option key={one} value={one}>{title(one)}</option>)}
      </select>
    </label>
  );
}

function dayName(day: string): string {
  return new Date(`${day}T00:00:00Z`).toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC' });
}
