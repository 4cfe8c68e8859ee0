// Several tabs of one user.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';
import { Visitor } from '../stage/visitor.mjs';

export const CHAPTERS = [
  ['two tabs of one user are both whole, each with a session of its own', async (scene) => {
    const context = await scene.context();
    const one = await Visitor.open(context, scene.address({ keep: true }));
    const two = await Visitor.open(context, scene.address({ keep: true }));
    const last = await scene.publish(200);
    await Promise.all([one.whole(last), two.whole(last)]);
    assert.notEqual(await one.ask('({ sessions }) => sessions[0]'), await two.ask('({ sessions }) => sessions[0]'));
    await two.page.close();
    await one.whole(await scene.publish(10));
  }],
  ['a duplicated tab goes on from a copy, and what both had to publish is logged once', async (scene) => {
    const context = await scene.context();
    const one = await Visitor.open(context, scene.address({ keep: true }));
    await one.whole(await scene.publish(50));
    scene.front.target = null;
    scene.front.cut();
    await one.state('reconnecting');
    await one.publishesNumbers(scene.room, 51, 52);
    const opened = context.waitForEvent('page');
    // A window that its page opens begins with a copy of the storage. What was not kept yet is kept on leaving.
    await one.page.evaluate(() => {
      window.dispatchEvent(new Event('pagehide'));
      window.open(location.href);
    });
    const two = new Visitor(await opened);
    await two.page.waitForFunction('window.visit');
    await two.state('reconnecting');
    scene.front.target = scene.nodes[1];
    await Promise.all([one, two].map((tab) => tab.ask('({ client }) => client.retryNow()')));
    await Promise.all([one.whole(52), two.whole(52)]);
    for (const tab of [one, two]) await until('an empty outbox', () => tab.statistics(), ({ queued }) => queued === 0);
    const entries = await scene.logged();
    assert.deepEqual(entries.map(({ n }) => n), Array.from({ length: 52 }, (_, index) => index + 1));
  }],
];
