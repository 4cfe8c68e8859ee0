// Pages that open and see at once how things stand.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';

export const CHAPTERS = [
  ['a page that opens sees each room at once, and what follows joins on over a change of node', async (scene) => {
    const rooms = ['a', 'b', 'c'].map((name) => `kpi:${scene.org}:${name}`);
    const publish = async (from, to) => {
      for (let n = from; n <= to; n++) for (const room of rooms) await scene.says(room, { n });
    };
    await publish(1, 3);
    scene.issue = () => scene.token({ grants: [`subscribe:*:${scene.org}:**`, `history:*:${scene.org}:**`] });
    const alice = await scene.visitor({ rooms: [] });
    const follow = '(visit, room) => void visit.followLatest(visit.client, room, ({ room, data }) => (visit.seen ??= []).push([room, data.n]))';
    await alice.ask(follow, `kpi:${scene.org}`);
    const seen = (count) => until(`${count} to come`, () => alice.ask('({ seen = [] }) => seen'), (seen) => seen.length >= count);
    assert.deepEqual(await seen(3), rooms.map((room) => [room, 3]));
    await publish(4, 6);
    scene.front.target = scene.nodes[1];
    scene.front.cut();
    await publish(7, 9);
    const all = await seen(21);
    for (const room of rooms) {
      const numbers = all.filter(([name]) => name === room).map(([, n]) => n);
      assert.deepEqual(numbers, [3, 4, 5, 6, 7, 8, 9], room);
    }
    assert.deepEqual(alice.troubles, []);
  }],
];
