// The page that chapters visit: one client, and a ledger of the numbers that came to it, both within reach of the runner. The address
// says what it does: `room` (repeatable), `keep`, and `options` for the client as JSON.

import { createClient, keepIn } from '@roomcast/client';
import type { Client, ClientOptions, ConnectionState, Gap, RoomcastFault } from '@roomcast/client';
import { Ledger } from './ledger.js';

/** Numbers taken before the page was loaded anew. */
const TAKEN = 'ledger';

export interface Visit {
  client: Client;
  ledger: Ledger;
  states: ConnectionState[];
  gaps: Gap[];
  faults: RoomcastFault[];
  /** Why the client asked for each of its tokens. */
  asked: string[];
  /** The ids of its sessions. */
  sessions: string[];
}

declare global {
  interface Window {
    visit: Visit;
  }
}

const wanted = new URLSearchParams(location.search);
const keeps = wanted.has('keep');
const asked: string[] = [];

async function token(why: string): Promise<string> {
  asked.push(why);
  const answer = await fetch(`/token?why=${why}`);
  if (!answer.ok) throw new Error(`the backend gave no token: ${answer.status}`);
  return answer.text();
}

const options = JSON.parse(wanted.get('options') ?? '{}') as Partial<ClientOptions>;
const client = createClient({ url: '/ws', token, keep: keeps ? keepIn(sessionStorage) : undefined, ...options });
const ledger = new Ledger(keeps ? (JSON.parse(sessionStorage.getItem(TAKEN) ?? '[]') as number[]) : []);
const visit: Visit = { client, ledger, states: [], gaps: [], faults: [], asked, sessions: [] };
window.visit = visit;

client.on('state', (state) => visit.states.push(state));
client.on('gap', (gap) => visit.gaps.push(gap));
client.on('error', (fault) => visit.faults.push({ ...fault, message: fault.message }));
client.on('session', (session) => visit.sessions.push(session.id));
for (const room of wanted.getAll('room')) {
  client.subscribe<{ n: number }>(room, ({ data }) => {
    ledger.take(data.n);
    if (keeps) sessionStorage.setItem(TAKEN, JSON.stringify(ledger.taken));
  });
}
