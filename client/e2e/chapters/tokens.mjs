// Tokens that end, are refused or revoked.

import assert from 'node:assert/strict';
import { until } from '../stage/until.mjs';
import { Visitor } from '../stage/visitor.mjs';

const asked = (visitor) => visitor.ask('(visit) => visit.asked');
const states = (visitor) => visitor.ask('(visit) => visit.states');

export const CHAPTERS = [
  ['a short-lived token is renewed on the open connection, again and again', async (scene) => {
    scene.issue = () => scene.token({ lifetimeS: 7 });
    const alice = await scene.visitor();
    const { expiresAt } = await alice.ask('({ client }) => client.session');
    await until('the second renewal', () => asked(alice), (whys) => whys.length >= 3);
    await alice.whole(await scene.publish(10));
    assert.ok(Date.now() / 1_000 > expiresAt, 'the first token has not ended yet');
    assert.deepEqual(await asked(alice), ['connect', 'expiring', 'expiring']);
    assert.deepEqual(await states(alice), ['connected']);
    assert.equal(scene.front.arrivals, 1);
  }],
  ['a token that the server refuses has the provider asked for another one', async (scene) => {
    const forged = () => `${scene.token().slice(0, -4)}AAAA`;
    scene.issue = (why) => (why === 'refused' ? scene.token() : forged());
    const alice = await scene.visitor();
    assert.deepEqual(await asked(alice), ['connect', 'refused']);
    await alice.whole(await scene.publish(5));
  }],
  ['a provider that has no good token ends in an error that says so', async (scene) => {
    scene.issue = () => 'not.a.token';
    const alice = await Visitor.glance(await scene.context(), scene.address());
    await alice.state('error');
    const fault = await alice.fault();
    assert.equal(fault.code, 'AUTH_FAILED');
    assert.equal(fault.fatal, true);
    assert.deepEqual(await asked(alice), ['connect', 'refused']);
    scene.issue = () => scene.token();
    await alice.ask('({ client }) => client.connect()');
    await alice.state('connected');
  }],
  ['a token that ended while the page was away is replaced on the way back', async (scene) => {
    const alice = await scene.visitor();
    scene.issue = (why) => scene.token(why === 'refused' ? {} : { lifetimeS: -10 });
    scene.front.target = null;
    scene.front.cut();
    await alice.state('reconnecting');
    scene.front.target = scene.nodes[1];
    await alice.ask('({ client }) => client.retryNow()');
    await alice.whole(await scene.publish(20));
    assert.equal((await asked(alice)).at(-1), 'refused');
  }],
  ['who is revoked is told why and does not come back', async (scene) => {
    const alice = await scene.visitor();
    const service = scene.token({ sub: 'backend', scope: 'roomcast:revoke' });
    await scene.nodes[1].rest('POST', '/api/ws/revoke', service, { organization_id: scene.org, user_id: 'alice' });
    await alice.state('error');
    const { code, closeCode, fatal } = await alice.fault();
    assert.deepEqual({ code, closeCode, fatal }, { code: 'AUTH_FAILED', closeCode: 4502, fatal: true });
    assert.equal(await alice.ask('({ client }) => client.health.retryInMs'), null);
    assert.equal(scene.front.arrivals, 1);
    assert.deepEqual(await states(alice), ['connected', 'error']);
  }],
  ['a narrowed token ends what it no longer grants, and nothing else', async (scene) => {
    const other = `chat:${scene.org}:lobby`;
    scene.issue = (why) => scene.token(why === 'expiring' ? { grants: [`subscribe:kpi:${scene.org}:**`] } : { lifetimeS: 7 });
    const alice = await scene.visitor({ rooms: [scene.room, other] });
    await until('the fault', () => alice.ask('(visit) => visit.faults'), ([fault]) => fault?.code === 'UNAUTHORIZED');
    await scene.aside(3);
    await alice.whole(await scene.publish(3));
    assert.deepEqual(await states(alice), ['connected']);
  }],
];
