// Carries changes from the outbox of a PostgreSQL database to roomcast's ingest stream, in order, and removes what has arrived there.
//
//   DATABASE_URL=postgres://… REDIS_URL=redis://… node relay.js
//
// It may be killed at any moment: what was sent and not removed is sent again under the same idempotency key, which roomcast carries
// out once. Run two of them: one works, the other waits for its place. When anything fails, it begins anew after a wait.

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createClient } from 'redis';

const { DATABASE_URL, REDIS_URL = 'redis://127.0.0.1:6379', INGEST_STREAM = 'rc:ingest', OUTBOX_NAME = 'outbox' } = process.env;

/** Changes that are carried at once. */
const BATCH = 500;
/** With more entries than this in the stream nodes are behind or away, and the outbox keeps what comes. */
const STREAM_MAX = 50_000;
/** A notification that got lost costs so long. */
const POLL_MS = 2_000;
const WAIT_MAX_MS = 10_000;
/** Any number that no other program uses as an advisory lock on this database. */
const LOCK = 7_662_626;

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

/** Settles when something is told, when it is time to look anyway, and when the connection is lost. */
function told(database) {
  return new Promise((done) => {
    const timer = setTimeout(finish, POLL_MS);
    const ends = ['notification', 'error', 'end'];
    function finish() {
      clearTimeout(timer);
      for (const end of ends) database.off(end, finish);
      stop.signal.removeEventListener('abort', finish);
      done();
    }
    for (const end of ends) database.on(end, finish);
    stop.signal.addEventListener('abort', finish);
  });
}

/** The fields of an entry; docs/publishing.md says what they mean. */
function fields({ id, organization_id, table_name, event, data, primary_key }) {
  const row = event === 'DELETE' ? ['old', data] : ['data', data];
  const key = ['idempotency_key', `${OUTBOX_NAME}:${id}`];
  return ['organization_id', organization_id, 'table', table_name, 'event', event, 'primary_key', primary_key, ...row, ...key];
}

/** Carries one batch; answers with how many there were. */
async function carry(database, redis) {
  const { rows } = await database.query(
    'SELECT id, organization_id, table_name, event, data::text, primary_key FROM roomcast_outbox ORDER BY id LIMIT $1', [BATCH]);
  if (rows.length === 0) return 0;
  // Commands on one connection are carried out in their order.
  await Promise.all(rows.map((row) => redis.sendCommand(['XADD', INGEST_STREAM, '*', ...fields(row)])));
  await database.query('DELETE FROM roomcast_outbox WHERE id = ANY($1)', [rows.map(({ id }) => id)]);
  return rows.length;
}

/** Works until something fails or it is told to stop. */
async function work(database, redis, settled) {
  await database.connect();
  await redis.connect();
  await database.query('LISTEN roomcast_outbox');
  console.log('waiting for its turn');
  // Two at work would overtake each other. The lock ends with the connection, however that ends.
  await Promise.race([database.query('SELECT pg_advisory_lock($1)', [LOCK]), once(stop.signal, 'abort')]);
  if (stop.signal.aborted) return;
  console.log('carrying changes');
  settled();
  while (!stop.signal.aborted) {
    const news = told(database);
    while (!stop.signal.aborted && (await redis.sendCommand(['XLEN', INGEST_STREAM])) < STREAM_MAX && (await carry(database, redis)) > 0);
    await news;
  }
}

let failures = 0;
while (!stop.signal.aborted) {
  const database = new pg.Client({ connectionString: DATABASE_URL, keepAlive: true, application_name: 'roomcast relay' });
  // A command that waits for a Redis that is away would hide that it is.
  const redis = createClient({ url: REDIS_URL, disableOfflineQueue: true, socket: { reconnectStrategy: false, connectTimeout: 5_000 } });
  // Whatever is lost shows in the next call.
  for (const connection of [database, redis]) connection.on('error', () => {});
  try {
    await work(database, redis, () => { failures = 0; });
  } catch (error) {
    const wait = Math.random() * Math.min(WAIT_MAX_MS, 250 * 2 ** failures++);
    console.error(`${error.message || error.code}; again in ${Math.round(wait)} ms`);
    await sleep(wait, undefined, { signal: stop.signal }).catch(() => {});
  } finally {
    if (redis.isOpen) redis.destroy();
    // An end that nobody answers must not hold the next attempt up.
    await Promise.race([database.end().catch(() => {}), sleep(1_000, undefined, { ref: false })]);
  }
}
