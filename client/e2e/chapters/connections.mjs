// Connections that end, by whatever cause: everything that was missed comes, once and in order.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';

export const CHAPTERS = [
  ['a node that is killed costs nothing: the other one goes on where it stopped', async (scene) => {
    const [first, second] = scene.nodes;
    const alice = await scene.visitor();
    await alice.whole(await scene.publish(100));
    scene.front.target = second;
    await first.kill();
    await scene.publish(100);
    await alice.whole(await scene.publish(100));
    await first.start();
    assert.equal((await alice.statistics()).gaps, 0);
    assert.equal((await alice.statistics()).reconnects, 1);
    assert.deepEqual(alice.troubles, []);
  }],
  ['who was away for thousands of publications gets them all, in many pages, while more are published', async (scene) => {
    const alice = await scene.visitor();
    await alice.whole(await scene.publish(10));
    scene.front.target = null;
    scene.front.cut();
    await alice.state('reconnecting');
    await scene.publish(2_000, { bytes: 300 });
    await scene.aside(2_000);
    await scene.publish(3_000, { bytes: 300 });
    scene.front.target = scene.nodes[1];
    await alice.ask('({ client }) => client.retryNow()');
    await alice.whole(await scene.publish(1_000));
    const { replayed, gaps } = await alice.statistics();
    assert.equal(gaps, 0);
    assert.ok(replayed >= 5_000, `${replayed} replayed`);
  }],
  ['ten cuts under way leave no trace', async (scene) => {
    const alice = await scene.visitor({ options: { backoff: { baseMs: 10, capMs: 50, attemptsMax: 100 } } });
    for (let cut = 0; cut < 10; cut++) {
      const arrivals = scene.front.arrivals;
      const published = scene.publish(200, { bytes: 100 });
      scene.front.target = scene.nodes[cut % 2];
      scene.front.cut();
      await published;
      await until('a new connection', () => scene.front.arrivals > arrivals);
    }
    await alice.whole(await scene.publish(1));
    assert.equal((await alice.statistics()).gaps, 0);
  }],
  ['a network that dies without a word is noticed by the heartbeat', async (scene) => {
    const alice = await scene.visitor({ options: { heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 500 } });
    scene.front.freeze();
    await alice.whole(await scene.publish(50));
    const faults = await alice.ask('({ states }) => states');
    assert.deepEqual(faults.slice(-2), ['reconnecting', 'connected']);
  }],
  ['a laptop that is opened again soon notices that its connection is dead', async (scene) => {
    const alice = await scene.visitor({ sleeps: true });
    scene.front.freeze();
    await scene.publish(500);
    // As if the lid had been closed: timers that were due meanwhile fire once.
    await alice.page.clock.fastForward('10:00');
    await alice.whole(await scene.publish(1));
    assert.equal((await alice.statistics()).gaps, 0);
  }],
  ['a page that is seen again looks at its connection at once, and not only with the next heartbeat', async (scene) => {
    const alice = await scene.visitor();
    scene.front.freeze();
    await scene.publish(50);
    await alice.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })));
    await alice.whole(await scene.publish(1));
    assert.deepEqual((await alice.ask('({ states }) => states')).slice(-2), ['reconnecting', 'connected']);
  }],
  ['a page that computes for seconds while thousands are published misses none', async (scene) => {
    const alice = await scene.visitor();
    const busy = alice.ask('(visit, ms) => { for (const end = performance.now() + ms; performance.now() < end; ); }', 3_000);
    await scene.publish(8_000, { bytes: 1_000 });
    await busy;
    await alice.whole(await scene.publish(1));
    const { gaps, reconnects } = await alice.statistics();
    assert.deepEqual({ gaps, reconnects }, { gaps: 0, reconnects: 0 });
  }],
];
