// The page: what is looked at stands in the address, what is known in the store, and the panels show one of the other.

import { followLatest } from '@roomcast/client';
import { useWebSocket, useWebSocketSubscription } from '@roomcast/client/react';
import { useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import type { MouseEvent } from 'react';
import { DashboardStore } from '../connection/store.ts';
import { fragmentOf } from '../model/scope.ts';
import { alertsOf, figuresOf, presenceOf, queuesOf, tableOf } from '../model/view.ts';
import { AgentTable } from './AgentTable.tsx';
import { AlertList } from './AlertList.tsx';
import { AttendancePanel } from './AttendancePanel.tsx';
import { BacklogPanel } from './BacklogPanel.tsx';
import { Charts } from './Charts.tsx';
import { Header } from './Header.tsx';
import { LogPanel } from './LogPanel.tsx';
import { QueueTable } from './QueueTable.tsx';
import { Tiles } from './Tiles.tsx';
import { useScope } from './useScope.ts';

const CHANNELS = ['kpi', 'backlog', 'attendance', 'alerts'];
const CLOCK = { now: () => Date.now(), after: (ms: number, callback: () => void) => void setTimeout(callback, ms) };

/** The address says what is looked at, so skipping must not change it. */
function skip(event: MouseEvent) {
  event.preventDefault();
  document.getElementById('main-panels')?.focus();
}

export function Console({ onSignOut }: { onSignOut: () => void }) {
  const [store] = useState(() => new DashboardStore(CLOCK));
  const { state } = useWebSocket();
  const subscription = useWebSocketSubscription({ channels: CHANNELS }, store.receive, { onGap: store.admitGap, follow: followLatest });
  useEffect(() => store.connection(state), [store, state]);
  const { dashboard, outage } = useSyncExternalStore(store.subscribe, store.shown);
  const scope = useScope();
  const stale = state !== 'connected' && dashboard.clock !== null;
  const view = useMemo(() => {
    const queues = queuesOf(dashboard, scope);
    const figures = figuresOf(dashboard, scope);
    return { queues, figures, table: tableOf(dashboard, scope), alerts: alertsOf(dashboard, scope), presence: presenceOf(dashboard, scope) };
  }, [dashboard, scope]);
  return (
    <>
      <a className="skip" href={fragmentOf(scope)} onClick={skip}>Skip to the figures</a>
      <Header scope={scope} clock={dashboard.clock} onSignOut={onSignOut} />
      <main id="main-panels" tabIndex={-1} data-stale={stale}>
        <LogPanel strip={dashboard.strip} outage={outage} refusal={subscription.fault} />
        <Tiles figures={view.figures} queues={view.queues} />
        <div className="columns">
          <div className="column table-column">
            <QueueTable rows={view.table} scope={scope} />
            <BacklogPanel queues={view.queues} />
            {scope.department !== null && <AgentTable presence={view.presence} clockS={dashboard.clock?.timeS ?? 0} />}
          </div>
          <div className="column people-column">
            <AlertList alerts={view.alerts} />
            <AttendancePanel presence={view.presence} />
          </div>
          <div className="column chart-column"><Charts queues={view.queues} clockS={dashboard.clock?.timeS ?? null} /></div>
        </div>
      </main>
    </>
  );
}
