// Everything that may happen, in an order that a seed draws: E2E_SEEDS names the seeds, with commas between.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';

const TURNS = 40;
const SEEDS = (process.env.E2E_SEEDS ?? '7').split(',').map(Number);

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function drawn(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const churn = `({ client }, room) => {
  window.others ??= new Map();
  const held = window.others.get(room);
  if (held) held.unsubscribe(), window.others.delete(room);
  else window.others.set(room, client.subscribe(room, () => {}));
}`;

/** What one turn may bring. Each leaves things so that any other may follow. */
const DISASTERS = {
  cut: async ({ scene }) => scene.front.cut(),
  freeze: async ({ scene }) => scene.front.freeze(),
  move: async ({ scene, pick }) => void (scene.front.target = pick(scene.nodes)),
  close: async ({ scene }) => {
    scene.front.target = null;
    scene.front.cut();
  },
  kill: async ({ scene, pick }) => {
    const node = pick(scene.nodes);
    await node.kill();
    await node.start();
  },
  stall: ({ alice }) => alice.ask('(visit, ms) => { for (const end = performance.now() + ms; performance.now() < end; ); }', 200),
  reload: async ({ alice }) => {
    await alice.page.reload();
    await alice.page.waitForFunction('window.visit');
  },
  churn: ({ scene, alice, pick }) => alice.ask(churn, `chat:${scene.org}:${pick(['a', 'b', 'c'])}`),
  backend: ({ scene, random }) => scene.publish(1 + Math.floor(random() * 200), { bytes: Math.floor(random() * 2_000) }),
  page: async ({ scene, alice, sent, random }) => {
    // Before it has had a token a page can keep nothing, since nobody has said whose it is.
    if (!(await alice.ask('({ sessions }) => sessions.length'))) return;
    const from = sent.last + 1;
    sent.last += 1 + Math.floor(random() * 10);
    await alice.publishesNumbers(`chat:${scene.org}:sent`, from, sent.last, 'sent');
  },
};
/** Drawn more often than the others, so that there is something to lose. */
const OFTEN = ['backend', 'backend', 'backend', 'page', 'page', 'move'];

async function disasters(scene, seed) {
  const random = drawn(seed);
  const pick = (list) => list[Math.floor(random() * list.length)];
  const options = { heartbeatIntervalMs: 300, heartbeatTimeoutMs: 300, connectTimeoutMs: 2_000, backoff: { baseMs: 20, capMs: 200, attemptsMax: 1_000_000 } };
  const alice = await scene.visitor({ keep: true, options });
  const sent = { last: 0 };
  const names = [...Object.keys(DISASTERS), ...OFTEN];
  const course = [];
  for (let turn = 0; turn < TURNS; turn++) {
    const name = pick(names);
    course.push(name);
    await DISASTERS[name]({ scene, alice, sent, random, pick });
  }
  try {
    scene.front.target ??= scene.nodes[0];
    await alice.whole(await scene.publish(1));
    await until('an empty outbox', () => alice.statistics(), ({ queued }) => queued === 0);
    const logged = (await scene.logged()).map((data) => data.sent).filter(Boolean);
    assert.deepEqual(logged, Array.from({ length: sent.last }, (_, index) => index + 1));
    assert.deepEqual(await alice.ask('(visit) => visit.gaps'), []);
    assert.deepEqual(alice.troubles, []);
  } catch (error) {
    const state = await alice.ask('({ client: { fault, health }, states, faults, asked }) => ({ fault, health, states, faults, asked })');
    throw new Error(`E2E_SEEDS=${seed}: ${course.join(' ')}\n${JSON.stringify(state)}`, { cause: error });
  }
}

export const CHAPTERS = SEEDS.map((seed) => [`disasters in the order of seed ${seed} leave no trace`, (scene) => disasters(scene, seed)]);
