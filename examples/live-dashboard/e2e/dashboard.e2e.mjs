// Drives the dashboard in a real Chromium: two gateways on one Redis, the publisher, the built page, and a node that is killed
// while somebody looks.
//
//   npm run e2e
//
// Needs redis-server, the gateway (ROOMCAST_BIN, else target/debug/roomcast at the root) and Chromium (CHROMIUM, else
// /usr/bin/chromium). Fetches playwright-core into .cache/ at the root once. Ends with one line of summary and, after a failure, code 1.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, preview } from 'vite';
import { startBalancer } from '../start/balancer.js';
import { Watched } from './watched.mjs';
import { Program, freePort } from './program.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const DASHBOARD = join(HERE, '..');
const ROOT = join(HERE, '../../..');
const BINARY = process.env.ROOMCAST_BIN ?? join(ROOT, 'target/debug/roomcast');
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const CACHE = join(ROOT, '.cache/browser');
/** The version that tests/browser uses too. */
const PLAYWRIGHT = '1.61.1';
/** After so long the whole is given up. */
const DEADLINE_MS = 120_000;
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

/** Sentences in the order in which a supervisor would live through them; each builds on the one before. */
const CHAPTERS = [
  ['the token is taken out of the address, and the page is full within seconds', async ({ sam }) => {
    await sam.state('connected');
    assert.ok(!sam.page.url().includes('token'));
    await sam.counts('received', (count) => count >= 60);
    assert.equal(await sam.page.locator('.figures tbody tr').count(), 13);
    assert.match(await sam.tile('Service level'), /^\d+ %$/);
    assert.equal(await sam.page.locator('.backlog li .name').count(), 9);
    assert.equal(await sam.count('missing'), 0);
  }],
  ['figures move by themselves', async ({ sam }) => {
    const before = await sam.count('received');
    const clock = await sam.text('.day-clock time');
    await sam.counts('received', (count, seen) => count > seen + 10, before);
    await sam.shows('.day-clock time', (text, seen) => text !== seen, clock);
  }],
  ['a department and a queue are two clicks away, and the way back is the browser\'s', async ({ sam }) => {
    await sam.page.click('.figures a:text-is("Service")');
    await sam.shows('.path [aria-current]', (text) => text === 'Service');
    await sam.page.click('.figures a:text-is("Billing")');
    await sam.shows('.path [aria-current]', (text) => text === 'Billing');
    assert.match(sam.page.url(), /#\/service\/billing$/);
    await sam.page.goBack();
    await sam.page.goBack();
    await sam.shows('.path [aria-current]', (text) => text === 'acme');
  }],
  ['an alert that is acknowledged here is acknowledged everywhere', async ({ sam, second }) => {
    const maria = await second();
    await sam.page.locator('.alert[data-status="open"] button').first().click();
    await sam.page.waitForSelector('.alert[data-status="acknowledged"]');
    await maria.page.waitForSelector('.alert[data-status="acknowledged"]');
    assert.deepEqual(maria.troubles, []);
    await maria.page.close();
  }],
  ['a killed node shows at once, and the figures are marked as old', async ({ sam, nodes, targets }) => {
    targets.length = 0;
    await nodes[0].kill();
    await sam.state('reconnecting');
    await sam.page.waitForSelector('[data-notice="reconnecting"]');
    await sam.page.waitForSelector('main[data-stale="true"]');
    await sam.shows('.countdown', (text) => /^next attempt in \d+ s$/.test(text));
  }],
  ['backends go on publishing meanwhile, to the other node', async ({ positions }) => {
    await positions.grow(20);
  }],
  ['with a node to go to, everything that was missed comes, and nothing is missing', async ({ sam, nodes, targets }) => {
    targets.push(nodes[1].target);
    // The page may have tried by itself in the very moment of the click, and then the button is gone.
    await sam.page.click('text=Try now', { timeout: 1_000 }).catch(() => {});
    await sam.state('connected');
    await sam.page.waitForSelector('[data-notice="caught-up"]');
    assert.match(await sam.text('[data-notice="caught-up"]'), /Caught up after .* replayed, nothing is missing\.$/);
    assert.ok((await sam.count('replayed')) >= 20);
    assert.ok((await sam.cells('replayed')) >= 20);
    assert.equal(await sam.cells('cut'), 1);
    for (const name of ['missing', 'twice', 'gaps']) assert.equal(await sam.count(name), 0, name);
  }],
  ['figures move again', async ({ sam }) => {
    const before = await sam.count('received');
    await sam.counts('received', (count, seen) => count > seen + 10, before);
    assert.equal(await sam.page.locator('main[data-stale="true"]').count(), 0);
  }],
  ['on a phone nothing runs out of the screen', async ({ sam }) => {
    await sam.page.setViewportSize({ width: 360, height: 740 });
    assert.equal(await sam.page.evaluate(() => document.documentElement.scrollWidth), 360);
    await sam.page.evaluate(() => void (location.hash = '#/technical/first-line'));
    await sam.shows('.path [aria-current]', (text) => text === 'First line');
    assert.equal(await sam.page.evaluate(() => document.documentElement.scrollWidth), 360);
  }],
  ['signing out forgets the token, and nothing was fetched from elsewhere', async ({ sam }) => {
    await sam.page.click('text=Sign out');
    await sam.page.waitForSelector('#token');
    assert.equal(await sam.page.evaluate(() => sessionStorage.length), 0);
    assert.deepEqual(sam.foreign, []);
    assert.deepEqual(sam.troubles, []);
  }],
];

/** Playwright's driver, without any browser of its own. */
function playwright() {
  const wanted = join(CACHE, 'node_modules/playwright-core/package.json');
  const require = createRequire(join(CACHE, 'from-here.js'));
  if (!existsSync(wanted) || require(wanted).version !== PLAYWRIGHT) {
    const flags = ['install', '--prefix', CACHE, '--no-save', '--no-audit', '--no-fund', '--loglevel', 'error', `playwright-core@${PLAYWRIGHT}`];
    execFileSync('npm', flags, { stdio: 'inherit' });
  }
  return require('playwright-core');
}

/** What is started, and ended in the opposite order. */
class Stage {
  #ends = [];

  add(end) {
    this.#ends.push(end);
  }

  async redis() {
    const port = await freePort();
    const redis = new Program('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']);
    this.add(() => redis.kill());
    await redis.says(/Ready to accept connections/);
    return `redis://127.0.0.1:${port}`;
  }

  async node(redisUrl, secret) {
    const port = await freePort();
    const flags = ['serve', '--listen', `127.0.0.1:${port}`, '--internal-listen', '127.0.0.1:0', '--redis-url', redisUrl];
    const node = new Program(BINARY, flags, { ROOMCAST_AUTH__SECRET: secret });
    this.add(() => node.kill());
    await node.says(/"message":"serving"|serving/);
    return Object.assign(node, { target: { host: '127.0.0.1', port } });
  }

  async page(gatewayPort) {
    await build({ root: DASHBOARD, logLevel: 'warn' });
    const proxy = { '/ws': { target: `http://127.0.0.1:${gatewayPort}`, ws: true } };
    const served = await preview({ root: DASHBOARD, logLevel: 'silent', preview: { host: '127.0.0.1', port: await freePort(), proxy } });
    this.add(() => served.close());
    return served.resolvedUrls.local[0];
  }

  publisher(redisUrl) {
    const publisher = new Program(process.execPath, [join(DASHBOARD, 'publisher/main.js'), '--redis', '--org', 'acme'], { REDIS_URL: redisUrl });
    this.add(() => publisher.kill());
  }

  async end() {
    for (const end of this.#ends.reverse()) await end();
  }
}

function mint(secret, scopes) {
  const flags = ['token', 'mint', '--sub', 'sam', '--org', 'acme', '--grant', '*:acme:**=subscribe,publish,history', ...scopes];
  return execFileSync(BINARY, flags, { env: { PATH: process.env.PATH, ROOMCAST_AUTH__SECRET: secret } }).toString().trim();
}

/** How many publications the log holds, asked of a node. */
function positionsOf(node, token) {
  const address = `http://127.0.0.1:${node.target.port}/api/ws/log?organization_id=acme&limit=1000`;
  const length = async () => (await (await fetch(address, { headers: { authorization: `Bearer ${token}` } })).json()).messages.length;
  return {
    async grow(by) {
      const before = await length();
      while ((await length()) < before + by) await new Promise((resolve) => setTimeout(resolve, 200));
    },
  };
}

async function main() {
  for (const [what, path] of [['the gateway (cargo build)', BINARY], ['Chromium (apt-get install chromium)', CHROMIUM]]) {
    if (!existsSync(path)) throw new Error(`${what} is needed at ${path}`);
  }
  const { chromium } = playwright();
  const stage = new Stage();
  const deadline = setTimeout(() => {
    console.log(`dashboard: given up after ${DEADLINE_MS / 1000} s`);
    stage.end().finally(() => process.exit(1));
  }, DEADLINE_MS);
  let passed = 0;
  try {
    const secret = randomBytes(32).toString('hex');
    const redisUrl = await stage.redis();
    const nodes = [await stage.node(redisUrl, secret), await stage.node(redisUrl, secret)];
    const targets = [nodes[0].target];
    const balancer = await startBalancer(targets);
    stage.add(() => balancer.close());
    const address = `${await stage.page(balancer.port)}#token=${mint(secret, [])}`;
    stage.publisher(redisUrl);
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    stage.add(() => browser.close());
    const open = async () => Watched.open(await browser.newContext({ viewport: { width: 1440, height: 900 } }), address);
    const cast = { sam: await open(), second: open, nodes, targets, positions: positionsOf(nodes[1], mint(secret, ['--scope', 'read'])) };
    for (const [sentence, live] of CHAPTERS) {
      console.log(`  ${sentence}`);
      await live(cast);
      passed += 1;
    }
  } finally {
    clearTimeout(deadline);
    await stage.end();
    console.log(`dashboard: ${passed} of ${CHAPTERS.length} passed`);
  }
}

await main();
