// Queues of an org with React. `?department=` narrows it; `/token` stands for your backend, which knows who is logged in.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { ConnectionStatus, RealtimeIndicator, RoomcastProvider, useKPIUpdates } from '@roomcast/client/react';

interface Kpi {
  waiting: number;
}

const options = { url: '/ws', token: async () => (await fetch('/token')).text() };
const departmentId = new URLSearchParams(location.search).get('department') ?? undefined;

function Total() {
  const { byRoom } = useKPIUpdates<Kpi>({ departmentId });
  const waiting = Object.values(byRoom).reduce((sum, queue) => sum + queue.waiting, 0);
  return <h1>{waiting} calls are waiting</h1>;
}

/** It uses the same room as the total does: both share one subscription on the server. */
function Queues() {
  const { byRoom, gap, fault, status } = useKPIUpdates<Kpi>({ departmentId });
  if (fault) return <p role="alert">{fault.message}</p>;
  const rooms = Object.entries(byRoom).sort(([one], [other]) => one.localeCompare(other));
  return (
    <>
      {gap && <p role="alert">Some figures were missed ({gap.reason}).</p>}
      <ul aria-busy={status === 'pending'}>
        {rooms.map(([room, { waiting }]) => (
          <li key={room}>
            {room.split(':').slice(2).join(' / ') || 'all'}
            <strong>{waiting}</strong>
          </li>
        ))}
      </ul>
    </>
  );
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <RoomcastProvider options={options}>
      <header>
        <Total />
        <ConnectionStatus />
        <RealtimeIndicator showLatency />
      </header>
      <Queues />
    </RoomcastProvider>
  </StrictMode>,
);
