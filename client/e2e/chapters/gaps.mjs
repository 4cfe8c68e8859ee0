// Losses that the server admits.

import assert from 'node:assert/strict';

export const CHAPTERS = [
  ['who was away for longer than the log goes back is told so once, and goes on behind it', async ({ stage }) => {
    const redis = await stage.addRedis();
    const node = await stage.addNode(redis, { BROKER__REDIS__ENTRIES_MAX: 100 });
    const scene = await stage.scene({ redis, nodes: [node] });
    try {
      const alice = await scene.visitor();
      await alice.whole(await scene.publish(10));
      scene.front.target = null;
      scene.front.cut();
      await alice.state('reconnecting');
      const last = await scene.publish(2_000);
      scene.front.target = node;
      await alice.ask('({ client }) => client.retryNow()');
      await alice.comes(last);
      const gaps = await alice.ask('(visit) => visit.gaps');
      assert.equal(gaps.length, 1);
      assert.equal(gaps[0].reason, 'trimmed');
      const { missing, doubled, late, count } = await alice.account();
      assert.deepEqual({ doubled, late }, { doubled: [], late: [] });
      // What is missing is one piece, right behind what was there before.
      assert.deepEqual(missing, Array.from({ length: last - count }, (_, index) => 11 + index));
    } finally {
      await scene.close();
    }
  }],
  ['a Redis that comes back without its data is a gap too, and the page goes on', async ({ stage }) => {
    const redis = await stage.addRedis();
    const node = await stage.addNode(redis);
    const scene = await stage.scene({ redis, nodes: [node] });
    try {
      const alice = await scene.visitor();
      await alice.whole(await scene.publish(10));
      await redis.call('FLUSHDB');
      const last = await scene.publish(10);
      await alice.comes(last);
      const gaps = await alice.ask('(visit) => visit.gaps.map(({ reason }) => reason)');
      assert.deepEqual(gaps, ['log_lost']);
      assert.deepEqual((await alice.account()).doubled, []);
    } finally {
      await scene.close();
    }
  }],
];
