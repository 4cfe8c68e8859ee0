// The rows of the table `tasks`, as they stand in the database. `?organization=` says whose; `/token` stands for your backend, which knows
// who is logged in, and grants `subscribe:sync:<organization>:tasks`.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { ConnectionStatus, RoomcastProvider, useRealtimeSync } from '@roomcast/client/react';

/** A row as `to_jsonb` writes it. */
interface Task {
  id: number;
  title: string;
  done: boolean;
}

const options = { url: '/ws', token: async () => (await fetch('/token')).text() };
const organization = new URLSearchParams(location.search).get('organization') ?? 'acme';

function Tasks() {
  const { items, synced, fault } = useRealtimeSync<Task>(`sync:${organization}:tasks`);
  if (fault) return <p role="alert">{fault.message}</p>;
  const tasks = items.map(({ value }) => value).sort((one, other) => one.id - other.id);
  return (
    <ul aria-busy={!synced}>
      {tasks.map(({ id, title, done }) => (
        <li key={id} data-key={id} data-done={done}>
          {title}
        </li>
      ))}
    </ul>
  );
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <RoomcastProvider options={options}>
      <ConnectionStatus />
      <Tasks />
    </RoomcastProvider>
  </StrictMode>,
);
