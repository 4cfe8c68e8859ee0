// Who is in a room, between pages on different gateways.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';
import { Visitor } from '../stage/visitor.mjs';

/** A page of one user, who may be present in the chat rooms of the org. */
function page(scene, sub) {
  const grants = [`subscribe:*:${scene.org}:**`, `presence:chat:${scene.org}:**`];
  return { options: { token: scene.token({ sub, grants }), backoff: { baseMs: 10, capMs: 50, attemptsMax: 1_000 } } };
}

/** Enters the room, and keeps the users of every moment from now on. */
const enters = `({ client, presence }, [room, state]) => {
  window.course = [];
  window.handle = presence(client, room, { enter: { state } });
  window.handle.onChange(() => window.course.push(window.handle.members.map(({ userId }) => userId).sort().join()));
}`;
const users = '() => window.handle.members.map(({ userId }) => userId).sort()';

/** A page with the hook, by whichever gateway the front leads to. */
async function hooked(scene, room, sub) {
  const visitor = new Visitor(await (await scene.context()).newPage());
  await visitor.page.goto(scene.address({ ...page(scene, sub), rooms: [room] }, '/room'));
  return visitor;
}

/** Waits until the page shows this. */
function shows(visitor, expected) {
  return until(expected, () => visitor.page.evaluate(() => document.querySelector('#synced')?.textContent), (shown) => shown === expected);
}

export const CHAPTERS = [
  ['members see each other over two gateways, and nobody sees who comes back on another one', async (scene) => {
    const room = `chat:${scene.org}:lobby`;
    const alice = await scene.visitor(page(scene, 'alice'));
    await alice.ask(enters, [room, { typing: true }]);
    scene.front.target = scene.nodes[1];
    const bob = await scene.visitor(page(scene, 'bob'));
    await bob.ask(enters, [room, null]);
    for (const who of [alice, bob]) await until('both', () => who.ask(users), (seen) => seen.join() === 'alice,bob');
    const state = await bob.ask('() => window.handle.members.find(({ userId }) => userId === "alice").state');
    assert.deepEqual(state, { typing: true });

    await bob.ask('() => void (window.course = [])');
    scene.front.cut();
    await until('new sessions', () => bob.ask('({ sessions }) => sessions.length'), (count) => count === 2);
    await until('a new snapshot', () => bob.ask('() => window.handle.synced'), (synced) => synced);
    await alice.ask('() => window.handle.update({ status: "away", state: null })');
    const status = '() => window.handle.members.find(({ userId }) => userId === "alice")?.status';
    await until('the news', () => bob.ask(status), (seen) => seen === 'away');
    assert.deepEqual([...new Set(await bob.ask('() => window.course'))], ['alice,bob'], 'nobody was ever away');

    await alice.ask('() => window.handle.leave()');
    await until('bob alone', () => bob.ask(users), (seen) => seen.join() === 'bob');
  }],
  ['a page that may not be present is told so and goes on', async (scene) => {
    const alice = await scene.visitor();
    await alice.ask(enters, [`chat:${scene.org}:lobby`, null]);
    await until('a fault', () => alice.ask('() => window.handle.fault?.code'), (code) => code === 'UNAUTHORIZED');
    await alice.ask(`({ client, presence }, org) => void (window.handle = presence(client, 'chat:' + org + ':*'))`, scene.org);
    await until('a refused pattern', () => alice.ask('() => window.handle.fault?.code'), (code) => code === 'INVALID_ROOM');
    await alice.whole(await scene.publish(5));
  }],
  ['the hook shows who is there over two gateways, what they tell and that they go, and nobody flickers', async (scene) => {
    const room = `chat:${scene.org}:desk`;
    const alice = await hooked(scene, room, 'alice');
    scene.front.target = scene.nodes[1];
    const bob = await hooked(scene, room, 'bob');
    for (const who of [alice, bob]) await shows(who, 'alice is online at the desk, bob is online at the desk');
    await alice.page.click('#away', { force: true });
    for (const who of [alice, bob]) await shows(who, 'alice is away at the desk, bob is online at the desk');

    // Both lose their connections and come back, Bob on the other gateway.
    await bob.page.evaluate(() => void (window.course = []));
    scene.front.target = scene.nodes[0];
    scene.front.cut();
    await shows(bob, 'alice is away at the desk, bob is online at the desk');
    await alice.page.click('#close', { force: true });
    await shows(bob, 'bob is online at the desk');
    const course = new Set(await bob.page.evaluate(() => window.course));
    assert.deepEqual([...course].filter((shown) => !shown.includes('alice is away') && shown !== 'bob is online at the desk'), [], 'nobody flickered');
    for (const who of [alice, bob]) assert.deepEqual(who.troubles, []);
  }],
];
