// Networks where WebSockets do not pass, with a balancer that sends every request to another node.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';
import { Visitor } from '../stage/visitor.mjs';

/** So that attempts that cannot succeed are over soon. */
const OPTIONS = { connectTimeoutMs: 1_500, backoff: { baseMs: 10, capMs: 50, attemptsMax: 1_000 } };

async function arrives(scene) {
  const alice = await Visitor.glance(await scene.context(), scene.address({ fallback: true, options: OPTIONS }));
  await alice.state('connected');
  await alice.subscribed();
  return alice;
}

const transport = (alice) => alice.ask('({ client }) => client.health.transport');

/** What is published from a page comes back to it, in order. */
async function speaks(scene, alice) {
  const last = await scene.publish(50);
  await alice.whole(last);
  await alice.publishesNumbers(`chat:${scene.org}:own`, 1, 200);
  const own = (data) => data.n && !('filling' in data);
  await until('own publications', async () => (await scene.logged()).filter(own).length, (count) => count === 200);
  assert.deepEqual((await scene.logged()).filter(own).map(({ n }) => n), Array.from({ length: 200 }, (_, index) => index + 1));
}

export const CHAPTERS = [
  ['a proxy that strips upgrades: the client falls back to a stream by itself, and loses nothing', async (scene) => {
    scene.front.strips = true;
    const alice = await arrives(scene);
    assert.equal(await transport(alice), 'sse');
    await speaks(scene, alice);
    await alice.whole(await scene.publish(2_000, { bytes: 300 }));
    const { gaps, reconnects } = await alice.statistics();
    assert.deepEqual({ gaps, reconnects }, { gaps: 0, reconnects: 0 });
    assert.deepEqual(alice.troubles, []);
  }],
  ['a proxy that holds streams back as well: the client falls back to polling, and loses nothing', async (scene) => {
    Object.assign(scene.front, { strips: true, holds: true });
    const alice = await arrives(scene);
    assert.equal(await transport(alice), 'longpoll');
    await speaks(scene, alice);
    await alice.whole(await scene.publish(2_000, { bytes: 300 }));
    const { gaps, reconnects } = await alice.statistics();
    assert.deepEqual({ gaps, reconnects }, { gaps: 0, reconnects: 0 });
    assert.deepEqual(alice.troubles, []);
  }],
  ['a node that is killed costs those who poll nothing', async (scene) => {
    Object.assign(scene.front, { strips: true, holds: true });
    const alice = await arrives(scene);
    await alice.whole(await scene.publish(100));
    const [first, second] = scene.nodes;
    await first.kill();
    await scene.publish(100);
    scene.front.nodes = [second];
    scene.front.target = second;
    const last = await scene.publish(100);
    // The other node asks the killed one until its lease has run out.
    await until(`number ${last}`, () => alice.account(), (account) => account.last >= last, 45_000);
    await alice.whole(last);
    await first.start();
    assert.equal((await alice.statistics()).gaps, 0);
  }],
  ['a network without any way for a while: whichever way opens first is taken', async (scene) => {
    scene.front.target = null;
    const nobody = { port: 1 };
    scene.front.nodes = [nobody];
    const alice = await Visitor.glance(await scene.context(), scene.address({ fallback: true, options: OPTIONS }));
    await until('other transports', () => alice.posts.length, (posts) => posts > 3);
    scene.front.target = scene.nodes[0];
    await alice.state('connected');
    await alice.subscribed();
    await alice.whole(await scene.publish(10));
    assert.equal(await transport(alice), 'websocket');
  }],
];
