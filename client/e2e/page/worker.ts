// A page whose client lives in a worker: the worker of the examples, with a ledger of what it passes on.

import type { News, Start } from '../../examples/worker.js';
import { Ledger } from './ledger.js';

const rooms = new URLSearchParams(location.search).getAll('room');
const ledger = new Ledger();
const states: string[] = [];
const gaps: unknown[] = [];

// The parts of a visit that chapters about workers ask for.
Object.assign(window, { visit: { ledger, states, gaps } });

async function start(): Promise<void> {
  const worker = new Worker('/examples/worker.js', { type: 'module' });
  worker.addEventListener('message', ({ data: news }: MessageEvent<News>) => {
    if ('publication' in news) ledger.take((news.publication.data as { n: number }).n);
    else if ('gap' in news) gaps.push(news.gap);
    else states.push(news.state);
  });
  const token = await (await fetch('/token')).text();
  worker.postMessage({ url: new URL('/ws', location.href).href, token, rooms } satisfies Start);
}

void start();
