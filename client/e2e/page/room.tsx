// A page that shows by the hook who is in the room of its address; its buttons change what it tells of itself, and take it out of the room.

import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { RoomcastProvider, useRealtimePresence } from '@roomcast/client/react';
import type { ClientOptions } from '@roomcast/client';

declare global {
  interface Window {
    /** What was shown, from the first picture on. */
    course: string[];
  }
}

const wanted = new URLSearchParams(location.search);
const room = wanted.get('room') ?? '';
const options: ClientOptions = { url: '/ws', token: '', ...(JSON.parse(wanted.get('options') ?? '{}') as Partial<ClientOptions>) };

window.course = [];

function Members({ status }: { status: 'online' | 'away' }) {
  const { members, synced } = useRealtimePresence<{ at: string }>(room, { enter: { status, state: { at: 'desk' } } });
  const shown = members.map(({ userId, status, state }) => `${userId} is ${status} at the ${state?.at}`).sort().join(', ');
  window.course.push(shown);
  return <p id={synced ? 'synced' : 'old'}>{shown}</p>;
}

function Page() {
  const [isAway, setAway] = useState(false);
  const [isThere, setThere] = useState(true);
  return (
    <>
      <button id="away" onClick={() => setAway(true)} />
      <button id="close" onClick={() => setThere(false)} />
      {isThere && <Members status={isAway ? 'away' : 'online'} />}
    </>
  );
}

// In strict mode effects run twice, so whoever is shown enters, leaves and enters again.
createRoot(document.body.appendChild(document.createElement('div'))).render(
  <StrictMode>
    <RoomcastProvider options={options}>
      <Page />
    </RoomcastProvider>
  </StrictMode>,
);
