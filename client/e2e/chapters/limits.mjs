// What limits refuse, and how the client goes on.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';
import { Visitor } from '../stage/visitor.mjs';

export const CHAPTERS = [
  ['a publication that is too large is refused, and those behind it go on', async (scene) => {
    const alice = await scene.visitor({ options: { outboxBytesMax: 4_000_000 } });
    const outcome = `async ({ client }, room) => {
      const large = client.publish({ room, event: 'kpi:update', data: 'x'.repeat(1_200_000) }).catch((fault) => fault.code);
      const small = client.publish({ room, event: 'kpi:update', data: { n: 1 } });
      return [await large, (await small).duplicate];
    }`;
    assert.deepEqual(await alice.ask(outcome, scene.room), ['MESSAGE_TOO_LARGE', false]);
    await alice.whole(1);
  }],
  ['more subscriptions than a session may have are refused one by one, and the others stand', async (scene) => {
    const rooms = Array.from({ length: 140 }, (_, index) => `chat:${scene.org}:room${index}`);
    const alice = await scene.visitor({ rooms: [scene.room, ...rooms] });
    await until('refusals', () => alice.ask('({ faults }) => faults.length'), (count) => count === 13);
    const codes = await alice.ask('({ faults }) => [...new Set(faults.map(({ code }) => code))]');
    assert.deepEqual(codes, ['SUBSCRIPTION_FAILED']);
    await alice.whole(await scene.publish(5));
    scene.front.target = scene.nodes[1];
    scene.front.cut();
    await alice.whole(await scene.publish(5));
  }],
  ['who publishes faster than allowed is slowed down, and loses nothing', async (scene) => {
    const alice = await scene.visitor({ rooms: [], options: { publishWindow: 50 } });
    await alice.publishesNumbers(scene.room, 1, 900);
    await until('an empty outbox', () => alice.statistics(), ({ queued }) => queued === 0);
    const logged = (await scene.logged()).map(({ n }) => n).sort((one, other) => one - other);
    assert.deepEqual(logged, Array.from({ length: 900 }, (_, index) => index + 1));
    assert.equal((await alice.statistics()).reconnects, 0);
  }],
  ['a tab beyond the limit of its org waits as it is told, and takes the place that comes free', async ({ stage }) => {
    const node = await stage.addNode(stage.redis, { LIMITS__CONNECTIONS_PER_ORG_MAX: 1 });
    const scene = await stage.scene({ nodes: [node, node] });
    try {
      const one = await scene.visitor();
      const two = await Visitor.glance(await scene.context(), scene.address());
      const fault = await until('a refusal', () => two.fault(), (seen) => seen?.code === 'CONNECTION_LIMIT');
      assert.equal(fault.closeCode, 4003);
      assert.ok(fault.retryAfterMs > 0);
      assert.equal(await two.ask('({ client }) => client.state'), 'reconnecting');
      await one.page.close();
      await two.state('connected');
      await two.subscribed();
      await two.whole(await scene.publish(5));
    } finally {
      await scene.close();
    }
  }],
];
