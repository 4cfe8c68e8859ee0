// Proof that the ledger finds what it is there for: a front that swallows, and one that doubles.

import assert from 'node:assert/strict';

export const CHAPTERS = [
  ['a front that swallows one message is found out', async (scene) => {
    scene.front.judge = (text) => (text.includes('"n":7,') ? 'drop' : 'pass');
    const alice = await scene.visitor();
    const last = await scene.publish(20);
    await alice.comes(last);
    assert.deepEqual((await alice.account()).missing, [7]);
    await assert.rejects(alice.whole(last), { code: 'ERR_ASSERTION' });
  }],
  ['a backend that publishes one number twice is found out', async (scene) => {
    const alice = await scene.visitor();
    await alice.publishesNumbers(scene.room, 1, 1);
    await alice.comes(1);
    await alice.whole(1);
    const last = await scene.publish(2);
    await alice.comes(last);
    assert.deepEqual((await alice.account()).doubled, [1]);
    await assert.rejects(alice.whole(last), { code: 'ERR_ASSERTION' });
  }],
];
