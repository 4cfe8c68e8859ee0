import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Credentials } from './credentials.js';

test('connecting takes the token that is there, however often', async () => {
  const credentials = new Credentials();
  credentials.put('first');
  assert.equal(await credentials.give('connect'), 'first');
  assert.equal(await credentials.give('refused'), 'first');
});

test('before a token expires another one is waited for', async () => {
  const credentials = new Credentials();
  credentials.put('first');
  await credentials.give('connect');
  const asked = [credentials.give('expiring'), credentials.give('expiring')];
  credentials.put('second');
  assert.deepEqual(await Promise.all(asked), ['second', 'second']);
});

test('another one that is there already is given at once', async () => {
  const credentials = new Credentials();
  credentials.put('first');
  await credentials.give('connect');
  credentials.put('second');
  assert.equal(await credentials.give('expiring'), 'second');
});
