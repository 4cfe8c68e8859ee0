// Collections: pages that mirror one and write to it, whatever becomes of connections, nodes and Redis.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';

const roomOf = ({ org }) => `sync:${org}:tasks`;

/** A page that mirrors the tasks, with all of them there. */
async function mirror(scene, options = {}) {
  const visitor = await scene.visitor({ rooms: [] });
  await visitor.ask('(visit, [room, options]) => void (visit.tasks = visit.collection(visit.client, room, options))', [roomOf(scene), options]);
  await synced(visitor);
  return visitor;
}

const synced = (visitor) => until('the mirror is complete', () => visitor.ask('({ tasks }) => tasks.synced'), (is) => is);

/** Items by their keys. */
async function shown(visitor) {
  const items = await visitor.ask('({ tasks }) => tasks.items');
  return Object.fromEntries(items.map((item) => [item.key, item]));
}

/** Runs a call of the mirror; answers with what it resolves to, or with the fault. */
const acts = (visitor, call, what) =>
  visitor.ask(`async ({ tasks }, what) => (${call})(tasks, what).catch(({ code, data }) => ({ code, data }))`, what);

/** What stands in the collection by the word of a gateway. */
async function stands(scene) {
  const service = scene.token({ sub: 'backend', scope: 'roomcast:read' });
  const items = {};
  let cursor = '';
  do {
    const query = new URLSearchParams({ room: roomOf(scene), ...(cursor && { cursor }) });
    const page = await scene.nodes.at(-1).rest('GET', `/api/ws/sync/items?${query}`, service);
    for (const item of page.items) items[item.key] = item;
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

/** Waits until the page shows what stands there. */
async function agrees(visitor, scene) {
  await until('the mirror shows what stands there', async () => [await shown(visitor), await stands(scene)], ([seen, real]) => {
    const text = (items) => JSON.stringify(Object.keys(items).sort().map((key) => [key, items[key].version, items[key].value]));
    return text(seen) === text(real);
  });
}

/** Has a backend write. */
const writes = (scene, op, key, value) =>
  scene.redis.call('FCALL', 'roomcast_sync', 1, `rc:{${scene.org}}`, roomOf(scene), op, key, ...(value === undefined ? [] : ['value', JSON.stringify(value)]));

export const CHAPTERS = [
  ['what one page writes the other shows, and of two who write on one version one is told what stands there', async (scene) => {
    const [alice, bob] = [await mirror(scene), await mirror(scene, { optimistic: true })];
    const made = await acts(alice, "(tasks) => tasks.insert('a', { title: 'Call back' })");
    await until('the item', () => shown(bob), ({ a }) => a?.version === made.version);
    const on = "(tasks, [by, ifVersion]) => tasks.update('a', { by }, { ifVersion })";
    const outcomes = await Promise.all([acts(alice, on, ['alice', made.version]), acts(bob, on, ['bob', made.version])]);
    const won = outcomes.filter(({ version }) => version);
    const lost = outcomes.filter(({ code }) => code === 'CONFLICT');
    assert.deepEqual([won.length, lost.length], [1, 1], JSON.stringify(outcomes));
    assert.deepEqual(lost[0].data.current, won[0]);
    assert.equal((await acts(alice, "(tasks) => tasks.insert('a', 1)")).code, 'CONFLICT');
    await acts(bob, "(tasks) => tasks.remove('a')");
    const { data: gone } = await acts(alice, on, ['alice', won[0].version]);
    assert.deepEqual([gone.current, gone.deleted_version], [null, await lastVersion(scene)]);
    for (const visitor of [alice, bob]) await agrees(visitor, scene);
    assert.deepEqual([...alice.troubles, ...bob.troubles], []);
  }],
  ['mirrors are whole through cuts, moves and a node that is killed, and every write is carried out once', async (scene) => {
    const [first, second] = scene.nodes;
    const [alice, bob] = [await mirror(scene), await mirror(scene)];
    const writing = alice.ask(`async ({ tasks }) => {
      const outcomes = [];
      for (let n = 0; n < 60; n++) {
        const act = n % 3 < 2 ? tasks.insert(\`k\${n}\`, { n }) : tasks.remove(\`k\${n - 1}\`);
        outcomes.push(await act.then(() => 'done', ({ code }) => code));
        await new Promise((next) => setTimeout(next, 20));
      }
      return outcomes;
    }`);
    for (let n = 0; n < 40; n++) await writes(scene, 'put', `b${n % 7}`, n);
    scene.front.cut();
    await until('both are back', () => shown(bob), (items) => Object.keys(items).length > 20);
    scene.front.target = second;
    await first.kill();
    for (let n = 0; n < 40; n++) await writes(scene, n % 4 ? 'put' : 'delete', `b${n % 7}`, n % 4 ? { n } : undefined);
    // A write that was carried out and sent again without its key would meet itself.
    assert.deepEqual(await writing, Array(60).fill('done'));
    await first.start();
    for (const visitor of [alice, bob]) await agrees(visitor, scene);
    assert.equal((await bob.statistics()).gaps, 0);
    const inserted = (await scene.logged()).filter(({ key, value }) => value?.n !== undefined && key.startsWith('k'));
    assert.equal(inserted.length, 40, 'each insert is logged once');
  }],
  ['thousands of items are read in pages while they are changed', async (scene) => {
    const rooms = roomOf(scene);
    const fill = (from, to) => Array.from({ length: to - from }, (_, n) => ['FCALL', 'roomcast_sync', 1, `rc:{${scene.org}}`, rooms, 'put', `k${from + n}`, 'value', JSON.stringify({ n: from + n })]);
    await scene.redis.all(fill(0, 3_000));
    const visitor = await scene.visitor({ rooms: [] });
    await visitor.ask('(visit, room) => void (visit.tasks = visit.collection(visit.client, room))', rooms);
    await scene.redis.all(fill(2_500, 3_500));
    await scene.redis.all(Array.from({ length: 500 }, (_, n) => ['FCALL', 'roomcast_sync', 1, `rc:{${scene.org}}`, rooms, 'delete', `k${n * 3}`]));
    await synced(visitor);
    await agrees(visitor, scene);
    assert.equal(Object.keys(await shown(visitor)).length, 3_000);
  }],
  ['a Redis that comes back without its data empties the mirrors, and what is written then is shown', async ({ stage }) => {
    const redis = await stage.addRedis();
    const node = await stage.addNode(redis);
    const scene = await stage.scene({ redis, nodes: [node] });
    try {
      const alice = await mirror(scene);
      const before = await acts(alice, "(tasks) => tasks.insert('a', 1)");
      await acts(alice, "(tasks) => tasks.insert('b', 1)");
      await redis.call('FLUSHDB');
      // Nobody tells a node that its Redis was emptied; the next log does.
      await writes(scene, 'insert', 'a', 2);
      await until('the gap', () => alice.ask('(visit) => visit.gaps.length'), (gaps) => gaps === 1);
      await agrees(alice, scene);
      const old = await acts(alice, "(tasks, ifVersion) => tasks.update('a', 3, { ifVersion })", before.version);
      assert.equal(old.code, 'CONFLICT');
      assert.ok(old.data.current.version > before.version);
    } finally {
      await scene.close();
    }
  }],
];

/** The version of the last change in the org's log. */
async function lastVersion(scene) {
  return (await scene.logged()).at(-1).version;
}
