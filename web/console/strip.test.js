import assert from 'node:assert/strict';
import { test } from 'node:test';

import { peek, Strip } from './strip.js';

const at = (seq, epoch = 'e1') => `${epoch}-${seq.toString(16)}-0`;
const kinds = (strip) => strip.newest(1_000).map((cell) => `${cell.seq}:${cell.kind}${cell.cut ? '|' : ''}`).join(' ');

test('positions are read, and what is none is not', () => {
  assert.deepEqual(peek('19ab-1f-5'), { epoch: '19ab', seq: 31 });
  for (const bad of [null, undefined, '', '1-2', '1-2-3-4', 'x-1-2', '1-+2-3']) assert.equal(peek(bad), null);
});

test('live ones, other rooms, a cut and the replay make one line without a hole', () => {
  const strip = new Strip();
  strip.passed(at(0));
  strip.received(at(1), false);
  strip.received(at(3), false);
  strip.cut();
  strip.passed(at(3));
  strip.received(at(4), true);
  strip.received(at(5), true);
  strip.passed(at(6));
  assert.equal(kinds(strip), '1:live 2:elsewhere 3:live| 4:replayed 5:replayed 6:elsewhere');
  assert.deepEqual(strip.totals, { live: 2, replayed: 2, missing: 0 });
});

test('one that was overtaken takes its place when it comes', () => {
  const strip = new Strip();
  strip.received(at(1), false);
  strip.received(at(3), false);
  strip.received(at(2), false);
  assert.equal(kinds(strip), '1:live 2:live 3:live');
});

test('a gap marks what may be missing', () => {
  const strip = new Strip();
  strip.received(at(2), false);
  strip.gap({ from: at(2), to: at(5), reason: 'trimmed' });
  strip.received(at(6), true);
  assert.equal(kinds(strip), '2:live 3:missing 4:missing 5:missing 6:replayed');
  assert.equal(strip.totals.missing, 3);
});

test('another log goes on where the last one ended', () => {
  const strip = new Strip();
  strip.received(at(7), false);
  strip.gap({ from: at(7), to: at(0, 'e2'), reason: 'log_lost' });
  strip.received(at(1, 'e2'), false);
  assert.equal(kinds(strip), '7:live 0:missing 1:live');
});

test('it is bounded, also under a leap', () => {
  const strip = new Strip();
  strip.received(at(1), false);
  strip.passed(at(1_000_000_000));
  strip.gap({ from: at(1_000_000_000), to: at(2_000_000_000), reason: 'trimmed' });
  assert.ok(strip.cells.size <= 600);
  assert.equal(strip.newest(1)[0].seq, 2_000_000_000);
});
