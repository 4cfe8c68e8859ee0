import type { RoomcastFault } from '@roomcast/client';
import { useClient, useWebSocket } from '@roomcast/client/react';
import { useState } from 'react';
import { useLastSession } from '../connection/useLastSession.ts';
import type { AlertAcknowledgement, AlertRule } from '../../shapes.ts';
import type { Alert } from '../model/alerts.ts';
import { clock, duration, percent, plural, title } from '../model/format.ts';

/** What is wrong, in words. */
const SENTENCES: Record<AlertRule, (value: number) => string> = {
  service_level: (value) => `Service level ${percent(value)}`,
  abandonment: (value) => `${percent(value)} abandoned`,
  longest_wait: (value) => `A call waits for ${duration(value)}`,
  staffing: (value) => `${percent(value)} of the needed staff`,
};

const LIMITS: Record<AlertRule, (limit: number) => string> = {
  service_level: (limit) => `below ${percent(limit)}`,
  abandonment: (limit) => `over ${percent(limit)}`,
  longest_wait: (limit) => `over ${duration(limit)}`,
  staffing: (limit) => `below ${percent(limit)}`,
};

const SIGNS = { critical: '▲▲', warning: '▲' };

export function AlertList({ alerts }: { alerts: readonly Alert[] }) {
  const open = alerts.filter(({ status }) => status === 'open').length;
  return (
    <section className="panel alerts" aria-labelledby="alerts-title">
      <h2 id="alerts-title">Alerts <span className="count" role="status">{open === 0 ? 'none open' : `${open} open`}</span></h2>
      {alerts.length === 0 ? <p className="empty">Nothing needs attention.</p> : null}
      <ul tabIndex={alerts.length > 4 ? 0 : undefined} aria-label={plural(alerts.length, 'alert', 'alerts')}>
        {alerts.map((alert) => <AlertItem key={alert.id} alert={alert} />)}
      </ul>
    </section>
  );
}

function AlertItem({ alert }: { alert: Alert }) {
  const { rule, severity, value, threshold, department, queue, status, sinceS, resolvedS } = alert;
  return (
    <li className="alert" data-severity={severity} data-status={status}>
      <span className="sign" aria-hidden="true">{status === 'resolved' ? '✓' : SIGNS[severity]}</span>
      <div>
        <p><b>{SENTENCES[rule](value)}</b></p>
        <p className="note">{title(queue)}, {title(department)}</p>
        <p className="note"><span className="severity">{severity}</span>, {LIMITS[rule](threshold)}</p>
      </div>
      <div className="aside">
        <p className="note">{resolvedS === null ? `since ${clock(sinceS)}` : `${clock(sinceS)} to ${clock(resolvedS)}`}</p>
        {status === 'open' && <Acknowledge alert={alert} />}
        {status === 'acknowledged' && <p className="note">✓ {alert.acknowledgedBy ?? 'somebody'}<span className="sr-only"> takes care</span></p>}
        {status === 'resolved' && <p className="note">resolved</p>}
      </div>
    </li>
  );
}

/** The acknowledgement comes back as a publication like any other, and only that changes the alert: so all pages agree. */
function Acknowledge({ alert }: { alert: Alert }) {
  const client = useClient();
  const session = useLastSession();
  const { state } = useWebSocket();
  const [sent, setSent] = useState(false);
  const [fault, setFault] = useState<RoomcastFault | null>(null);
  const acknowledge = () => {
    if (session === null) return;
    const data: AlertAcknowledgement = { id: alert.id, severity: alert.severity, acknowledged_by: session.userId };
    setSent(true);
    setFault(null);
    const room = `alerts:${session.organizationId}:${alert.department}:${alert.queue}`;
    client.publish({ room, event: 'alert:acknowledged', data, priority: 'high' }).catch((refused: RoomcastFault) => {
      setSent(false);
      setFault(refused);
    });
  };
  const label = sent ? (state === 'connected' ? 'Sending' : 'Sent once connected') : 'Acknowledge';
  return (
    <div className="acknowledge">
      <button type="button" disabled={sent || session === null} onClick={acknowledge}>
        {label}<span className="sr-only">: {SENTENCES[alert.rule](alert.value)} in {title(alert.queue)}</span>
      </button>
      {fault !== null && <p role="alert">{fault.code === 'UNAUTHORIZED' ? 'Your token may not publish alerts.' : fault.message}</p>}
    </div>
  );
}
