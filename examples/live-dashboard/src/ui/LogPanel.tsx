// What came, what was replayed and what is missing, publication by publication; and while the connection is away, what is done
// about it.

import type { RoomcastFault } from '@roomcast/client';
import { useClient, useWebSocket } from '@roomcast/client/react';
import { memo, useEffect, useState } from 'react';
import { plural, whole } from '../model/format.ts';
import type { Outage } from '../model/outage.ts';
import type { Cell, CellKind, Strip } from '../model/strip.ts';

interface Props {
  strip: Strip;
  outage: Outage;
  /** Why the rooms cannot be watched. */
  refusal: RoomcastFault | null;
}

export function LogPanel({ strip, outage, refusal }: Props) {
  return (
    <section className="panel log" aria-label="Completeness" data-away={outage.phase === 'away'}>
      <div className="log-head">
        <Notice strip={strip} outage={outage} refusal={refusal} />
        <dl className="counters">
          <Counter name="received" count={strip.received} />
          <Counter name="replayed" count={strip.replayed} />
          <Counter name="missing" count={strip.missing} />
          <Counter name="twice" count={strip.twice} />
          <Counter name="gaps" count={strip.gaps} />
        </dl>
      </div>
      <p className="sr-only" role="status">{announcement(outage)}</p>
      <Cells cells={strip.cells} label={verdict(strip)} />
      <Legend />
    </section>
  );
}

function Counter({ name, count }: { name: string; count: number }) {
  const bad = count > 0 && (name === 'missing' || name === 'gaps' || name === 'twice');
  return (
    <div data-bad={bad}>
      <dt>{name}</dt>
      <dd id={`count-${name}`}>{whole(count)}</dd>
    </div>
  );
}

function Notice({ strip, outage, refusal }: Props) {
  const { state, fault } = useWebSocket();
  if (state === 'error') return <Refusal fault={fault} advice=" Sign out and connect with another token." />;
  if (refusal !== null) return <Refusal fault={refusal} />;
  if (outage.phase === 'away') return <Away />;
  if (strip.received === 0) {
    return <p className="notice" data-notice="waiting">{state === 'connected' ? 'Connected. Waiting for the first publication.' : 'Connecting.'}</p>;
  }
  const tone = strip.missing + strip.gaps > 0 ? 'bad' : 'good';
  return <p className={`notice ${tone}`} data-notice={outage.phase === 'caughtUp' ? 'caught-up' : 'live'}>{story(strip, outage)}</p>;
}

function Refusal({ fault, advice = '' }: { fault: RoomcastFault | null; advice?: string }) {
  const reason = fault === null ? 'The gateway refused without a reason.' : `${fault.code}: ${fault.message}.`;
  return <p className="notice bad" role="alert" data-notice="refused"><b aria-hidden="true">✕</b>{reason}{advice}</p>;
}

function Away() {
  const client = useClient();
  const [retryInMs, setRetryInMs] = useState(client.health.retryInMs);
  useEffect(() => {
    const timer = setInterval(() => setRetryInMs(client.health.retryInMs), 200);
    return () => clearInterval(timer);
  }, [client]);
  return (
    <div className="notice away" data-notice="reconnecting">
      <p><b aria-hidden="true">↻</b>Reconnecting. What you see is how it was when the connection was lost.</p>
      <span className="countdown">{retryInMs === null ? 'trying now' : `next attempt in ${Math.ceil(retryInMs / 1000)} s`}</span>
      <button type="button" onClick={() => client.retryNow()}>Try now</button>
    </div>
  );
}

function story(strip: Strip, outage: Outage) {
  if (outage.phase === 'catchingUp') return <><b aria-hidden="true">↻</b>Connected again, catching up.</>;
  const sign = strip.missing + strip.gaps > 0 ? '!' : '✓';
  return <><b aria-hidden="true">{sign}</b>{outage.phase === 'caughtUp' ? ending(outage) : verdict(strip)}</>;
}

function ending({ awayMs, replayed, missing, gaps }: Extract<Outage, { phase: 'caughtUp' }>): string {
  const away = Math.max(0.1, Math.round(awayMs / 100) / 10);
  const rest = missing === 0 ? 'nothing is missing' : `${plural(missing, 'publication is', 'publications are')} missing`;
  const admitted = gaps === 0 ? '' : ` The gateway admits ${plural(gaps, 'gap', 'gaps')}.`;
  return `Caught up after ${away} s away: ${plural(replayed, 'publication', 'publications')} replayed, ${rest}.${admitted}`;
}

/** Read out when it changes. Counts and countdown are not, because they would never stop talking. */
function announcement(outage: Outage): string {
  if (outage.phase === 'away') return 'The connection was lost. Reconnecting.';
  return outage.phase === 'caughtUp' ? ending(outage) : '';
}

function verdict({ missing, gaps, received }: Strip): string {
  if (missing > 0) return `${plural(missing, 'publication is', 'publications are')} missing.`;
  if (gaps > 0) return `${plural(gaps, 'gap', 'gaps')} admitted by the gateway.`;
  return `Nothing is missing among ${plural(received, 'publication', 'publications')}.`;
}

const Cells = memo(function Cells({ cells, label }: { cells: readonly Cell[]; label: string }) {
  return (
    <div className="cells" role="img" aria-label={label}>
      {cells.map(({ key, kind, title }) => <i key={key} data-kind={kind} title={title} />)}
    </div>
  );
});

const KINDS: [CellKind, string][] = [
  ['live', 'live'], ['replayed', 'replayed from the log'], ['missing', 'missing'], ['cut', 'connection lost'], ['gap', 'gap admitted'],
];

function Legend() {
  return (
    <ul className="legend">
      <li className="legend-title">One cell for each publication, newest on the right:</li>
      {KINDS.map(([kind, name]) => <li key={kind}><i data-kind={kind} />{name}</li>)}
    </ul>
  );
}
