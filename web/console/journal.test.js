import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ENTRIES_MAX, Journal, matches, preview } from './journal.js';

const publication = (room, data) => ({ kind: 'publication', publication: { room, event: 'kpi:update', data } });

test('the journal keeps the newest entries and numbers them all', () => {
  const journal = new Journal();
  for (let count = 0; count < ENTRIES_MAX + 20; count += 1) journal.write('note', { text: String(count) });
  assert.equal(journal.entries.length, ENTRIES_MAX);
  assert.equal(journal.entries.at(-1).number, ENTRIES_MAX + 20);
  assert.deepEqual(journal.after(ENTRIES_MAX + 18).map((entry) => entry.text), [String(ENTRIES_MAX + 18), String(ENTRIES_MAX + 19)]);
  assert.deepEqual(journal.after(ENTRIES_MAX + 20), []);
  journal.clear();
  journal.write('note', { text: 'later' });
  assert.deepEqual(journal.after(0).map((entry) => entry.text), ['later']);
});

test('the filter looks into room, event and data, and never hides a gap', () => {
  assert.ok(matches(publication('kpi:acme:sales', {}), 'SALES'));
  assert.ok(matches(publication('kpi:acme', { queue: 'support' }), 'support'));
  assert.ok(matches(publication('kpi:acme', 1), 'kpi:update'));
  assert.ok(!matches(publication('kpi:acme', 1), 'chat'));
  assert.ok(matches({ kind: 'gap' }, 'chat'));
});

test('long data is cut on its line', () => {
  assert.equal(preview({ a: 1 }), '{"a":1}');
  assert.ok(preview('x'.repeat(9_999)).length < 300);
});
