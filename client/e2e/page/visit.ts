// The page that chapters visit: one client, and a ledger of the numbers that came to it, both within reach of the runner. The address
// says what it does: `room` (repeatable), `keep`, `fallback`, `binary`, and `options` for the client as JSON.

import { asBytes, bytesOf, collection, createClient, fallback, followLatest, keepIn, longPoll, msgpack, presence, sse, webSocket } from '@roomcast/client';
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
  /** Settles once the server has answered to every subscription. */
  answered: Promise<unknown>;
  asBytes: typeof asBytes;
  bytesOf: typeof bytesOf;
  collection: typeof collection;
  presence: typeof presence;
  followLatest: typeof followLatest;
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
const keep = keeps ? keepIn(sessionStorage) : undefined;
const transport = wanted.has('fallback') ? fallback(webSocket(), sse(), longPoll()) : wanted.has('binary') ? msgpack() : undefined;
const client = createClient({ url: '/ws', token, keep, transport, ...options });
const ledger = new Ledger(keeps ? (JSON.parse(sessionStorage.getItem(TAKEN) ?? '[]') as number[]) : []);
const visit: Visit = { client, ledger, states: [], gaps: [], faults: [], asked, sessions: [], answered: Promise.resolve(), asBytes, bytesOf, collection, presence, followLatest };
window.visit = visit;

client.on('state', (state) => visit.states.push(state));
client.on('gap', (gap) => visit.gaps.push(gap));
client.on('error', (fault) => visit.faults.push({ ...fault, message: fault.message }));
client.on('session', (session) => visit.sessions.push(session.id));
const subscriptions = wanted.getAll('room').map((room) =>
  client.subscribe<{ n: number }>(room, ({ data }) => {
    ledger.take(data.n);
    if (keeps) sessionStorage.setItem(TAKEN, JSON.stringify(ledger.taken));
  }),
);
visit.answered = Promise.allSettled(subscriptions.map(({ ready }) => ready));
