// MessagePack, and bytes as data.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';

const BYTES = [0, 255, 254, 123, 34, 128, 10];

/** Has the page keep the bytes of what comes into the room. */
const follows = (visitor, room) =>
  visitor.ask(`(visit, room) => visit.client.subscribe(room, (publication) => (visit.heard ??= []).push([...(visit.bytesOf(publication) ?? [])])).ready.then(() => {})`, room);

const heard = (visitor, count) => until(`${count} publications`, () => visitor.ask('(visit) => visit.heard ?? []'), (all) => all.length >= count);

export const CHAPTERS = [
  ['bytes go from page to page, in MessagePack and in JSON, and come again after a cut', async (scene) => {
    const room = `chat:${scene.org}:files`;
    const binary = await scene.visitor({ rooms: [], binary: true });
    const text = await scene.visitor({ rooms: [] });
    await follows(binary, room);
    await follows(text, room);
    const publish = '({ client, asBytes }, [room, bytes]) => client.publish({ room, event: "kpi:update", ...asBytes(Uint8Array.from(bytes)) }).then(() => {})';
    await binary.ask(publish, [room, BYTES]);
    await text.ask(publish, [room, BYTES]);
    for (const visitor of [binary, text]) assert.deepEqual(await heard(visitor, 2), [BYTES, BYTES]);
    assert.equal(await binary.ask('({ client }) => client.health.transport'), 'msgpack');
    scene.front.cut();
    await scene.redis.call('FCALL', 'roomcast_publish', 1, `rc:{${scene.org}}`, room, 'kpi:update', Buffer.from('plain bytes'), 'bytes', 1);
    const all = [BYTES, BYTES, [...Buffer.from('plain bytes')]];
    for (const visitor of [binary, text]) assert.deepEqual(await heard(visitor, 3), all);
    assert.deepEqual(binary.troubles, []);
  }],
  ['a page that speaks MessagePack is as whole as one in JSON, over a killed node too', async (scene) => {
    const alice = await scene.visitor({ binary: true });
    await alice.whole(await scene.publish(100));
    scene.front.target = scene.nodes[1];
    scene.front.cut();
    await alice.whole(await scene.publish(1_000));
    assert.deepEqual(await alice.ask('(visit) => visit.gaps'), []);
  }],
];
