// What operators do to servers, and what servers cannot do yet.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';

export const CHAPTERS = [
  ['a node that is drained hands its visitors over without a loss', async ({ stage }) => {
    const node = await stage.addNode(stage.redis, { DRAIN__ANNOUNCE_MS: 0, DRAIN__SPREAD_MS: 500, DRAIN__RETRY_AFTER_MS_MAX: 500 });
    const scene = await stage.scene({ nodes: [node] });
    try {
      const alice = await scene.visitor();
      await alice.whole(await scene.publish(20));
      scene.front.target = stage.nodes[1];
      node.program.signal('SIGTERM');
      await scene.publish(200);
      await until('the hand-over', () => alice.statistics(), ({ reconnects }) => reconnects === 1);
      await alice.whole(await scene.publish(20));
      assert.equal((await alice.statistics()).gaps, 0);
    } finally {
      await scene.close();
    }
  }],
  ['while Redis is away the page stays connected, and what it publishes waits and is logged once', async ({ stage }) => {
    const redis = await stage.addRedis();
    const node = await stage.addNode(redis);
    const scene = await stage.scene({ redis, nodes: [node] });
    try {
      const alice = await scene.visitor();
      redis.program.signal('SIGSTOP');
      await alice.publishesNumbers(scene.room, 1, 20);
      // The gateway answers BROKER_UNAVAILABLE, and the client tries again.
      await until('a refusal', () => alice.statistics(), ({ received }) => received >= 4);
      assert.equal((await alice.statistics()).published, 0);
      redis.program.signal('SIGCONT');
      await alice.whole(20);
      await until('an empty outbox', () => alice.statistics(), ({ queued }) => queued === 0);
      assert.deepEqual((await scene.logged()).map(({ n }) => n), Array.from({ length: 20 }, (_, index) => index + 1));
      assert.equal((await alice.statistics()).reconnects, 0);
    } finally {
      await scene.close();
    }
  }],
  ['subscriptions that come and go amid cuts end as they were wanted last', async (scene) => {
    const alice = await scene.visitor({ options: { backoff: { baseMs: 10, capMs: 50, attemptsMax: 1_000 } } });
    const churn = `({ client }, [org, turns]) => {
      const held = new Map();
      for (let turn = 0; turn < turns; turn++) {
        const room = 'chat:' + org + ':r' + (turn * 7) % 20;
        if (held.has(room)) held.get(room).unsubscribe(), held.delete(room);
        else held.set(room, client.subscribe(room, () => {}));
      }
      window.held = held;
    }`;
    for (let turn = 0; turn < 5; turn++) {
      const { arrivals } = scene.front;
      const published = scene.publish(50);
      await alice.ask(churn, [scene.org, 50 + turn]);
      scene.front.cut();
      await published;
      await until('a new connection', () => scene.front.arrivals > arrivals);
      await alice.ask('() => [...window.held.values()].forEach((subscription) => subscription.unsubscribe())');
    }
    await alice.ask(churn, [scene.org, 30]);
    await until('active subscriptions', () => alice.ask('() => [...window.held.values()].every(({ status }) => status === "active")'));
    await alice.whole(await scene.publish(1));
    const wanted = await alice.ask('() => [...window.held.keys()]');
    const sorted = (rooms) => JSON.stringify([...rooms].sort());
    await until('subscriptions as wanted', () => scene.subscriptions(), (rooms) => sorted(rooms) === sorted([scene.room, ...wanted]));
  }],
  ['what is for a user or for a whole org comes without a subscription, once', async (scene) => {
    const alice = await scene.visitor({ rooms: [] });
    await alice.ask(`({ client }) => {
      window.heard = [];
      client.onEvent('kpi:*', ({ room, data }) => window.heard.push([room.split(':')[0], data.text]));
    }`);
    await scene.says(`user:${scene.org}:bob`, { text: 'for another' });
    await scene.says(`user:${scene.org}:alice`, { text: 'for you' });
    await scene.says(`org:${scene.org}`, { text: 'for all' });
    await until('both', () => alice.ask('() => window.heard'), (heard) => heard.length >= 2);
    assert.deepEqual(await alice.ask('() => window.heard'), [['user', 'for you'], ['org', 'for all']]);
  }],
];
