// Tries the built client in a real Chromium, in a worker and in Node, against real gateways on a real Redis, behind a front that moves,
// cuts and freezes connections. A ledger counts every number that a backend publishes: none may be lost, doubled or out of order.
//
//   npm run build && npm run e2e [-- words of a chapter's sentence]
//
// Needs redis-server, the gateway (ROOMCAST_BIN, else target/debug/roomcast at the root) and Chromium (CHROMIUM, else
// /usr/bin/chromium). Fetches playwright-core into .cache/ at the root once. Ends with one line of summary and, after a failure, code 1.

import { CHAPTERS as binary } from './chapters/binary.mjs';
import { CHAPTERS as collections } from './chapters/collections.mjs';
import { CHAPTERS as connections } from './chapters/connections.mjs';
import { CHAPTERS as disasters } from './chapters/disasters.mjs';
import { CHAPTERS as fallbacks } from './chapters/fallbacks.mjs';
import { CHAPTERS as gaps } from './chapters/gaps.mjs';
import { CHAPTERS as latest } from './chapters/latest.mjs';
import { CHAPTERS as limits } from './chapters/limits.mjs';
import { CHAPTERS as operations } from './chapters/operations.mjs';
import { CHAPTERS as outboxes } from './chapters/outboxes.mjs';
import { CHAPTERS as places } from './chapters/places.mjs';
import { CHAPTERS as presence } from './chapters/presence.mjs';
import { CHAPTERS as readme } from './chapters/readme.mjs';
import { CHAPTERS as sabotage } from './chapters/sabotage.mjs';
import { CHAPTERS as tabs } from './chapters/tabs.mjs';
import { CHAPTERS as tokens } from './chapters/tokens.mjs';
import { Stage } from './stage/stage.mjs';

/** After so long the whole is given up. */
const DEADLINE_MS = 420_000;

const wanted = process.argv.slice(2).join(' ');
const all = [connections, fallbacks, outboxes, tokens, tabs, gaps, operations, limits, disasters, places, binary, presence, readme, collections, latest, sabotage].flat();
const chapters = all.filter(([sentence]) => sentence.includes(wanted));

/** Each chapter has an org and a front of its own, so one that fails leaves the others as they are. */
async function live(stage, sentence, chapter) {
  const begin = performance.now();
  const scene = await stage.scene();
  try {
    await chapter(scene);
    console.log(`  ${sentence} (${((performance.now() - begin) / 1_000).toFixed(1)} s)`);
    return true;
  } catch (error) {
    console.error(`  FAILED: ${sentence}\n`, error);
    return false;
  } finally {
    await scene.close();
  }
}

async function main() {
  const stage = await Stage.set();
  const deadline = setTimeout(async () => {
    console.error(`client end to end: given up after ${DEADLINE_MS / 1_000} s`);
    await stage.strike();
    process.exit(1);
  }, DEADLINE_MS);
  let passed = 0;
  try {
    for (const [sentence, chapter] of chapters) passed += Number(await live(stage, sentence, chapter));
  } finally {
    clearTimeout(deadline);
    await stage.strike();
    console.log(`client end to end: ${passed} of ${chapters.length} passed`);
  }
  if (passed < chapters.length || !chapters.length) process.exitCode = 1;
}

await main();
