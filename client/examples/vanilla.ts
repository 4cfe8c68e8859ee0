// A number that moves, without any framework. `?room=` names the room; `/token` stands for your backend, which knows who is logged in.

import { createClient, keepIn } from '@roomcast/client';

interface Kpi {
  waiting: number;
}

const room = new URLSearchParams(location.search).get('room') ?? 'kpi:demo:sales';
const element = <E extends HTMLElement = HTMLElement>(selector: string) => document.querySelector<E>(selector)!;

const client = createClient({
  url: '/ws',
  token: async () => (await fetch('/token')).text(),
  keep: keepIn(sessionStorage),
});

let waiting = 0;

client.on('state', (state) => {
  element('[role=status]').textContent = state === 'error' ? `error: ${client.fault?.message}` : state;
});

client.subscribe<Kpi>(
  room,
  ({ data }) => {
    ({ waiting } = data);
    element('#waiting').textContent = String(waiting);
    element('#notice').hidden = true;
  },
  { event: 'kpi:update', onGap: () => (element('#notice').hidden = false) },
);

element('#answer').onclick = async () => {
  try {
    // Without a connection it waits, and is sent after the return.
    await client.publish<Kpi>({ room, event: 'kpi:update', data: { waiting: waiting - 1 } });
  } catch (fault) {
    element('[role=status]').textContent = `not published: ${(fault as Error).message}`;
  }
};
