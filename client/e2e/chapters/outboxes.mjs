// What a page publishes while it cannot: kept, sent in order, logged once.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';
import { Visitor } from '../stage/visitor.mjs';

const oneTo = (last) => Array.from({ length: last }, (_, index) => index + 1);
const numbers = (entries) => entries.map(({ n }) => n);

export const CHAPTERS = [
  ['what is published offline is sent in order after the return, and comes back to who published it', async (scene) => {
    const alice = await scene.visitor();
    const context = alice.page.context();
    await context.setOffline(true);
    scene.front.target = null;
    scene.front.cut();
    await alice.state('reconnecting');
    await alice.publishesNumbers(scene.room, 1, 300);
    assert.equal((await alice.statistics()).queued, 300);
    scene.front.target = scene.nodes[1];
    await context.setOffline(false);
    await alice.whole(300);
    assert.deepEqual(numbers(await scene.logged()), oneTo(300));
    await until('an empty outbox', () => alice.statistics(), ({ queued }) => queued === 0);
    assert.equal((await alice.statistics()).published, 300);
  }],
  ['what was logged is not logged again when the connection is cut before the answer', async (scene) => {
    let cuts = 0;
    scene.front.judge = (text) => (text.includes('"event":"published"') && ++cuts % 3 === 0 && cuts < 30 ? 'cut' : 'pass');
    const alice = await scene.visitor({ options: { backoff: { baseMs: 10, capMs: 50, attemptsMax: 100 } } });
    await alice.publishesNumbers(scene.room, 1, 60);
    await alice.whole(60);
    await until('an empty outbox', () => alice.statistics(), ({ queued }) => queued === 0);
    assert.ok(cuts >= 30, `${cuts} answers`);
    assert.deepEqual(numbers(await scene.logged()), oneTo(60));
  }],
  ['position and outbox outlive a reload of the page', async (scene) => {
    const alice = await scene.visitor({ keep: true });
    await alice.whole(await scene.publish(100));
    scene.front.target = null;
    scene.front.cut();
    await alice.state('reconnecting');
    await scene.publish(100);
    await alice.publishesNumbers(scene.room, 201, 220);
    await alice.page.reload();
    scene.front.target = scene.nodes[1];
    await alice.ask('({ client }) => client.retryNow()');
    await alice.whole(220);
    assert.deepEqual(numbers(await scene.logged()), oneTo(220));
    assert.equal((await alice.statistics()).gaps, 0);
  }],
  ['a page that is loaded anew again before it had a session keeps what was kept', async (scene) => {
    const alice = await scene.visitor({ keep: true });
    await alice.whole(await scene.publish(100));
    scene.front.target = null;
    scene.front.cut();
    await alice.state('reconnecting');
    await scene.publish(100);
    await alice.publishesNumbers(scene.room, 201, 220);
    // Connections open, and the server is too busy to say a word.
    scene.front.judge = () => 'drop';
    scene.front.target = scene.nodes[1];
    await alice.page.reload();
    await until('a command', () => alice.statistics(), ({ sent }) => sent > 0);
    scene.front.judge = null;
    await alice.page.reload();
    await alice.whole(220);
    assert.deepEqual(numbers(await scene.logged()), oneTo(220));
  }],
  ['an outbox is not published as somebody else', async (scene) => {
    const alice = await scene.visitor({ keep: true });
    scene.front.target = null;
    scene.front.cut();
    await alice.state('reconnecting');
    await alice.publishesNumbers(scene.room, 1, 5);
    await until('a kept outbox', () => alice.page.evaluate(() => JSON.parse(sessionStorage.roomcast ?? '{"outbox":[]}').outbox.length), (kept) => kept === 5);
    scene.issue = () => scene.token({ sub: 'bob' });
    scene.front.target = scene.nodes[0];
    await alice.page.reload();
    await alice.state('connected');
    await alice.publishesNumbers(scene.room, 6, 6);
    assert.deepEqual(numbers(await scene.logs(1)), [6]);
  }],
  ['a publication that is not granted is refused and stands in nobody\'s way', async (scene) => {
    const alice = await scene.visitor();
    const refused = `async ({ client }, room) => (await client.publish({ room, event: 'kpi:update', data: 1 }).catch((fault) => fault)).code`;
    assert.equal(await alice.ask(refused, 'kpi:another:sales'), 'UNAUTHORIZED');
    assert.equal(await alice.ask(refused, 'kpi:*'), 'INVALID_ROOM');
    await alice.publishesNumbers(scene.room, 1, 1);
    await alice.whole(1);
  }],
  ['a page that crashes goes on from what was kept shortly before', async (scene) => {
    const alice = await scene.visitor({ keep: true });
    await alice.whole(await scene.publish(100));
    await until('a kept state', () => alice.page.evaluate(() => 'roomcast' in sessionStorage));
    await scene.publish(50);
    // A crash leaves the storage as it is at this moment, and tells nobody.
    const left = await alice.page.evaluate(() => ({ ...sessionStorage }));
    await alice.page.close();
    const last = await scene.publish(100);
    const context = await scene.context();
    await context.addInitScript((items) => Object.assign(sessionStorage, items), left);
    const again = await Visitor.open(context, scene.address({ keep: true }));
    await again.comes(last);
    assert.deepEqual((await again.account()).missing, []);
    assert.deepEqual((await again.account()).late, []);
  }],
];
