// Lives through the example: a real PostgreSQL, the relay, the ingest stream, two gateways, and the page in a real browser. What the page
// shows is held against the table, and what the log has against the changes that were made.
//
//   npm run e2e
//
// Needs PostgreSQL's server (Debian: postgresql), redis-server, the gateway (ROOMCAST_BIN, else target/debug/roomcast at the root),
// Chromium, and the client with its packages and built. Ends with one line of summary and, after a failure, code 1.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CLIENT } from '../../../client/e2e/stage/places.mjs';
import { Program } from '../../../client/e2e/stage/program.mjs';
import { Stage } from '../../../client/e2e/stage/stage.mjs';
import { until } from '../../../client/e2e/stage/until.mjs';
import { Postgres } from './postgres.mjs';

const HERE = join(dirname(fileURLToPath(import.meta.url)), '..');
/** After so long the whole is given up. */
const DEADLINE_MS = 120_000;

const { build } = createRequire(join(CLIENT, 'package.json'))('esbuild');

/** The page with the client as it was built. There may be one React in a page. */
async function bundle() {
  const react = (name) => join(CLIENT, 'node_modules', name);
  const made = await build({
    entryPoints: [join(HERE, 'page/tasks.tsx')],
    bundle: true,
    format: 'esm',
    write: false,
    target: 'es2022',
    jsx: 'automatic',
    alias: {
      '@roomcast/client/react': join(CLIENT, 'dist/react/index.js'),
      '@roomcast/client': join(CLIENT, 'dist/index.js'),
      react: react('react'),
      'react-dom': react('react-dom'),
    },
    define: { 'process.env.NODE_ENV': '"development"' },
  });
  return made.outputFiles[0].text;
}

/** The table, the relay and the page, as the chapters see them. */
class Example {
  /** Changes that were made to rows. */
  changes = 0;

  constructor(scene, postgres) {
    Object.assign(this, { scene, postgres });
    this.collection = `sync:${scene.org}:tasks`;
  }

  /** Runs a statement that changes rows; each of them is a change, however many there are. */
  async change(statement, values) {
    const { rowCount } = await this.postgres.query(statement, values);
    this.changes += rowCount;
  }

  startRelay() {
    const env = { DATABASE_URL: this.postgres.url, REDIS_URL: this.scene.redis.url };
    this.relay = new Program('node', [join(HERE, 'relay.js')], { env });
    return this.relay.says(/waiting for its turn/);
  }

  async rows() {
    const { rows } = await this.postgres.query('SELECT id::int, title, done FROM tasks WHERE organization_id = $1 ORDER BY id', [this.scene.org]);
    return rows;
  }

  shown() {
    return this.page.evaluate(() => [...document.querySelectorAll('li')].map((row) => ({
      id: Number(row.dataset.key), title: row.textContent, done: row.dataset.done === 'true',
    })));
  }

  /** Waits until the page shows the table, and nothing is left to be carried. */
  async agrees() {
    const rows = JSON.stringify(await this.rows());
    await until(`the page shows ${rows.slice(0, 200)}`, () => this.shown(), (shown) => JSON.stringify(shown) === rows);
    await until('an empty outbox', () => this.postgres.query('SELECT count(*)::int AS n FROM roomcast_outbox'), ({ rows: [{ n }] }) => n === 0);
  }

  /** Changes of the collection that are in the log. */
  async logged() {
    return (await this.scene.logged()).filter(({ key }) => key !== undefined);
  }
}

const CHAPTERS = [
  ['what stood in the table before is shown', async (example) => {
    await example.agrees();
    assert.equal((await example.shown()).length, 3);
  }],
  ['a row that is inserted, updated, deleted, given another key, or truncated away shows at once', async (example) => {
    const { postgres, scene: { org } } = example;
    await postgres.query("INSERT INTO tasks (organization_id, title) VALUES ($1, 'Write the minutes')", [org]);
    await example.agrees();
    await postgres.query("UPDATE tasks SET done = true, title = title || ' – ümläut \"quoted\" 😀' WHERE title LIKE 'Write%'");
    await example.agrees();
    await postgres.query('DELETE FROM tasks WHERE id = 1');
    await example.agrees();
    await postgres.query('UPDATE tasks SET id = 1000 WHERE id = 2');
    await example.agrees();
    assert.ok((await example.shown()).some(({ id }) => id === 1000));
    await postgres.query("INSERT INTO tasks (organization_id, title) VALUES ('other', 'not for you'), (NULL, 'nobody''s')");
    await postgres.query('BEGIN; UPDATE tasks SET done = NOT done; DELETE FROM tasks WHERE id = 1000; ROLLBACK');
    await postgres.query('TRUNCATE tasks');
    await example.agrees();
    assert.deepEqual(await example.shown(), []);
  }],
  ['a relay that is killed again and again loses and doubles nothing', async (example) => {
    const { postgres, scene: { org } } = example;
    const before = (await example.logged()).length;
    example.changes = 0;
    for (let round = 0; round < 6; round++) {
      const killing = new Promise((done) => setTimeout(done, 40 * round)).then(() => example.relay.kill());
      for (let n = 0; n < 40; n++) {
        await example.change('INSERT INTO tasks (organization_id, title) SELECT $1, $2 || n FROM generate_series(1, 3) n', [org, `r${round}.${n}.`]);
        if (n % 4 === 0) await example.change('UPDATE tasks SET done = NOT done WHERE id % 7 = $1', [n % 7]);
        if (n % 10 === 0) await example.change('DELETE FROM tasks WHERE id % 11 = $1', [n % 11]);
      }
      await killing;
      await example.startRelay();
    }
    await example.agrees();
    assert.equal((await example.logged()).length - before, example.changes, 'each change is in the log once');
    const dead = await example.scene.redis.call('XLEN', 'rc:ingest:dead');
    assert.equal(dead, 0);
  }],
  ['of two relays one works, and the other takes its place', async (example) => {
    const first = example.relay;
    await first.says(/carrying changes/);
    await example.startRelay();
    await first.kill();
    await example.relay.says(/carrying changes/);
    await example.postgres.query('UPDATE tasks SET done = NOT done');
    await example.agrees();
  }],
  ['a node that is killed and a database that crashes cost nothing but time', async (example) => {
    const { scene, postgres } = example;
    scene.front.target = scene.nodes[1];
    await scene.nodes[0].kill();
    await postgres.query("UPDATE tasks SET title = 'while one node is away ' || id");
    await postgres.crash();
    await postgres.up();
    await postgres.query("DELETE FROM tasks WHERE id % 2 = 0");
    await example.agrees();
  }],
  ['after Redis lost its data the table is put in again by one statement', async (example) => {
    const { scene, postgres } = example;
    await scene.redis.call('FLUSHALL');
    await postgres.query("SELECT roomcast_fill('tasks', 'organization_id', 'id')");
    await example.agrees();
    assert.ok((await example.shown()).length > 100);
  }],
];

async function main() {
  const began = performance.now();
  const stage = await Stage.set();
  const open = [() => stage.strike()];
  const close = async () => {
    for (const end of open.splice(0).reverse()) await end();
  };
  const deadline = setTimeout(async () => {
    console.error(`postgres sync: given up after ${DEADLINE_MS / 1_000} s`);
    await close();
    process.exit(1);
  }, DEADLINE_MS);
  let passed = 0;
  try {
    stage.pages.set('/tasks', ['text/html', readFileSync(join(HERE, 'page/index.html'), 'utf8').replace('./tasks.tsx', '/tasks.js')]);
    stage.pages.set('/tasks.js', ['text/javascript', await bundle()]);
    const scene = await stage.scene();
    open.push(() => scene.close());
    scene.issue = () => scene.token({ grants: [`subscribe:sync:${scene.org}:tasks`] });
    const postgres = await Postgres.start();
    open.push(() => postgres.close());
    const example = new Example(scene, postgres);
    await postgres.query(readFileSync(join(HERE, 'schema.sql'), 'utf8'));
    await postgres.query(`CREATE TABLE tasks (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, organization_id text,
      title text NOT NULL, done boolean NOT NULL DEFAULT false)`);
    await postgres.query("INSERT INTO tasks (organization_id, title) SELECT $1, 'Task ' || n FROM generate_series(1, 3) n", [scene.org]);
    await postgres.query("SELECT roomcast_mirror('tasks', 'organization_id', 'id')");
    await example.startRelay();
    open.push(() => example.relay.kill());
    const context = await scene.context();
    example.page = await context.newPage();
    await example.page.goto(`${scene.front.origin}/tasks?organization=${scene.org}`);
    for (const [sentence, chapter] of CHAPTERS) {
      // Each builds on the one before.
      await chapter(example);
      passed++;
      console.log(`  ${sentence}`);
    }
  } catch (error) {
    console.error(`  FAILED: ${CHAPTERS[passed][0]}\n`, error);
    process.exitCode = 1;
  } finally {
    clearTimeout(deadline);
    await close();
    console.log(`postgres sync: ${passed} of ${CHAPTERS.length} passed (${((performance.now() - began) / 1_000).toFixed(0)} s)`);
  }
}

await main();
