// The client in a worker, so that a busy page delays nothing, and several parts of a page share one connection. The page makes it by
// `new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })` and sends one `Start`.

import { createClient } from '@roomcast/client';
import type { ConnectionState, Gap, Publication } from '@roomcast/client';

export interface Start {
  url: string;
  token: string;
  rooms: readonly string[];
}

export type News = { publication: Publication } | { gap: Gap } | { state: ConnectionState };

const tell = (news: News) => postMessage(news);

addEventListener('message', ({ data: { url, token, rooms } }: MessageEvent<Start>) => {
  const client = createClient({ url, token });
  client.on('state', (state) => tell({ state }));
  client.on('gap', (gap) => tell({ gap }));
  for (const room of rooms) client.subscribe(room, (publication) => tell({ publication }));
});
